//! zun-api: the REST API with authentication and permissions, the scheduler, the database, the CA for console
//! grants and host certificates, and the consumer of agents' reports.

mod app;
mod auth;
pub mod ca;
mod db;
mod health;
mod http;
mod ledger;
mod metrics;
mod private_file;
mod reports;
mod scheduler;
pub mod secrets;
mod service;
pub mod settings;
pub mod simulation;
mod tls;
mod wait;

pub use db::copy::{CopiedTable, CopyError, copy as copy_database};
pub use health::HealthMonitor;
pub use service::{DbFailure, Service, StartError, check};
pub use tls::TlsError;
