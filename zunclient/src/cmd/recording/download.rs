//! `zun recording download`

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use hyper::Method;

use super::find;
use crate::cmd::container::data::{DataChannel, open_recording};
use crate::cmd::{Context, Failure};
use crate::console::docker::direct::next_chunk;
use crate::exit::Exit;

/// Download a recording from its host, as a file in asciicast v2
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun recording download 5c2d8a4e
  zun recording download 5c2d8a4e evidence.cast
  zun recording download 5c2d8a4e - | head

Other programs can play the file, such as asciinema. If the session is still
open, the file contains what was recorded so far.")]
pub(super) struct Download {
    /// ID of the recording (a prefix is enough)
    recording: String,
    /// File to create; - is stdout (default ID.cast)
    file: Option<PathBuf>,
}

impl Download {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let id = find(context, &self.recording).await?.id.to_string();
        let path = self.file.unwrap_or_else(|| PathBuf::from(format!("{id}.cast")));
        if path == Path::new("-") {
            copy(context, &id, &mut io::stdout().lock()).await?;
            return Ok(Exit::OK);
        }
        let mut file = create(&path)?;
        let copied = copy(context, &id, &mut file).await;
        if copied.is_err() {
            // It is this command's, and not complete.
            drop(std::fs::remove_file(&path));
        }
        copied?;
        context.printer.line(&path.display().to_string())?;
        Ok(Exit::OK)
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    created.map_err(|cause| {
        let hint =
            if cause.kind() == io::ErrorKind::AlreadyExists { "; name another one" } else { "" };
        Failure::new(format!("cannot create `{}`: {cause}{hint}", path.display()))
    })
}

async fn copy(context: &Context, id: &str, to: &mut impl io::Write) -> Result<(), Failure> {
    let DataChannel { direct, address, .. } = open_recording(context, id).await?;
    let mut body = direct.get(Method::GET, &address).await?.into_body();
    while let Some(bytes) = next_chunk(&mut body).await.transpose()? {
        to.write_all(&bytes)?;
    }
    Ok(to.flush()?)
}
