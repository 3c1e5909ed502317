-- Containers are found by the beginning of the id that Docker gave them.
CREATE INDEX containers_engine_id ON containers (engine_id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_engine_id ON containers (project_id, engine_id) WHERE deleted_at IS NULL;
