-- +goose Up

-- When a deleted organisation is erased, until when its deletion can be undone;
-- 0: it is not deleted.
ALTER TABLE organisation ADD COLUMN erase_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX organisation_erase ON organisation (erase_at) WHERE erase_at > 0;
