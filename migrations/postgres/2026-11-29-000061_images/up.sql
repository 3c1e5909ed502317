-- Images that were pulled by request. Their pulls and removals are operations of their hosts, under the image's uuid.
CREATE TABLE images (
    id BIGSERIAL PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    host TEXT NOT NULL REFERENCES hosts (name),
    repo TEXT NOT NULL,
    tag TEXT NOT NULL,
    platform TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    engine_id TEXT,
    size BIGINT,
    progress TEXT,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX images_by_name ON images (project_id, host, repo, tag, platform);
CREATE INDEX images_by_host ON images (host, repo, tag);
