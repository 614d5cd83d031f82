-- +goose Up

-- What the operator looks for in the outbox, among all that was delivered.
CREATE INDEX mail_undelivered ON mail (created_at, id) WHERE state <> 'delivered';
