-- +goose Up

-- A client's name is one of a kind among its owner's.
CREATE INDEX client_name ON client (organisation_id, account_id, name);

-- A search reads the index alone, and the rows that it finds.
DROP INDEX client_newest;
CREATE INDEX client_newest ON client (organisation_id, created_at, id, search);

-- Which clients hold a permission, and whose secrets end; and, so that nothing
-- else goes by a whole organisation, what one client holds.
CREATE INDEX client_permission_held ON client_permission (organisation_id, permission, client_id);
CREATE INDEX client_permission_of ON client_permission (client_id, organisation_id, permission);
CREATE INDEX client_secret_ending ON client_secret (organisation_id, client_id) WHERE state IN ('active', 'retiring');
