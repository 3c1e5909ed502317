//! Tests of zun-api over real HTTP, with an in-memory bus, a PostgreSQL database and scripted agents: those of `api.rs`.

/// Whether the tests run on PostgreSQL.
const ON_POSTGRES: bool = true;

#[path = "api/actions.rs"]
mod actions;
#[path = "api/agents.rs"]
mod agents;
#[path = "api/claims.rs"]
mod claims;
#[path = "api/console.rs"]
mod console;
#[path = "api/contract.rs"]
mod contract;
#[path = "api/create.rs"]
mod create;
#[path = "api/edge.rs"]
mod edge;
#[path = "api/events.rs"]
mod events;
#[path = "api/explain.rs"]
mod explain;
#[path = "api/files.rs"]
mod files;
#[path = "api/images.rs"]
mod images;
#[path = "api/keys.rs"]
mod keys;
#[path = "api/ledger.rs"]
mod ledger;
#[path = "api/listing.rs"]
mod listing;
#[path = "api/metrics.rs"]
mod metrics;
#[path = "api/options.rs"]
mod options;
#[path = "api/placement.rs"]
mod placement;
#[path = "api/ports.rs"]
mod ports;
#[path = "api/quotas.rs"]
mod quotas;
#[path = "api/rebuild.rs"]
mod rebuild;
#[path = "api/recordings.rs"]
mod recordings;
#[path = "api/recovery.rs"]
mod recovery;
#[path = "api/registries.rs"]
mod registries;
#[path = "api/reports.rs"]
mod reports;
#[path = "api/resources.rs"]
mod resources;
#[path = "api/runs.rs"]
mod runs;
#[path = "api/service.rs"]
mod service;
#[path = "api/services.rs"]
mod services;
#[path = "api/shapes.rs"]
mod shapes;
#[path = "api/strays.rs"]
mod strays;
#[path = "api/support.rs"]
mod support;
#[path = "api/tenancy.rs"]
mod tenancy;
#[path = "api/tickets.rs"]
mod tickets;
#[path = "api/wait.rs"]
mod wait;
