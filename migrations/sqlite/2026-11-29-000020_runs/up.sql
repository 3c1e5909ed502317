-- The runs of containers. An agent numbers them; a report writes them in its transaction.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    container TEXT NOT NULL,
    number BIGINT NOT NULL,
    -- The engine's text for the time of the start. It is only compared for equality.
    raw_started TEXT,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    exit_code BIGINT,
    -- NULL until the run has ended.
    reason TEXT,
    -- The engine's message, if it could not start the process.
    message TEXT
);
CREATE UNIQUE INDEX runs_by_number ON runs (container, number);

-- The number of the newest run; 0 before the first.
ALTER TABLE containers ADD COLUMN run BIGINT NOT NULL DEFAULT 0;
-- The run that the operation began, if it began one.
ALTER TABLE operations ADD COLUMN run BIGINT;
