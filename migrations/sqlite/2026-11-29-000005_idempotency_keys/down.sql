DROP INDEX operations_by_key;
-- The former index has another scope, in which keys may not be unique.
UPDATE operations SET idempotency_key = NULL;
ALTER TABLE operations DROP COLUMN fingerprint;
ALTER TABLE operations DROP COLUMN key_project;
CREATE UNIQUE INDEX operations_by_key ON operations (project_id, idempotency_key);
