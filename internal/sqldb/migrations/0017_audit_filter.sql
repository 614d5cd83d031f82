-- +goose Up

-- All that the audit log is filtered by, so that what does not fit is not read.
CREATE INDEX audit_filter ON audit (organisation_id, seq, at, action, actor, subject);
DROP INDEX audit_organisation;
