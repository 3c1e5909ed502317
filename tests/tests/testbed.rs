//! Tests on hosts with systemd, which `make testbed-up` starts. `make test-testbed` runs them.

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
