//! Tests of direct dialling against a real engine: mutual TLS, grants and `zun-authz` (C52, C55, C57).

mod authz {
    mod bench;
    mod corpus;
    mod host_certificate;
    mod matrix;
    mod program;
    mod refusals;
    mod request;
    mod sessions;
    mod time;
}
