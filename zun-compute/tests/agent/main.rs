//! The agent over the bus in process, an engine in memory and a scripted zun-api.

mod commands;
mod consoles;
mod controller;
mod outage;
mod panics;
mod questions;
mod reconcile;
mod recovery;
mod shutdown;
mod world;
