-- The cluster's id, from the first registration of an agent on.
CREATE TABLE cluster (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    uuid TEXT NOT NULL
);
-- The highest number of an operation that the host's agent knows, if that is beyond last_sequence: the database is an
-- older copy. NULL otherwise.
ALTER TABLE hosts ADD COLUMN agent_sequence BIGINT;
