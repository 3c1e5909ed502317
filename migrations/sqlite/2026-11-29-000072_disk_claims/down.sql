ALTER TABLE hosts DROP COLUMN used_disk_gib;
ALTER TABLE hosts DROP COLUMN disk_gib;
