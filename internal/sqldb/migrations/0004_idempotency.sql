-- +goose Up

-- What a request with an Idempotency-Key has created, for a day.
CREATE TABLE idempotency (
    actor   TEXT   NOT NULL,
    key     TEXT   NOT NULL,
    digest  BYTEA  NOT NULL,              -- of the request
    subject TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_at ON idempotency (at);
