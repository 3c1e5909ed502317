DROP TRIGGER containers_revision;
ALTER TABLE containers DROP COLUMN revision;
