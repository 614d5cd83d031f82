-- +goose Up

-- When something of a client was last used: a secret (kind secret, its id), a
-- permission (kind permission), or the client for a call (kind call, no key).
-- No change: rows are written behind, in batches, and lock nothing else.
CREATE TABLE last_use (
    client_id       TEXT   NOT NULL,
    kind            TEXT   NOT NULL,
    key             TEXT   NOT NULL,
    organisation_id TEXT   NOT NULL,      -- empty: the operator's
    at              BIGINT NOT NULL,
    address         TEXT   NOT NULL,
    PRIMARY KEY (client_id, kind, key)
);

-- Clients whose attempts are written down, because somebody looks on.
CREATE TABLE watch (
    client_id       TEXT   PRIMARY KEY,
    organisation_id TEXT   NOT NULL,
    until           BIGINT NOT NULL,
    last_attempt    BIGINT NOT NULL       -- number of the newest attempt
);
CREATE INDEX watch_organisation ON watch (organisation_id, until);

CREATE TABLE attempt (
    client_id       TEXT   NOT NULL,
    number          BIGINT NOT NULL,      -- rises with each attempt of the client
    organisation_id TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    kind            TEXT   NOT NULL,      -- token or call
    allowed         BOOLEAN NOT NULL,
    status          BIGINT NOT NULL,
    code            TEXT   NOT NULL,      -- why it was refused or failed
    took            BIGINT NOT NULL,      -- microseconds
    address         TEXT   NOT NULL,
    secret          TEXT   NOT NULL,
    method          TEXT   NOT NULL,
    path            TEXT   NOT NULL,
    product         TEXT   NOT NULL,
    route           TEXT   NOT NULL,
    lacking         TEXT   NOT NULL,      -- the permission
    trace_id        TEXT   NOT NULL,
    PRIMARY KEY (client_id, number)
);

-- client_secret.last_used_at is no longer read; it stays for older binaries.
