-- +goose Up

-- What seals values in the database: the newest number seals, and each number is
-- wrapped by the key-encryption key; by two while that one is being changed.
CREATE TABLE sealing_key (
    number     BIGINT NOT NULL,
    wrapping   BIGINT NOT NULL,           -- tells wrappings by several key-encryption keys apart
    wrapped    BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (number, wrapping)
);

ALTER TABLE node ADD COLUMN wrapping BIGINT NOT NULL DEFAULT 0;             -- that the server's key-encryption key opened
