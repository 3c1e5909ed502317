//! The test harness: what the tests of `tests/tests` share.

pub mod api_page;
pub mod cluster;
pub mod conditions;
pub mod conformance;
pub mod debian_registry;
pub mod delay;
pub mod documents;
pub mod eventually;
pub mod exposition;
pub mod history;
pub mod keystone;
pub mod model;
pub mod picture;
pub mod postgres;
pub mod profile;
pub mod proxy;
pub mod pty;
pub mod rabbit;
pub mod registry;
pub mod scripted_agent;
pub mod simulation;
pub mod tls;
pub mod tunnel;
pub mod zun_cli;
