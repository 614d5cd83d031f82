-- +goose Up

-- A database that was restored from a backup is held: no token, no call, until
-- its operator has confirmed what comes alive again.
ALTER TABLE installation ADD COLUMN held_at BIGINT NOT NULL DEFAULT 0;      -- 0: it is not
ALTER TABLE installation ADD COLUMN timeline TEXT NOT NULL DEFAULT '';      -- another after each restore
ALTER TABLE installation ADD COLUMN database_id TEXT NOT NULL DEFAULT '';   -- tells it from copies of itself; empty: not taken in yet
