-- Ports of hosts that containers have, from the creation to the confirmed removal. A claim of all addresses (0.0.0.0 or ::)
-- conflicts with those of single ones; the transaction checks that while it holds the host's row.
CREATE TABLE port_claims (
    id BIGSERIAL PRIMARY KEY,
    host TEXT NOT NULL REFERENCES hosts (name),
    protocol TEXT NOT NULL,
    host_port INTEGER NOT NULL,
    host_address TEXT NOT NULL,
    container TEXT NOT NULL
);
CREATE UNIQUE INDEX port_claims_by_port ON port_claims (host_port, host, protocol, host_address);
CREATE INDEX port_claims_by_container ON port_claims (container);
