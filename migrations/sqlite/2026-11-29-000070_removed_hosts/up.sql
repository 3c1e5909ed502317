-- When an administrator removed the host. Its row keeps its numbers for the case that it returns.
ALTER TABLE hosts ADD COLUMN removed_at TIMESTAMP;
