//! Tests of the interactive conditions, with the real programs, a real terminal or pipe, and a real engine.
//! The name of a test for a condition begins with the condition's number, and its result is recorded.

mod interactive {
    mod attach;
    mod clusters;
    mod empty_values;
    mod endings;
    mod events;
    mod exec;
    mod exec_terminal;
    mod gate;
    mod grants;
    mod images;
    mod latency;
    mod leaving;
    mod library;
    mod links;
    mod log_records;
    mod openstack;
    mod options;
    mod pipes;
    mod ports;
    mod pull;
    mod rebuild;
    mod recordings;
    mod registry_login;
    mod resources;
    mod screen;
    mod sharing;
    mod signals;
    mod statuses;
    mod terminal;
    mod verbs;
}
