//! The command line of zun-authz.

use std::path::PathBuf;

use clap::Parser;
use zun_authz::Options;
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;

/// The socket at which Docker looks for the plugin.
const SOCKET: &str = "/run/docker/plugins/zun-authz.sock";

/// Docker authorization plugin for a Zun compute host
///
/// Allows every request over Docker's unix socket. Allows a request over TLS only if the grant in the client
/// certificate permits it.
#[derive(Debug, Parser)]
#[command(name = "zun-authz", version)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the command line")]
pub(crate) struct Args {
    /// Unix socket to create and listen on; not needed if systemd passes one
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// PEM file with the CA certificates whose grants are accepted (two or more during a rotation); read again when it
    /// changes
    #[arg(long, value_name = "FILE", required_unless_present_any = ["stats", "metrics"])]
    ca: Option<PathBuf>,
    /// Name of this host; grants for another host are refused
    #[arg(long, value_name = "NAME", required_unless_present_any = ["stats", "metrics"])]
    host: Option<HostName>,
    /// Only version of Docker's API that grants permit
    #[arg(long, value_name = "VERSION", default_value = "1.41")]
    api_version: ApiVersion,
    /// Datagram socket of the agent, notified when a console session begins or ends
    #[arg(long, value_name = "PATH")]
    notify: Option<PathBuf>,
    /// Log local requests too
    #[arg(long)]
    log_local: bool,
    /// Print the decision counts of the running zun-authz as JSON and exit; connects to --socket, or to the plugin's
    /// socket in /run/docker/plugins by default
    #[arg(long, conflicts_with_all = ["ca", "host", "notify", "log_local"])]
    stats: bool,
    /// Print the decision counts of the running zun-authz as metrics for Prometheus and exit; connects like --stats
    #[arg(long, conflicts_with_all = ["ca", "host", "notify", "log_local", "stats"])]
    metrics: bool,
}

/// What to do.
pub(crate) enum Task {
    /// Serve Docker's requests.
    Run(Options),
    /// Print the counts of the plugin that listens on this socket.
    Stats(PathBuf),
    /// Print them as metrics.
    Metrics(PathBuf),
}

impl Args {
    pub(crate) fn task(self) -> Task {
        let Self { socket, ca, host, api_version, notify, log_local, stats: _, metrics } = self;
        let (Some(ca), Some(host)) = (ca, host) else {
            let socket = socket.unwrap_or_else(|| SOCKET.into());
            return if metrics { Task::Metrics(socket) } else { Task::Stats(socket) };
        };
        Task::Run(Options { socket, ca, host, api_version, notify, log_local })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(words: &[&str]) -> Option<Task> {
        Args::try_parse_from([&["zun-authz"], words].concat()).ok().map(Args::task)
    }

    #[test]
    fn the_program_either_serves_or_prints_counts() {
        assert!(matches!(task(&["--ca", "ca.pem", "--host", "h"]), Some(Task::Run(_))));
        let asked = |words, socket: &str| matches!(task(words), Some(Task::Stats(path)) if path.as_os_str() == socket);
        assert!(asked(&["--stats"], SOCKET));
        assert!(asked(&["--stats", "--socket", "/x"], "/x"));
        assert!(
            matches!(task(&["--metrics"]), Some(Task::Metrics(path)) if path.as_os_str() == SOCKET)
        );
        for bad in [&["--ca", "ca.pem"][..], &["--host", "h"], &[], &["--stats", "--host", "h"]] {
            assert!(task(bad).is_none(), "{bad:?}");
        }
    }
}
