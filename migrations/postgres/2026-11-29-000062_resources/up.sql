-- Volumes and networks of hosts. A host is set by the first container that uses one.
CREATE TABLE resources (
    id BIGSERIAL PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    host TEXT REFERENCES hosts (name),
    options TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    deleted_at TIMESTAMP
);
CREATE UNIQUE INDEX resources_by_name ON resources (project_id, kind, name) WHERE deleted_at IS NULL;

-- Which containers use them, from the creation to the confirmed removal.
CREATE TABLE resource_uses (
    id BIGSERIAL PRIMARY KEY,
    resource TEXT NOT NULL,
    container TEXT NOT NULL
);
CREATE UNIQUE INDEX resource_uses_by_resource ON resource_uses (resource, container);
CREATE INDEX resource_uses_by_container ON resource_uses (container);
