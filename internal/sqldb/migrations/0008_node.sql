-- +goose Up

-- The leases of the servers that run on this database: each says how far it
-- has followed the change feed, and renews that while it can.
CREATE TABLE node (
    id          TEXT   PRIMARY KEY,       -- of one run of a server
    name        TEXT   NOT NULL,
    version     TEXT   NOT NULL,
    schema      BIGINT NOT NULL,          -- newest migration that it knows
    stale_limit BIGINT NOT NULL,          -- microseconds, as are all
    every       BIGINT NOT NULL,          -- how often it renews
    seq         BIGINT NOT NULL,          -- of the newest change in force there
    nonce       TEXT   NOT NULL,          -- of that change
    started_at  BIGINT NOT NULL,          -- by the clock of the database
    renewed_at  BIGINT NOT NULL
);
