ALTER TABLE hosts DROP COLUMN recovered_sequence;
