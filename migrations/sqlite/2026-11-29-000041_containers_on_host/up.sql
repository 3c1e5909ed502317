-- The containers that are or may be on a host, without the deleted ones that are kept for some time.
CREATE INDEX containers_on_host ON containers (host) WHERE gone_at IS NULL;
