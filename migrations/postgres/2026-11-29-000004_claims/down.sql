ALTER TABLE containers DROP COLUMN claim_held;
ALTER TABLE hosts
    DROP COLUMN used_cpu_millis,
    DROP COLUMN used_memory_mib,
    DROP COLUMN used_containers;
