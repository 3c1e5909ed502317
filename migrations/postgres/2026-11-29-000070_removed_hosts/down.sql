ALTER TABLE hosts DROP COLUMN removed_at;
