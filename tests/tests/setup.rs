//! Tests of `docker-setup` on a real dockerd: set up, probe, undo and roll back. Simple processes stand in for systemd;
//! the testbed has the real one.

mod setup {
    mod completed;
    mod expiring;
    mod faults;
    mod host;
    mod inputs;
    mod refused;
    mod rolled_back;
    mod sized;
    mod units;
}
