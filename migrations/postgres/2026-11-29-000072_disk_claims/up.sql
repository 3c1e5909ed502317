-- The disk of the host, and what its containers claim of it.
ALTER TABLE hosts ADD COLUMN disk_gib BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN used_disk_gib BIGINT NOT NULL DEFAULT 0;
UPDATE hosts SET disk_gib = coalesce(substring(inventory FROM '"disk":([0-9]{1,9})')::BIGINT, 0);
UPDATE hosts SET used_disk_gib = (SELECT coalesce(sum(disk_gib), 0) FROM containers WHERE host = hosts.name AND claim_held);
