DELETE FROM containers WHERE deleted_at IS NOT NULL;
DROP INDEX containers_by_name;
DROP INDEX containers_gone;
DROP INDEX containers_project_id;
CREATE INDEX containers_project_id ON containers (project_id, id);
DROP INDEX containers_project_uuid;
CREATE INDEX containers_project_uuid ON containers (project_id, uuid);
DROP INDEX containers_name;
CREATE INDEX containers_name ON containers (name, id);
DROP INDEX containers_image;
CREATE INDEX containers_image ON containers (image, id);
DROP INDEX containers_project_image;
CREATE INDEX containers_project_image ON containers (project_id, image, id);
DROP INDEX containers_status;
CREATE INDEX containers_status ON containers (status, id);
DROP INDEX containers_project_status;
CREATE INDEX containers_project_status ON containers (project_id, status, id);
DROP INDEX containers_memory;
CREATE INDEX containers_memory ON containers (memory_mib, id);
DROP INDEX containers_project_memory;
CREATE INDEX containers_project_memory ON containers (project_id, memory_mib, id);
DROP INDEX containers_cpu;
CREATE INDEX containers_cpu ON containers (cpu_millis, id);
DROP INDEX containers_project_cpu;
CREATE INDEX containers_project_cpu ON containers (project_id, cpu_millis, id);
DROP INDEX containers_created_at;
CREATE INDEX containers_created_at ON containers (created_at, id);
DROP INDEX containers_project_created_at;
CREATE INDEX containers_project_created_at ON containers (project_id, created_at, id);
DROP INDEX containers_updated_at;
CREATE INDEX containers_updated_at ON containers (updated_at, id);
DROP INDEX containers_project_updated_at;
CREATE INDEX containers_project_updated_at ON containers (project_id, updated_at, id);
ALTER TABLE containers
    ADD COLUMN dispatched BOOLEAN NOT NULL DEFAULT TRUE,
    DROP COLUMN epoch,
    DROP COLUMN deleted_at,
    DROP COLUMN gone_at,
    ADD CONSTRAINT containers_project_name UNIQUE (project_id, name);
ALTER TABLE containers ALTER COLUMN dispatched DROP DEFAULT;
DROP TABLE operations;
ALTER TABLE hosts
    DROP COLUMN epoch,
    DROP COLUMN heartbeat_epoch,
    DROP COLUMN engine_id,
    DROP COLUMN protocol,
    DROP COLUMN last_sequence;
