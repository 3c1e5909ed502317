//! zun-api: the REST API, who may do what, where containers go, the database, the granting of consoles,
//! and the consumer of what agents report.

mod app;
mod auth;
pub mod ca;
mod db;
mod health;
mod http;
mod metrics;
mod reports;
mod scheduler;
mod service;
pub mod settings;
mod wait;

pub use health::HealthMonitor;
pub use service::{DbFailure, Service, StartError, check};
