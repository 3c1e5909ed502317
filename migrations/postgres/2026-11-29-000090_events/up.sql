-- What has happened to containers, images, volumes and networks. `txid` is the transaction that wrote the row: those who
-- follow the events read only rows of transactions before all that still run, in the order of (txid, id), so that they
-- skip none.
CREATE TABLE events (
    id BIGSERIAL PRIMARY KEY,
    txid BIGINT NOT NULL,
    project_id TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    host TEXT,
    attributes TEXT NOT NULL,
    at TIMESTAMP NOT NULL
);
CREATE INDEX events_in_order ON events (txid, id);
CREATE INDEX events_of_project ON events (project_id, txid, id);
