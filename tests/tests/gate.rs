//! Tests of the console gate with a real engine and raw clients of `zun.pty.v1`.

mod gate {
    mod bench;
    mod client;
    mod conformance;
    mod cuts;
    mod fencing;
    mod files;
    mod matrix;
    mod program;
    mod raw;
    mod refusals;
    mod restarts;
    mod screens;
    mod sessions;
    mod slow;
    mod tickets;
    mod viewers;
    mod web;
}
