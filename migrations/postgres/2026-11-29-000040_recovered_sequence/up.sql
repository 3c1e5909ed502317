-- Operations up to this number are not compared with those that the host's agent knows: they were when an administrator
-- ended a recovery.
ALTER TABLE hosts ADD COLUMN recovered_sequence BIGINT NOT NULL DEFAULT 0;
