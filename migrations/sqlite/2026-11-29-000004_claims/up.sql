-- Whether the container counts in the totals of its host.
ALTER TABLE containers ADD COLUMN claim_held BOOLEAN NOT NULL DEFAULT 0;
UPDATE containers SET claim_held = 1 WHERE host IS NOT NULL AND gone_at IS NULL;

-- The totals of the containers that hold a claim.
ALTER TABLE hosts ADD COLUMN used_cpu_millis BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN used_memory_mib BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN used_containers BIGINT NOT NULL DEFAULT 0;
UPDATE hosts SET
    used_cpu_millis = (SELECT coalesce(sum(cpu_millis), 0) FROM containers WHERE host = hosts.name AND claim_held),
    used_memory_mib = (SELECT coalesce(sum(memory_mib), 0) FROM containers WHERE host = hosts.name AND claim_held),
    used_containers = (SELECT count(*) FROM containers WHERE host = hosts.name AND claim_held);
