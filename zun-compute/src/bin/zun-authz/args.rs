//! The command line.

use std::path::PathBuf;

use clap::Parser;
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;
use zun_compute::authz::Options;

/// Where the engine looks for its plugin.
const SOCKET: &str = "/run/docker/plugins/zun-authz.sock";

/// Docker authorization plugin of a Zun compute host: local requests are let through, those over TLS only as
/// far as the grant in their client certificate goes.
#[derive(Debug, Parser)]
#[command(name = "zun-authz", version)]
pub(crate) struct Args {
    /// The unix socket to make and listen on; not needed where systemd hands one over
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The authority (or authorities, while one follows another) whose grants are honoured, PEM; read anew
    /// when the file changes
    #[arg(long, value_name = "FILE", required_unless_present = "stats")]
    ca: Option<PathBuf>,
    /// This host's name: grants for another one are refused
    #[arg(long, value_name = "NAME", required_unless_present = "stats")]
    host: Option<HostName>,
    /// The one version of Docker's API that grants are good for
    #[arg(long, value_name = "VERSION", default_value = "1.41")]
    api_version: ApiVersion,
    /// The agent's datagram socket, to be told when a console begins and ends
    #[arg(long, value_name = "PATH")]
    notify: Option<PathBuf>,
    /// Log local requests too
    #[arg(long)]
    log_local: bool,
    /// Only ask the running zun-authz (on --socket, or where Docker looks for it) what it has decided so
    /// far, and print its counts as JSON
    #[arg(long, conflicts_with_all = ["ca", "host", "notify", "log_local"])]
    stats: bool,
}

/// What is to be done.
pub(crate) enum Task {
    /// Decide.
    Run(Options),
    /// Ask the one that listens on this socket for its counts.
    Stats(PathBuf),
}

impl Args {
    pub(crate) fn task(self) -> Task {
        let Self { socket, ca, host, api_version, notify, log_local, stats: _ } = self;
        match (ca, host) {
            (Some(ca), Some(host)) => {
                Task::Run(Options { socket, ca, host, api_version, notify, log_local })
            }
            (None, _) | (_, None) => Task::Stats(socket.unwrap_or_else(|| SOCKET.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(words: &[&str]) -> Option<Task> {
        Args::try_parse_from([&["zun-authz"], words].concat()).ok().map(Args::task)
    }

    #[test]
    fn it_decides_or_is_asked_and_never_both() {
        assert!(matches!(task(&["--ca", "ca.pem", "--host", "h"]), Some(Task::Run(_))));
        let asked = |words, socket: &str| matches!(task(words), Some(Task::Stats(path)) if path.as_os_str() == socket);
        assert!(asked(&["--stats"], SOCKET));
        assert!(asked(&["--stats", "--socket", "/x"], "/x"));
        for bad in [&["--ca", "ca.pem"][..], &["--host", "h"], &[], &["--stats", "--host", "h"]] {
            assert!(task(bad).is_none(), "{bad:?}");
        }
    }
}
