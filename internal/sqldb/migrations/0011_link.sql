-- +goose Up

-- Links that were mailed to a person, each good for one use.
CREATE TABLE link (
    digest     BYTEA  PRIMARY KEY,        -- of the token in it
    purpose    TEXT   NOT NULL,           -- verify, reset or set-up
    person_id  TEXT   NOT NULL,           -- empty: of nobody yet
    created_at BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL
);
CREATE INDEX link_person ON link (person_id);
