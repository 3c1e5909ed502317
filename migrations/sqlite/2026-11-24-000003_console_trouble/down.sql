ALTER TABLE hosts DROP COLUMN console_trouble;
