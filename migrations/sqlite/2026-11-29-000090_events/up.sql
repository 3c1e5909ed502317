-- What has happened to containers, images, volumes and networks. `txid` is 0 here: one writer writes the rows in order.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    txid BIGINT NOT NULL,
    project_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    host TEXT,
    attributes TEXT NOT NULL,
    at TIMESTAMP NOT NULL
);
CREATE INDEX events_of_project ON events (project_id, id);
