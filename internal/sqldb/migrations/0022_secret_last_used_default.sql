-- +goose Up

-- Nobody reads this column since last_use has what it was meant for. With a
-- default it need not be written either, until no binary is left that does.
ALTER TABLE client_secret DROP COLUMN last_used_at;
ALTER TABLE client_secret ADD COLUMN last_used_at BIGINT NOT NULL DEFAULT 0;
