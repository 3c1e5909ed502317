-- A number that changes with each change of a row, so that zun-api knows whether what it keeps in memory still holds. Random,
-- so that it does not repeat after a database is restored. `recursive_triggers` is off: the trigger does not run itself.
ALTER TABLE containers ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
CREATE TRIGGER containers_revision AFTER UPDATE ON containers
WHEN NEW.revision = OLD.revision
BEGIN
    UPDATE containers SET revision = random() WHERE id = NEW.id;
END;
