ALTER TABLE containers DROP COLUMN image_pull;
