-- +goose Up

-- Where the backup stood that the database was restored from, among the lines of
-- the revocation journal.
ALTER TABLE installation ADD COLUMN restored_timeline TEXT NOT NULL DEFAULT '';
ALTER TABLE installation ADD COLUMN restored_revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE installation ADD COLUMN restored_to BIGINT NOT NULL DEFAULT 0;  -- when its newest change was made
