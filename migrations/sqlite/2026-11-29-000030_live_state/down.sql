ALTER TABLE containers DROP COLUMN live;
