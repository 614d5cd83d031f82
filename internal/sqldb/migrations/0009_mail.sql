-- +goose Up

-- Mails, written in the transaction of what they tell about.
CREATE TABLE mail (
    id              TEXT   PRIMARY KEY,
    kind            TEXT   NOT NULL,
    organisation_id TEXT   NOT NULL,      -- that had it sent; empty: nobody's
    recipient       TEXT   NOT NULL,
    recipient_key   TEXT   NOT NULL,      -- all spellings of one address alike
    subject         TEXT   NOT NULL,
    body            BYTEA,                -- sealed: it holds links; null once it is delivered or given up
    state           TEXT   NOT NULL,      -- waiting, delivered or failed
    created_at      BIGINT NOT NULL,
    ends_at         BIGINT NOT NULL,      -- what it says is of no use after that
    next_at         BIGINT NOT NULL,      -- of the next attempt; while one is under way, when it is given up for lost
    attempts        BIGINT NOT NULL,
    ended_at        BIGINT NOT NULL,      -- delivered or failed
    failure         TEXT   NOT NULL       -- of the last attempt
);
CREATE INDEX mail_due ON mail (next_at) WHERE state = 'waiting';
CREATE INDEX mail_recipient ON mail (recipient_key, kind, created_at);
CREATE INDEX mail_created ON mail (created_at, id);
