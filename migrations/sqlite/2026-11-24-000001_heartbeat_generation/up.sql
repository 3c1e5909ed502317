-- Generation of the last heartbeat. It is 0 before the first one, and for agents that send none.
ALTER TABLE hosts ADD COLUMN heartbeat_generation BIGINT NOT NULL DEFAULT 0;
