//! Real hosts under systemd, as `make testbed-up` makes them. `make test-testbed` runs these.

mod testbed {
    mod hosts;
    mod sessions;
    mod support;
}
