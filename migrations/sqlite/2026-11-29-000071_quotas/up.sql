-- What a container has of its project's quota for disk.
ALTER TABLE containers ADD COLUMN disk_gib BIGINT NOT NULL DEFAULT 0;
UPDATE containers SET disk_gib = coalesce(json_extract(spec, '$.disk'), 0) WHERE json_valid(spec);

-- What the containers of each project use, and its own limits. A missing limit is that of the class `default`; -1 is none.
CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    project_id TEXT NOT NULL UNIQUE,
    used_containers BIGINT NOT NULL DEFAULT 0,
    used_cpu_millis BIGINT NOT NULL DEFAULT 0,
    used_memory_mib BIGINT NOT NULL DEFAULT 0,
    used_disk_gib BIGINT NOT NULL DEFAULT 0,
    quota_containers BIGINT,
    quota_cpu BIGINT,
    quota_memory_mib BIGINT,
    quota_disk_gib BIGINT
);
-- Every container counts until its removal is confirmed, and its resources while it holds a claim on a host.
INSERT INTO projects (project_id, used_containers, used_cpu_millis, used_memory_mib, used_disk_gib)
SELECT project_id, count(*),
    sum(CASE WHEN claim_held THEN cpu_millis ELSE 0 END),
    sum(CASE WHEN claim_held THEN memory_mib ELSE 0 END),
    sum(CASE WHEN claim_held THEN disk_gib ELSE 0 END)
FROM containers
WHERE gone_at IS NULL
GROUP BY project_id;

-- The limits of projects without their own. A missing limit is that of the settings.
CREATE TABLE quota_classes (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    quota_containers BIGINT,
    quota_cpu BIGINT,
    quota_memory_mib BIGINT,
    quota_disk_gib BIGINT
);
