-- What a container has of its project's quota for disk.
ALTER TABLE containers ADD COLUMN disk_gib BIGINT NOT NULL DEFAULT 0;
-- A text in the row has its quotes escaped, so only the field matches.
UPDATE containers SET disk_gib = coalesce(substring(spec FROM '"disk":([0-9]{1,9})')::BIGINT, 0);

-- What the containers of each project use, and its own limits. A missing limit is that of the class `default`; -1 is none.
CREATE TABLE projects (
    id BIGSERIAL PRIMARY KEY,
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
    id BIGSERIAL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    quota_containers BIGINT,
    quota_cpu BIGINT,
    quota_memory_mib BIGINT,
    quota_disk_gib BIGINT
);
