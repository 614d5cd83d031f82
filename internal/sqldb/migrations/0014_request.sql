-- +goose Up

-- Changes that somebody asks others to make who may.
CREATE TABLE request (
    id              TEXT    PRIMARY KEY,
    organisation_id TEXT    NOT NULL,
    account_id      TEXT    NOT NULL,     -- that all of it is about; empty: the organisation
    for_operator    BOOLEAN NOT NULL,     -- the operator alone may make it
    requested_by    TEXT    NOT NULL,     -- a person
    note            TEXT    NOT NULL,
    edits           TEXT    NOT NULL,     -- JSON
    state           TEXT    NOT NULL,     -- pending, approved, declined or withdrawn
    reason          TEXT    NOT NULL,     -- why it was declined
    decided_by      TEXT    NOT NULL,     -- an actor
    created_at      BIGINT  NOT NULL,
    expires_at      BIGINT  NOT NULL,
    decided_at      BIGINT  NOT NULL
);
CREATE INDEX request_organisation ON request (organisation_id, created_at);
CREATE INDEX request_operator ON request (created_at) WHERE for_operator AND state = 'pending';
