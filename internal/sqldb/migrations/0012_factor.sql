-- +goose Up

-- A person's second factor: time-based codes (RFC 6238).
CREATE TABLE factor (
    person_id     TEXT   PRIMARY KEY REFERENCES person (id),
    seed          BYTEA,                  -- sealed; null: none is in force
    last_step     BIGINT NOT NULL,        -- time step of the newest code that was taken
    pending       BYTEA,                  -- sealed: takes the seed's place once a code of it was given
    pending_until BIGINT NOT NULL
);

CREATE TABLE recovery_code (
    person_id TEXT  NOT NULL REFERENCES person (id),
    digest    BYTEA NOT NULL,
    PRIMARY KEY (person_id, digest)
);
