DROP TRIGGER containers_revision ON containers;
DROP FUNCTION containers_revision();
ALTER TABLE containers DROP COLUMN revision;
