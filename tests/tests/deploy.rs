//! Tests of the standalone service: what it starts, and that it removes everything. They need root.

mod deploy {
    mod crashes;
    mod documents;
    mod machine;
    mod standalone;
    mod troubleshooting;
    mod units;
}
