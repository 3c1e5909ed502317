//! Real hosts under systemd, as `make testbed-up` makes them. `make test-testbed` runs these.

mod testbed {
    mod docker_setup;
    mod hosts;
    mod later;
    mod lifecycle;
    mod rotation;
    mod sessions;
    mod support;
    mod uninstall;
    mod watch;
}
