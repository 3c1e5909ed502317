-- When zun-api next checks whether an unhealthy container with auto_heal must be restarted.
ALTER TABLE containers ADD COLUMN heal_at TIMESTAMP;
CREATE INDEX containers_to_heal ON containers (heal_at) WHERE heal_at IS NOT NULL;
