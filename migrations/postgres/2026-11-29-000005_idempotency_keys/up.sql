-- The project of the caller, to which the key belongs. An administrator may change containers of other projects.
ALTER TABLE operations ADD COLUMN key_project TEXT COLLATE "C";
-- SHA-256 of what the request asked for: a key belongs to one request.
ALTER TABLE operations ADD COLUMN fingerprint TEXT COLLATE "C";

DROP INDEX operations_by_key;
CREATE UNIQUE INDEX operations_by_key ON operations (key_project, idempotency_key);
