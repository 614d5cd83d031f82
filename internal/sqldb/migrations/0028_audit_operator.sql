-- +goose Up

-- What the operator looks for in the whole log: everything that one has done, or
-- that was done to one thing.
CREATE INDEX audit_actor ON audit (actor, seq);
CREATE INDEX audit_thing ON audit (subject, seq);
