ALTER TABLE hosts DROP COLUMN heartbeat_generation;
