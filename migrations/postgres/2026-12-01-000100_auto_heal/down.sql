DROP INDEX containers_to_heal;
ALTER TABLE containers DROP COLUMN heal_at;
