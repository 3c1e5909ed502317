-- Of the last heartbeat; 0 before the first, and of agents that tell none.
ALTER TABLE hosts ADD COLUMN heartbeat_generation BIGINT NOT NULL DEFAULT 0;
