//! The standalone service as a machine sees it: what it starts, what it leaves alone, and what is left of
//! it. Needs root.

mod deploy {
    mod crashes;
    mod machine;
    mod standalone;
    mod units;
}
