CREATE TABLE containers_old (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    uuid TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    image TEXT NOT NULL,
    cpu_millis BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL,
    tty BOOLEAN NOT NULL,
    interactive BOOLEAN NOT NULL,
    auto_remove BOOLEAN NOT NULL,
    -- JSON: everything that the agent needs to create the container.
    spec TEXT NOT NULL,
    start_wanted BOOLEAN NOT NULL,
    host TEXT REFERENCES hosts (name),
    engine_id TEXT,
    -- The bus has confirmed the create command.
    dispatched BOOLEAN NOT NULL,
    -- Generation of the last applied report, 0 before the first.
    generation BIGINT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    status_detail TEXT,
    task_state TEXT,
    exit_code BIGINT,
    oom_killed BOOLEAN NOT NULL,
    attached INTEGER NOT NULL,
    -- JSON: progress of the image pull, while it runs.
    image_pull TEXT,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    UNIQUE (project_id, name)
);

INSERT INTO containers_old (id, uuid, project_id, user_id, name, image, cpu_millis, memory_mib, tty, interactive, auto_remove, spec, start_wanted, host, engine_id, generation, status, status_reason, status_detail, task_state, exit_code, oom_killed, attached, image_pull, started_at, finished_at, created_at, updated_at, dispatched)
SELECT id, uuid, project_id, user_id, name, image, cpu_millis, memory_mib, tty, interactive, auto_remove, spec, start_wanted, host, engine_id, generation, status, status_reason, status_detail, task_state, exit_code, oom_killed, attached, image_pull, started_at, finished_at, created_at, updated_at, 1 FROM containers WHERE deleted_at IS NULL;
DROP TABLE containers;
ALTER TABLE containers_old RENAME TO containers;
CREATE INDEX containers_by_host ON containers (host);
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

DROP TABLE operations;
ALTER TABLE hosts DROP COLUMN epoch;
ALTER TABLE hosts DROP COLUMN heartbeat_epoch;
ALTER TABLE hosts DROP COLUMN engine_id;
ALTER TABLE hosts DROP COLUMN protocol;
ALTER TABLE hosts DROP COLUMN last_sequence;
