//! `zun export`

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use zun_common::grant::Mode;

use super::cp::{self, ContainerPath, Link};
use super::data::open_files;
use super::starting::unless_ended;
use crate::cmd::{Context, Failure};
use crate::console::docker::direct::next_chunk;
use crate::exit::Exit;
use crate::tty::signals::Signals;

/// Write all files of a container as a tar stream
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun export test | tar t
  zun export --output test.tar test

The stream is that of `zun cp test:/. -`. The container may be running.")]
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
        let everything = ContainerPath { container: self.container, path: b"/.".to_vec() };
        match &self.output {
            None => {
                let export = cp::to_stdout(context, &everything, Link::Copied);
                unless_ended(&mut signals, Box::pin(export)).await?;
            }
            Some(path) => {
                let writing = Box::pin(to_file(context, &everything, path));
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

async fn to_file(context: &Context, source: &ContainerPath, path: &Path) -> Result<(), Failure> {
    let channel = open_files(context, &source.container, Mode::ReadOnly).await?;
    let (_stat, mut body) = cp::read(&channel, source).await?;
    let failed = |cause| Failure::new(format!("cannot write {}: {cause}", path.display()));
    let mut file = File::create(path).map_err(failed)?;
    while let Some(chunk) = next_chunk(&mut body).await {
        file.write_all(&chunk?).map_err(failed)?;
    }
    file.flush().map_err(failed)
}
