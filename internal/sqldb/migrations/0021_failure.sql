-- +goose Up

-- Failed authentications that the nodes count together, unless they have Redis.
-- Of no use after a crash, and so not worth the disk.
CREATE UNLOGGED TABLE failure (
    key     TEXT   PRIMARY KEY,           -- a keyed hash: nobody's name
    paid_at BIGINT NOT NULL               -- when nothing is left of it, by the clock of the database
);
CREATE INDEX failure_paid ON failure (paid_at);
