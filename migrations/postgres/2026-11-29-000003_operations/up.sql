-- The ledger: each accepted change is a row here until its host has carried it out.
CREATE TABLE operations (
    id BIGSERIAL PRIMARY KEY,
    uuid TEXT COLLATE "C" NOT NULL UNIQUE,
    -- The host that carries it out; NULL if the container was never scheduled.
    host TEXT COLLATE "C" REFERENCES hosts (name),
    -- Its number among the operations of the host. 0 without a host.
    sequence BIGINT NOT NULL,
    -- The number of the container's operation before this one.
    previous BIGINT,
    container TEXT COLLATE "C" NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    -- JSON: what the agent needs. NULL for a creation, whose specification is in the container's row.
    arguments TEXT,
    request_id TEXT COLLATE "C" NOT NULL,
    idempotency_key TEXT COLLATE "C",
    -- The epoch of the agent that may have received it; NULL if none has.
    epoch BIGINT,
    -- Number of agents that ended while they may have been at work on it.
    deaths INTEGER NOT NULL,
    -- The agent must not begin it after this time.
    not_after TIMESTAMP,
    -- NULL while it is open; then succeeded, failed, expired or unknown.
    outcome TEXT COLLATE "C",
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

ALTER TABLE hosts
    ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0,
    -- The epoch of the last heartbeat.
    ADD COLUMN heartbeat_epoch BIGINT NOT NULL DEFAULT 0,
    -- The engine's own id, from the agent's registration.
    ADD COLUMN engine_id TEXT COLLATE "C",
    -- The newest protocol that the agent speaks.
    ADD COLUMN protocol INTEGER NOT NULL DEFAULT 1,
    -- The number of the last operation of the host.
    ADD COLUMN last_sequence BIGINT NOT NULL DEFAULT 0;

-- Creations that were under way get a row, so that they are carried out or fail.
INSERT INTO operations (uuid, host, sequence, container, project_id, user_id, kind, request_id, deaths, not_after, accepted_at)
SELECT gen_random_uuid()::text, host, id, uuid, project_id, user_id, 'create', 'req-migration', 0,
    (now() AT TIME ZONE 'UTC') + INTERVAL '10 minutes', created_at
FROM containers
WHERE status = 'Creating' AND host IS NOT NULL;
UPDATE hosts SET last_sequence = (SELECT coalesce(max(sequence), 0) FROM operations WHERE operations.host = hosts.name);

ALTER TABLE containers
    DROP COLUMN dispatched,
    -- Epoch of the last applied report, 0 before the first. Epoch and generation order reports.
    ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0,
    -- A tombstone: its removal was accepted at this time. It is in no list, and its name is free.
    ADD COLUMN deleted_at TIMESTAMP,
    -- Its host has confirmed the removal. Until then it holds its resources.
    ADD COLUMN gone_at TIMESTAMP,
    DROP CONSTRAINT containers_project_name;
CREATE UNIQUE INDEX containers_by_name ON containers (project_id, name) WHERE deleted_at IS NULL;
CREATE INDEX containers_gone ON containers (gone_at) WHERE gone_at IS NOT NULL;
-- Lists do not read tombstones.
DROP INDEX containers_project_id;
CREATE INDEX containers_project_id ON containers (project_id, id) WHERE deleted_at IS NULL;
DROP INDEX containers_project_uuid;
CREATE INDEX containers_project_uuid ON containers (project_id, uuid) WHERE deleted_at IS NULL;
DROP INDEX containers_name;
CREATE INDEX containers_name ON containers (name, id) WHERE deleted_at IS NULL;
DROP INDEX containers_image;
CREATE INDEX containers_image ON containers (image, id) WHERE deleted_at IS NULL;
DROP INDEX containers_project_image;
CREATE INDEX containers_project_image ON containers (project_id, image, id) WHERE deleted_at IS NULL;
DROP INDEX containers_status;
CREATE INDEX containers_status ON containers (status, id) WHERE deleted_at IS NULL;
DROP INDEX containers_project_status;
CREATE INDEX containers_project_status ON containers (project_id, status, id) WHERE deleted_at IS NULL;
DROP INDEX containers_memory;
CREATE INDEX containers_memory ON containers (memory_mib, id) WHERE deleted_at IS NULL;
DROP INDEX containers_project_memory;
CREATE INDEX containers_project_memory ON containers (project_id, memory_mib, id) WHERE deleted_at IS NULL;
DROP INDEX containers_cpu;
CREATE INDEX containers_cpu ON containers (cpu_millis, id) WHERE deleted_at IS NULL;
DROP INDEX containers_project_cpu;
CREATE INDEX containers_project_cpu ON containers (project_id, cpu_millis, id) WHERE deleted_at IS NULL;
DROP INDEX containers_created_at;
CREATE INDEX containers_created_at ON containers (created_at, id) WHERE deleted_at IS NULL;
DROP INDEX containers_project_created_at;
CREATE INDEX containers_project_created_at ON containers (project_id, created_at, id) WHERE deleted_at IS NULL;
DROP INDEX containers_updated_at;
CREATE INDEX containers_updated_at ON containers (updated_at, id) WHERE deleted_at IS NULL;
DROP INDEX containers_project_updated_at;
CREATE INDEX containers_project_updated_at ON containers (project_id, updated_at, id) WHERE deleted_at IS NULL;
