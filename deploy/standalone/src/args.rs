//! The command line of zun-standalone.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use url::Url;

/// Run all of Zun in one process on one machine, with a private Docker engine
///
/// Needs root and the Debian packages docker.io, iproute2 and iptables. Needs no configuration, no RabbitMQ and no
/// systemd. Does not touch the machine's own Docker.
#[derive(Debug, Parser)]
#[command(name = "zun-standalone", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The subcommand.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run in the foreground until SIGTERM or SIGINT, and print `ready` to stdout when the service is ready
    Run(StartArgs),
    /// Start in the background and wait until the service is ready; do nothing if it is already running
    Up(StartArgs),
    /// Stop the service, or clean up after a crash, and remove all its state
    Down(StateArgs),
    /// Print whether the service is running (exit code 0 if it is, 1 if not)
    Status(StateArgs),
}

/// Where the service keeps its state.
#[derive(Debug, Clone, Args)]
pub(crate) struct StateArgs {
    /// State directory
    #[arg(long, value_name = "DIR", default_value = "/var/lib/zun-standalone")]
    pub(crate) state: PathBuf,
    /// Environment file for a shell to source; exists only while the service is ready
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}

/// How to start the service.
#[derive(Debug, Clone, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) place: StateArgs,
    /// Address of zun-api; must be a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9517")]
    pub(crate) listen: SocketAddr,
    /// Authenticate callers with the Keystone at this URL, as the user `zun` of the project
    /// `service` (default: with a token in the environment file)
    #[arg(long, value_name = "URL", requires = "keystone_password_file")]
    pub(crate) keystone: Option<Url>,
    /// File with the password of the user `zun` in Keystone, mode 0600
    #[arg(long, value_name = "FILE", requires = "keystone")]
    pub(crate) keystone_password_file: Option<PathBuf>,
    /// Authorization plugin [default: zun-authz in the directory of this program]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) authz: Option<PathBuf>,
    /// Console gate [default: zun-console in the directory of this program]
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) console: Option<PathBuf>,
    /// Log filter, such as `info` or `info,zun_common::bus=debug`
    #[arg(long, value_name = "FILTER", default_value = "info,actix_server=warn")]
    pub(crate) log: String,
}
