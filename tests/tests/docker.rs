//! Tests of the container drivers: the conformance suite for Docker and for the in-memory driver, and separate tests of
//! each.

mod docker {
    mod engine;
    mod fake;
    mod proxy;
    mod real;

    mod conformance {
        zun_tests::driver_conformance!(crate::docker::real::docker);
    }

    mod conformance_in_memory {
        zun_tests::driver_conformance!(crate::docker::fake::in_memory);
    }
}
