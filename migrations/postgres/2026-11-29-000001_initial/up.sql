-- Hosts as their agents describe them, and containers as clients request them and agents report them. The tables and
-- columns are those of migrations/sqlite. Text is compared by bytes (COLLATE "C"), as in SQLite, so that both databases
-- sort alike.
CREATE TABLE hosts (
    id SERIAL PRIMARY KEY,
    uuid TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    cpu_millis BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL,
    -- JSON: the last reported inventory. It is kept while the engine does not answer.
    inventory TEXT,
    engine_up BOOLEAN NOT NULL,
    -- JSON: the address where clients dial consoles.
    console TEXT,
    -- Why clients cannot dial consoles on the host, as its agent reports. NULL if they can.
    console_trouble TEXT,
    interval_seconds INTEGER NOT NULL,
    leaving BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL DEFAULT FALSE,
    disabled_reason TEXT,
    forced_down BOOLEAN NOT NULL DEFAULT FALSE,
    report_count BIGINT NOT NULL,
    last_seen TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    -- Generation of the last heartbeat. It is 0 before the first one, and for agents that send none.
    heartbeat_generation BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE containers (
    id BIGSERIAL PRIMARY KEY,
    uuid TEXT COLLATE "C" NOT NULL UNIQUE,
    project_id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    image TEXT COLLATE "C" NOT NULL,
    cpu_millis BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL,
    tty BOOLEAN NOT NULL,
    interactive BOOLEAN NOT NULL,
    auto_remove BOOLEAN NOT NULL,
    -- JSON: everything that the agent needs to create the container.
    spec TEXT NOT NULL,
    start_wanted BOOLEAN NOT NULL,
    host TEXT COLLATE "C" REFERENCES hosts (name),
    engine_id TEXT COLLATE "C",
    -- The bus has confirmed the create command.
    dispatched BOOLEAN NOT NULL,
    -- Generation of the last applied report, 0 before the first.
    generation BIGINT NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    status_reason TEXT,
    status_detail TEXT,
    task_state TEXT COLLATE "C",
    exit_code BIGINT,
    oom_killed BOOLEAN NOT NULL,
    attached INTEGER NOT NULL,
    -- JSON: progress of the image pull, while it runs.
    image_pull TEXT,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    CONSTRAINT containers_project_name UNIQUE (project_id, name)
);

CREATE INDEX containers_by_host ON containers (host);
CREATE INDEX containers_by_status ON containers (status);
