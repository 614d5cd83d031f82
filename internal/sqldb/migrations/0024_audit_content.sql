-- +goose Up

-- A record's digest covers that of its content, so that the rest of it stays bound
-- when the content is erased. Null in records from before.
ALTER TABLE audit ADD COLUMN content_digest BYTEA;
