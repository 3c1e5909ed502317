-- A number that changes with each change of a row, so that zun-api knows whether what it keeps in memory still holds. Random,
-- so that it does not repeat after a database is restored.
ALTER TABLE containers ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
CREATE FUNCTION containers_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := floor(random() * 9007199254740992)::BIGINT;
    RETURN NEW;
END;
$$;
CREATE TRIGGER containers_revision BEFORE UPDATE ON containers
FOR EACH ROW EXECUTE FUNCTION containers_revision();
