-- Logins of projects to registries of images. The password is encrypted with a key that is not in the database; key_id
-- names it.
CREATE TABLE registries (
    id BIGSERIAL PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT,
    domain TEXT NOT NULL,
    username TEXT,
    password TEXT,
    key_id TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX registries_by_name ON registries (project_id, name);
CREATE INDEX registries_by_domain ON registries (project_id, domain);
