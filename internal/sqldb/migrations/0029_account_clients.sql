-- +goose Up

-- The clients of an account, newest first.
DROP INDEX client_account;
CREATE INDEX client_account_newest ON client (organisation_id, account_id, created_at, id);

-- Whose secrets end by a day: what stands in place of the column is the end of
-- a secret, as the registry reads it.
DROP INDEX client_secret_ending;
CREATE INDEX client_secret_ending ON client_secret (organisation_id, (CASE WHEN state = 'retiring' AND expires_at NOT BETWEEN 1 AND ends_at THEN ends_at ELSE expires_at END), client_id) WHERE state IN ('active', 'retiring');
