-- Hosts as their agents describe them, and containers as clients request them and agents report them.
CREATE TABLE hosts (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    uuid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    cpu_millis BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL,
    -- JSON: the last reported inventory. It is kept while the engine does not answer.
    inventory TEXT,
    engine_up BOOLEAN NOT NULL,
    -- JSON: the address where clients dial consoles.
    console TEXT,
    interval_seconds INTEGER NOT NULL,
    leaving BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL DEFAULT 0,
    disabled_reason TEXT,
    forced_down BOOLEAN NOT NULL DEFAULT 0,
    report_count BIGINT NOT NULL,
    last_seen TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);

CREATE TABLE containers (
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
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    UNIQUE (project_id, name)
);

CREATE INDEX containers_by_host ON containers (host);
CREATE INDEX containers_by_status ON containers (status);
