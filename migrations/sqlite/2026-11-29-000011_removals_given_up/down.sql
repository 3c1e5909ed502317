ALTER TABLE operations DROP COLUMN given_up_at;
