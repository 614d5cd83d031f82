-- +goose Up

-- When a person was last here, also after they signed out; 0: never, or before
-- this was kept.
ALTER TABLE person ADD COLUMN seen_at BIGINT NOT NULL DEFAULT 0;
