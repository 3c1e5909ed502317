-- An index for each order of a list, in one project and in all. `id` makes each order total. The orders by id and by uuid in
-- all projects, and by name in one, have an index already.
CREATE INDEX containers_project_id ON containers (project_id, id);
CREATE INDEX containers_project_uuid ON containers (project_id, uuid);
CREATE INDEX containers_name ON containers (name, id);
CREATE INDEX containers_image ON containers (image, id);
CREATE INDEX containers_project_image ON containers (project_id, image, id);
CREATE INDEX containers_status ON containers (status, id);
CREATE INDEX containers_project_status ON containers (project_id, status, id);
CREATE INDEX containers_memory ON containers (memory_mib, id);
CREATE INDEX containers_project_memory ON containers (project_id, memory_mib, id);
CREATE INDEX containers_cpu ON containers (cpu_millis, id);
CREATE INDEX containers_project_cpu ON containers (project_id, cpu_millis, id);
CREATE INDEX containers_created_at ON containers (created_at, id);
CREATE INDEX containers_project_created_at ON containers (project_id, created_at, id);
CREATE INDEX containers_updated_at ON containers (updated_at, id);
CREATE INDEX containers_project_updated_at ON containers (project_id, updated_at, id);
-- The index containers_status replaces it.
DROP INDEX containers_by_status;
