-- Whether the container counts in the totals of its host.
ALTER TABLE containers ADD COLUMN claim_held BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE containers SET claim_held = TRUE WHERE host IS NOT NULL AND gone_at IS NULL;

-- The totals of the containers that hold a claim.
ALTER TABLE hosts
    ADD COLUMN used_cpu_millis BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN used_memory_mib BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN used_containers BIGINT NOT NULL DEFAULT 0;
UPDATE hosts SET
    used_cpu_millis = held.cpu_millis,
    used_memory_mib = held.memory_mib,
    used_containers = held.containers
FROM (
    SELECT host, sum(cpu_millis) AS cpu_millis, sum(memory_mib) AS memory_mib, count(*) AS containers
    FROM containers
    WHERE claim_held
    GROUP BY host
) AS held
WHERE held.host = hosts.name;
