DROP TABLE port_claims;
