//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The whole of Zun in one process, for one machine, with a Docker engine of its own.
///
/// It needs root and Debian's packages docker.io, iproute2 and iptables; it needs no configuration, no
/// RabbitMQ, no systemd, and leaves the machine's own Docker alone.
#[derive(Debug, Parser)]
#[command(name = "zun-standalone", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run it until SIGTERM or SIGINT; `ready` on stdout once it is
    Run(StartArgs),
    /// Start it in the background and return once it is ready; nothing happens where it runs already
    Up(StartArgs),
    /// Stop it, also after a crash, and remove all of its state
    Down(StateArgs),
    /// Say whether it runs: exit 0 if it does, else 1
    Status(StateArgs),
}

/// Where its things are.
#[derive(Debug, Clone, Args)]
pub(crate) struct StateArgs {
    /// The directory below which everything is
    #[arg(long, value_name = "DIR", default_value = "/var/lib/zun-standalone")]
    pub(crate) state: PathBuf,
    /// The file to be sourced by shells; it is there while the service is ready
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}

/// How it is started.
#[derive(Debug, Clone, Args)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) place: StateArgs,
    /// Where zun-api listens; a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9517")]
    pub(crate) listen: SocketAddr,
    /// The authorization plugin; zun-authz beside this program by default
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) authz: Option<PathBuf>,
    /// What is logged, such as `info` or `info,zun_common::bus=debug`
    #[arg(long, value_name = "FILTER", default_value = "info,actix_server=warn")]
    pub(crate) log: String,
}
