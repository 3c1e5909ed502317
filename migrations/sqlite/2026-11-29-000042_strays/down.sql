ALTER TABLE hosts DROP COLUMN strays;
ALTER TABLE hosts DROP COLUMN stray_cpu_millis;
ALTER TABLE hosts DROP COLUMN stray_memory_mib;
