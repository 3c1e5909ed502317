//! Container drivers: the conformance suite on Docker and in memory, and what only one of them does.

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
