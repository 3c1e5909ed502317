//! Real hosts under systemd, as `make testbed-up` makes them. `make test-testbed` runs these.

mod testbed {
    mod docker_setup;
    mod hosts;
    mod lifecycle;
    mod operations;
    mod rotation;
    mod sessions;
    mod support;
    mod uninstall;
    mod watch;
}
