-- +goose Up

-- The one row that every change updates first, so that changes are serial.
CREATE TABLE revision (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    seq         BIGINT NOT NULL,          -- of the newest change
    audit_count BIGINT NOT NULL,          -- length of the audit chain
    audit_head  BYTEA  NOT NULL           -- its newest link
);

CREATE TABLE installation (
    id             BIGINT PRIMARY KEY CHECK (id = 1),
    schema         BIGINT NOT NULL,       -- highest migration applied
    oldest_binary  BIGINT NOT NULL,       -- lowest migration number a binary must know
    kek_check      BYTEA,                 -- sealed constant: tells a wrong key at start
    secret_tag_key BYTEA                  -- sealed: key of the tags in client secrets
);

CREATE TABLE change (
    seq   BIGINT PRIMARY KEY,
    kind  TEXT   NOT NULL,
    key   TEXT   NOT NULL,
    nonce TEXT   NOT NULL,                -- of the transaction
    at    BIGINT NOT NULL
);
CREATE INDEX change_nonce ON change (nonce);
CREATE INDEX change_at ON change (at);

CREATE TABLE audit (
    seq             BIGINT PRIMARY KEY,
    at              BIGINT NOT NULL,
    organisation_id TEXT   NOT NULL,      -- empty: the operator's
    action          TEXT   NOT NULL,
    subject         TEXT   NOT NULL,
    actor           TEXT   NOT NULL,
    request_id      TEXT   NOT NULL,
    address         TEXT   NOT NULL,
    content         TEXT,                 -- JSON; null once erased
    salt            BYTEA,                -- null once erased
    digest          BYTEA  NOT NULL,
    link            BYTEA  NOT NULL
);
CREATE INDEX audit_organisation ON audit (organisation_id, seq);

CREATE TABLE organisation (
    id         TEXT   PRIMARY KEY,
    name       TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    generation BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE account (
    id              TEXT   PRIMARY KEY,
    organisation_id TEXT   NOT NULL REFERENCES organisation (id),
    environment     TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    generation      BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    UNIQUE (organisation_id, name)
);

CREATE TABLE product (
    key     TEXT   PRIMARY KEY,
    prefix  TEXT   NOT NULL UNIQUE,
    source  TEXT   NOT NULL,              -- managed, config or builtin
    version BIGINT NOT NULL               -- the live one
);

CREATE TABLE product_version (
    product    TEXT   NOT NULL REFERENCES product (key),
    version    BIGINT NOT NULL,
    definition TEXT   NOT NULL,           -- JSON
    created_at BIGINT NOT NULL,
    PRIMARY KEY (product, version)
);

CREATE TABLE product_grant (
    organisation_id TEXT   NOT NULL REFERENCES organisation (id),
    product         TEXT   NOT NULL REFERENCES product (key),
    environment     TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, product, environment)
);

CREATE TABLE client (
    id              TEXT   PRIMARY KEY,
    owner           TEXT   NOT NULL,      -- account, organisation or operator
    organisation_id TEXT   NOT NULL,      -- empty: the operator's
    account_id      TEXT   NOT NULL,      -- empty: not an account's
    name            TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    token_lifetime  BIGINT NOT NULL,      -- seconds
    networks        TEXT   NOT NULL,      -- CIDRs, comma-separated
    generation      BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    created_at      BIGINT NOT NULL
);
CREATE INDEX client_organisation ON client (organisation_id, id);
CREATE INDEX client_account ON client (account_id, id);

CREATE TABLE client_permission (
    client_id       TEXT NOT NULL REFERENCES client (id),
    organisation_id TEXT NOT NULL,
    permission      TEXT NOT NULL,
    PRIMARY KEY (client_id, permission)
);

CREATE TABLE client_secret (
    id              TEXT   PRIMARY KEY,
    client_id       TEXT   NOT NULL REFERENCES client (id),
    organisation_id TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    digest          BYTEA  NOT NULL,
    state           TEXT   NOT NULL,      -- active, retiring, disabled or revoked
    created_with    TEXT   NOT NULL,      -- the credential that created it
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,      -- 0: never
    ends_at         BIGINT NOT NULL,      -- of a retiring secret
    disabled_at     BIGINT NOT NULL,
    revoked_at      BIGINT NOT NULL,
    last_used_at    BIGINT NOT NULL
);
CREATE INDEX client_secret_client ON client_secret (client_id);
CREATE INDEX client_secret_created_with ON client_secret (created_with);

CREATE TABLE revoked_token (
    client_id       TEXT   NOT NULL REFERENCES client (id),
    jti             TEXT   NOT NULL,
    organisation_id TEXT   NOT NULL,
    expires_at      BIGINT NOT NULL,
    PRIMARY KEY (client_id, jti)
);

CREATE TABLE signing_key (
    kid          TEXT   PRIMARY KEY,
    purpose      TEXT   NOT NULL,         -- sandbox, production or assertion
    algorithm    TEXT   NOT NULL,
    public_key   BYTEA  NOT NULL,         -- PKIX
    private_key  BYTEA  NOT NULL,         -- sealed PKCS #8
    state        TEXT   NOT NULL,         -- next, current, retired or withdrawn
    published_at BIGINT NOT NULL,
    activated_at BIGINT NOT NULL,
    retired_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX signing_key_one_of_each ON signing_key (purpose, state) WHERE state IN ('next', 'current');

INSERT INTO revision (id, seq, audit_count, audit_head) VALUES (1, 0, 0, '');
INSERT INTO installation (id, schema, oldest_binary) VALUES (1, 0, 1);
