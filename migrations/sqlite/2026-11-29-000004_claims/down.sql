ALTER TABLE containers DROP COLUMN claim_held;
ALTER TABLE hosts DROP COLUMN used_cpu_millis;
ALTER TABLE hosts DROP COLUMN used_memory_mib;
ALTER TABLE hosts DROP COLUMN used_containers;
