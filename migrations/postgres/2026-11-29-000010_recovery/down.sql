ALTER TABLE hosts DROP COLUMN agent_sequence;
DROP TABLE cluster;
