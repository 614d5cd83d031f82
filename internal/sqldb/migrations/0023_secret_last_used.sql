-- +goose Up

-- Contracting: binaries that know less than migration 22 write the column.
UPDATE installation SET oldest_binary = 22 WHERE id = 1 AND oldest_binary < 22;
ALTER TABLE client_secret DROP COLUMN last_used_at;
