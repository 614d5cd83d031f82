-- +goose Up

CREATE TABLE person (
    id          TEXT   PRIMARY KEY,
    email       TEXT   NOT NULL,          -- as the person writes it; where mail goes
    email_key   TEXT   NOT NULL,          -- all spellings of one address alike
    name        TEXT   NOT NULL,
    password    TEXT   NOT NULL,          -- argon2id, with its parameters
    verified_at BIGINT NOT NULL,          -- 0: the address may be someone else's
    deleted_at  BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX person_verified ON person (email_key) WHERE verified_at > 0 AND deleted_at = 0;
CREATE INDEX person_email ON person (email_key);

CREATE TABLE member (
    organisation_id TEXT   NOT NULL,      -- empty: the operator's people
    person_id       TEXT   NOT NULL REFERENCES person (id),
    version         BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, person_id)
);
CREATE INDEX member_person ON member (person_id);

CREATE TABLE member_role (
    organisation_id TEXT NOT NULL,
    person_id       TEXT NOT NULL,
    role            TEXT NOT NULL,
    account_id      TEXT NOT NULL,        -- empty: the whole organisation
    PRIMARY KEY (organisation_id, person_id, role, account_id),
    FOREIGN KEY (organisation_id, person_id) REFERENCES member (organisation_id, person_id)
);
CREATE INDEX member_role_person ON member_role (person_id);

CREATE TABLE invitation (
    id              TEXT   PRIMARY KEY,
    organisation_id TEXT   NOT NULL,      -- empty: the operator's
    email           TEXT   NOT NULL,
    email_key       TEXT   NOT NULL,
    name            TEXT   NOT NULL,      -- of the person invited, or empty
    roles           TEXT   NOT NULL,      -- JSON
    digest          BYTEA  NOT NULL,      -- of the newest link's token
    invited_by      TEXT   NOT NULL,      -- the actor, whose right it stands on
    state           TEXT   NOT NULL,      -- pending, accepted or revoked
    accepted_by     TEXT   NOT NULL,      -- a person, once accepted
    created_at      BIGINT NOT NULL,
    sent_at         BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    ended_at        BIGINT NOT NULL       -- accepted or revoked
);
CREATE INDEX invitation_organisation ON invitation (organisation_id, id);

CREATE TABLE session (
    digest     BYTEA  PRIMARY KEY,        -- of the cookie
    id         TEXT   NOT NULL UNIQUE,    -- names the session in lists and in the audit log
    person_id  TEXT   NOT NULL REFERENCES person (id),
    created_at BIGINT NOT NULL,           -- of the sign-in, through all new ids
    proved_at  BIGINT NOT NULL,           -- when the password was last given; 0: never
    factor_at  BIGINT NOT NULL,           -- when the second factor was last given; 0: never
    seen_at    BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    address    TEXT   NOT NULL,
    user_agent TEXT   NOT NULL
);
CREATE INDEX session_person ON session (person_id);

CREATE TABLE browser (
    digest     BYTEA  PRIMARY KEY,        -- of the cookie that names the person there
    person_id  TEXT   NOT NULL REFERENCES person (id),
    created_at BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL
);
CREATE INDEX browser_person ON browser (person_id);
