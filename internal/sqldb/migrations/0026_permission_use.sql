-- +goose Up

-- Who holds a permission, whatever their organisation: for the operator's pages
-- of API products, and to keep permissions that are held.
CREATE INDEX client_permission_use ON client_permission (permission, client_id);
