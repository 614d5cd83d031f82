-- +goose Up

-- Who answers for a client: a member, who is told before a secret of it ends.
ALTER TABLE client ADD COLUMN contact TEXT NOT NULL DEFAULT '';
ALTER TABLE client ADD COLUMN note TEXT NOT NULL DEFAULT '';
CREATE INDEX client_contact ON client (organisation_id, contact) WHERE contact <> '';

-- Whether a person wants to be told.
ALTER TABLE person ADD COLUMN secret_mails BOOLEAN NOT NULL DEFAULT TRUE;

-- What they were told already: so many days before the end, once each.
CREATE TABLE secret_notice (
    secret_id       TEXT   NOT NULL,
    days            BIGINT NOT NULL,
    organisation_id TEXT   NOT NULL,
    at              BIGINT NOT NULL,
    PRIMARY KEY (secret_id, days)
);
CREATE INDEX secret_notice_at ON secret_notice (at);
