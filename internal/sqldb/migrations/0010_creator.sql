-- +goose Up

ALTER TABLE client_secret ADD COLUMN created_by TEXT NOT NULL DEFAULT '';     -- the actor with that credential
CREATE INDEX client_secret_created_by ON client_secret (organisation_id, created_by, created_at, id);
