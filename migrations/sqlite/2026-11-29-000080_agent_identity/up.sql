-- Which agent a host has: the id of its state directory, and the boot of its machine.
ALTER TABLE hosts ADD COLUMN agent_state TEXT;
ALTER TABLE hosts ADD COLUMN agent_boot TEXT;
-- Why another agent was refused, and when.
ALTER TABLE hosts ADD COLUMN refusal TEXT;
ALTER TABLE hosts ADD COLUMN refused_at TIMESTAMP;
