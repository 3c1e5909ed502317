ALTER TABLE hosts DROP COLUMN refused_at;
ALTER TABLE hosts DROP COLUMN refusal;
ALTER TABLE hosts DROP COLUMN engine_data;
ALTER TABLE hosts DROP COLUMN agent_boot;
ALTER TABLE hosts DROP COLUMN agent_state;
