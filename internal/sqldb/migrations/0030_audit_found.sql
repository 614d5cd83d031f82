-- +goose Up

-- What one has done in an organisation, and what was done to one thing of it,
-- with all else that the log is filtered by: an index that lacks it loses to
-- audit_filter, which is read as a whole.
CREATE INDEX audit_organisation_actor ON audit (organisation_id, actor, seq, at, action, subject);
CREATE INDEX audit_organisation_subject ON audit (organisation_id, subject, seq, at, action, actor);
DROP INDEX audit_subject;
