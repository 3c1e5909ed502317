-- JSON: containers with the label of this cluster that the database does not know, as the host's agent reports them.
ALTER TABLE hosts ADD COLUMN strays TEXT;
-- The sums of their limits, which nobody else can claim.
ALTER TABLE hosts ADD COLUMN stray_cpu_millis BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN stray_memory_mib BIGINT NOT NULL DEFAULT 0;
