-- +goose Up

CREATE TABLE webhook (
    id              TEXT   PRIMARY KEY,
    organisation_id TEXT   NOT NULL,      -- empty: the operator's, which gets every organisation's events
    name            TEXT   NOT NULL,
    url             TEXT   NOT NULL,
    events          TEXT   NOT NULL,      -- ",client.*,secret.revoke,"; empty: all
    state           TEXT   NOT NULL,      -- enabled or disabled
    reason          TEXT   NOT NULL,      -- why it is disabled
    secret          BYTEA  NOT NULL,      -- sealed: key of its signatures
    previous_secret BYTEA,                -- sealed: signs too for a day after a change
    previous_until  BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    lease_holder    TEXT   NOT NULL,      -- the node that delivers, until lease_until
    lease_until     BIGINT NOT NULL,
    next_at         BIGINT NOT NULL,      -- of the next attempt
    attempts        BIGINT NOT NULL,      -- failed ones since the last success
    failing_since   BIGINT NOT NULL,
    delivered_at    BIGINT NOT NULL,      -- last success
    failure         TEXT   NOT NULL       -- of the last attempt
);
CREATE INDEX webhook_organisation ON webhook (organisation_id, id);

-- What is still to be delivered, written in the transaction of the audit record.
CREATE TABLE webhook_outbox (
    webhook_id      TEXT   NOT NULL REFERENCES webhook (id),
    seq             BIGINT NOT NULL,      -- of the audit record
    organisation_id TEXT   NOT NULL,      -- the webhook's
    PRIMARY KEY (webhook_id, seq)
);
