//! `docker-setup` on a real dockerd: set up, proved, undone, and rolled back. systemd's part is played by a few
//! processes here; the testbed has the real one.

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
