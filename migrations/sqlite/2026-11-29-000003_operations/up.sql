-- The ledger: each accepted change is a row here until its host has carried it out.
CREATE TABLE operations (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    uuid TEXT NOT NULL UNIQUE,
    -- The host that carries it out; NULL if the container was never scheduled.
    host TEXT REFERENCES hosts (name),
    -- Its number among the operations of the host. 0 without a host.
    sequence BIGINT NOT NULL,
    -- The number of the container's operation before this one.
    previous BIGINT,
    container TEXT NOT NULL,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- JSON: what the agent needs. NULL for a creation, whose specification is in the container's row.
    arguments TEXT,
    request_id TEXT NOT NULL,
    idempotency_key TEXT,
    -- The epoch of the agent that may have received it; NULL if none has.
    epoch BIGINT,
    -- Number of agents that ended while they may have been at work on it.
    deaths INTEGER NOT NULL,
    -- The agent must not begin it after this time.
    not_after TIMESTAMP,
    -- NULL while it is open; then succeeded, failed, expired or unknown.
    outcome TEXT,
    -- JSON: the code and the message of a failure.
    problem TEXT,
    accepted_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP
);

CREATE UNIQUE INDEX operations_by_sequence ON operations (host, sequence) WHERE host IS NOT NULL;
CREATE UNIQUE INDEX operations_by_key ON operations (project_id, idempotency_key);
CREATE INDEX operations_by_container ON operations (container, id);
CREATE INDEX operations_open ON operations (host, sequence) WHERE outcome IS NULL;
CREATE INDEX operations_by_limit ON operations (not_after) WHERE outcome IS NULL;

ALTER TABLE hosts ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
-- The epoch of the last heartbeat.
ALTER TABLE hosts ADD COLUMN heartbeat_epoch BIGINT NOT NULL DEFAULT 0;
-- The engine's own id, from the agent's registration.
ALTER TABLE hosts ADD COLUMN engine_id TEXT;
-- The newest protocol that the agent speaks.
ALTER TABLE hosts ADD COLUMN protocol INTEGER NOT NULL DEFAULT 1;
-- The number of the last operation of the host.
ALTER TABLE hosts ADD COLUMN last_sequence BIGINT NOT NULL DEFAULT 0;

-- Creations that were under way get a row, so that they are carried out or fail.
INSERT INTO operations (uuid, host, sequence, container, project_id, user_id, kind, request_id, deaths, not_after, accepted_at)
SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8'
        || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
    host, id, uuid, project_id, user_id, 'create', 'req-migration', 0, datetime('now', '+10 minutes'), created_at
FROM containers
WHERE status = 'Creating' AND host IS NOT NULL;
UPDATE hosts SET last_sequence = (SELECT coalesce(max(sequence), 0) FROM operations WHERE operations.host = hosts.name);

-- A name is unique among the containers that are not deleted. SQLite cannot drop the former constraint, so the table is
-- rebuilt.
CREATE TABLE containers_new (
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
    -- Epoch and generation of the last applied report, 0 before the first. They order reports.
    epoch BIGINT NOT NULL DEFAULT 0,
    generation BIGINT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    status_detail TEXT,
    task_state TEXT,
    exit_code BIGINT,
    oom_killed BOOLEAN NOT NULL,
    attached INTEGER NOT NULL,
    image_pull TEXT,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    -- A tombstone: its removal was accepted at this time. It is in no list, and its name is free.
    deleted_at TIMESTAMP,
    -- Its host has confirmed the removal. Until then it holds its resources.
    gone_at TIMESTAMP
);

INSERT INTO containers_new (id, uuid, project_id, user_id, name, image, cpu_millis, memory_mib, tty, interactive, auto_remove, spec, start_wanted, host, engine_id, generation, status, status_reason, status_detail, task_state, exit_code, oom_killed, attached, image_pull, started_at, finished_at, created_at, updated_at)
SELECT id, uuid, project_id, user_id, name, image, cpu_millis, memory_mib, tty, interactive, auto_remove, spec, start_wanted, host, engine_id, generation, status, status_reason, status_detail, task_state, exit_code, oom_killed, attached, image_pull, started_at, finished_at, created_at, updated_at FROM containers;
DROP TABLE containers;
ALTER TABLE containers_new RENAME TO containers;
CREATE UNIQUE INDEX containers_by_name ON containers (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX containers_by_host ON containers (host);
CREATE INDEX containers_gone ON containers (gone_at) WHERE gone_at IS NOT NULL;
-- Lists do not read tombstones.
CREATE INDEX containers_project_id ON containers (project_id, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_uuid ON containers (project_id, uuid) WHERE deleted_at IS NULL;
CREATE INDEX containers_name ON containers (name, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_image ON containers (image, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_image ON containers (project_id, image, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_status ON containers (status, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_status ON containers (project_id, status, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_memory ON containers (memory_mib, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_memory ON containers (project_id, memory_mib, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_cpu ON containers (cpu_millis, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_cpu ON containers (project_id, cpu_millis, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_created_at ON containers (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_created_at ON containers (project_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_updated_at ON containers (updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX containers_project_updated_at ON containers (project_id, updated_at, id) WHERE deleted_at IS NULL;
