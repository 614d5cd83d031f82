-- +goose Up

-- What signs checkpoints of the audit chain, and nothing else.
CREATE TABLE audit_key (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    private_key BYTEA  NOT NULL           -- sealed seed (Ed25519)
);

CREATE TABLE audit_checkpoint (
    seq       BIGINT PRIMARY KEY,         -- of a record of the audit log
    link      BYTEA  NOT NULL,            -- that it has
    at        BIGINT NOT NULL,
    signature BYTEA  NOT NULL
);
