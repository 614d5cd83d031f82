-- +goose Up

-- What a list's text filter looks in: name and id, folded by the product.
ALTER TABLE organisation ADD COLUMN search TEXT NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN search TEXT NOT NULL DEFAULT '';
ALTER TABLE client ADD COLUMN search TEXT NOT NULL DEFAULT '';
UPDATE organisation SET search = lower(name || ' ' || id);
UPDATE account SET search = lower(name || ' ' || id);
UPDATE client SET search = lower(name || ' ' || id);

-- Lists show the newest first.
CREATE INDEX organisation_newest ON organisation (created_at, id);
CREATE INDEX account_newest ON account (organisation_id, created_at, id);
CREATE INDEX client_newest ON client (organisation_id, created_at, id);
CREATE INDEX client_secret_newest ON client_secret (client_id, created_at, id);
CREATE INDEX audit_subject ON audit (organisation_id, subject, seq);
