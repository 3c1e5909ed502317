//! `zun-authz`: Docker's authorization plugin of a compute host.
//!
//! The engine's own unix socket stays as it was; whoever comes over TLS may do what the grant in the client
//! certificate says and nothing else. The plugin keeps no state and needs no network: it decides from what
//! the engine tells it, the authority's certificate and the clock.
//!
//! ```text
//! dockerd ──POST /AuthZPlugin.AuthZReq──▶ server ─▶ skim ─▶ question ─▶ decision ─▶ {"Allow": …}
//!                                                                  │            ├─▶ record (stderr)
//!                                                            certificate        └─▶ notify (the agent)
//! ```

mod args;
mod authorities;
mod certificate;
mod decision;
mod listen;
mod notify;
mod plugin;
mod question;
mod record;
mod server;
mod skim;
#[cfg(test)]
mod testing;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use zun_common::shutdown::{self, Tasks};

use args::Args;
use authorities::{Authorities, AuthoritiesError};
use decision::Policy;
use listen::{ListenError, Listener};
use notify::Notes;
use plugin::Plugin;
use record::Record;

/// How long answers under way may take at the end.
const DRAIN: Duration = Duration::from_secs(2);

/// The plugin does not run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read the authorities")]
    Authorities(#[from] AuthoritiesError),
    #[error("cannot listen")]
    Listen(#[from] ListenError),
    #[error("cannot open a socket for session notes")]
    Notes(#[source] std::io::Error),
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let record = Record::to_stderr();
    let ran = run(args, &record);
    if let Err(failure) = &ran {
        record.failed(failure);
    }
    record.finish();
    if ran.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(args: Args, record: &Record) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    runtime.block_on(serve(args, record))
}

async fn serve(args: Args, record: &Record) -> Result<(), Failure> {
    let Args { socket, ca, host, api_version, notify, log_local } = args;
    let authorities = Authorities::read(&ca)?;
    let policy = Policy { host, version: api_version, authorities };
    let notes = notify.map(Notes::to).transpose().map_err(Failure::Notes)?;
    let listener = Listener::open(socket.as_deref())?;
    record.started(&policy, &listener.name());
    let plugin = Plugin { policy, notes, record: record.clone(), log_local };
    let tasks = Tasks::new();
    let serving = server::serve(listener.socket(), Arc::new(plugin), &tasks);
    let ended = tokio::select! {
        () = serving => Ok(()),
        signal = shutdown::signal() => signal.map_err(Failure::Signals),
    };
    tasks.finish(DRAIN).await;
    ended
}
