-- Which agent a host has: the id of its state directory, the boot of its machine, and the directory with its engine's data.
ALTER TABLE hosts ADD COLUMN agent_state TEXT;
ALTER TABLE hosts ADD COLUMN agent_boot TEXT;
ALTER TABLE hosts ADD COLUMN engine_data TEXT;
-- Why another agent was refused, and when.
ALTER TABLE hosts ADD COLUMN refusal TEXT;
ALTER TABLE hosts ADD COLUMN refused_at TIMESTAMP;
