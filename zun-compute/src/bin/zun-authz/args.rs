//! The command line.

use std::path::PathBuf;

use clap::Parser;
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;

/// Docker authorization plugin of a Zun compute host: local requests are let through, those over TLS only as
/// far as the grant in their client certificate goes.
#[derive(Debug, Parser)]
#[command(name = "zun-authz", version)]
pub(crate) struct Args {
    /// The unix socket to make and listen on; not needed where systemd hands one over
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// The authority (or authorities, while one follows another) whose grants are honoured, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: PathBuf,
    /// This host's name: grants for another one are refused
    #[arg(long, value_name = "NAME")]
    pub(crate) host: HostName,
    /// The one version of Docker's API that grants are good for
    #[arg(long, value_name = "VERSION", default_value = "1.41")]
    pub(crate) api_version: ApiVersion,
    /// The agent's datagram socket, to be told when a console begins and ends
    #[arg(long, value_name = "PATH")]
    pub(crate) notify: Option<PathBuf>,
    /// Log local requests too
    #[arg(long)]
    pub(crate) log_local: bool,
}
