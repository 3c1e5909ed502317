//! `zun export`

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use hyper::Method;
use hyper::body::Incoming;
use zun_common::grant::Mode;

use super::cp;
use super::data::open_files;
use super::starting::unless_ended;
use crate::cmd::{Context, Failure};
use crate::console::ConsoleError;
use crate::console::docker::direct::next_chunk;
use crate::exit::Exit;
use crate::tty::signals::Signals;

/// Write a container's root filesystem as a tar stream
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun export test | tar t
  zun export --output test.tar test

The container may be running. As with Docker, the stream has the directories
that volumes are mounted on, but not what is in them. `zun cp test:/. -`
includes the volumes.")]
pub(in crate::cmd) struct Export {
    /// Write to a file instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name or UUID of the container
    container: String,
}

impl Export {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        match &self.output {
            None => {
                let exporting = async {
                    cp::refuse_terminal()?;
                    cp::write_to_stdout(open(context, &self.container).await?).await
                };
                unless_ended(&mut signals, Box::pin(exporting)).await?;
            }
            Some(path) => {
                let writing = Box::pin(to_file(context, &self.container, path));
                if let Err(failure) = unless_ended(&mut signals, writing).await {
                    // A partial archive is useless.
                    std::fs::remove_file(path).ok();
                    return Err(failure);
                }
            }
        }
        Ok(Exit::OK)
    }
}

/// Opens the stream at the host.
async fn open(context: &Context, container: &str) -> Result<Incoming, Failure> {
    let channel = open_files(context, container, Mode::ReadOnly).await?;
    let older = |what: &str| {
        Failure::new(format!(
            "{container}: {what} is older than this zun and cannot export: update it, or copy all \
             files, those of volumes too, with `zun cp {container}:/. -`"
        ))
    };
    let address = channel.export.as_ref().ok_or_else(|| older("the service"))?;
    match channel.direct.get(Method::GET, address).await {
        Ok(answer) => Ok(answer.into_body()),
        Err(ConsoleError::Refused { status: 403, .. }) => Err(older("zun-authz on the host")),
        Err(error) => Err(Failure::from(error).context(container)),
    }
}

async fn to_file(context: &Context, container: &str, path: &Path) -> Result<(), Failure> {
    let mut body = open(context, container).await?;
    let failed = |cause| Failure::new(format!("cannot write {}: {cause}", path.display()));
    let mut file = File::create(path).map_err(failed)?;
    while let Some(chunk) = next_chunk(&mut body).await {
        file.write_all(&chunk?).map_err(failed)?;
    }
    file.flush().map_err(failed)
}
