//! `zun cp`: a tar stream directly to or from the host. The control plane only grants it.

mod chunks;
mod copy_path;
mod pack;
mod progress;
mod unpack;
mod upload;

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hyper::body::Incoming;
use hyper::{Method, Response};
use serde::Deserialize;
use zun_common::grant::{ArchiveCall, Mode};

use super::data::{DataChannel, open_files};
use super::starting::unless_ended;
use crate::cmd::{Context, Failure};
use crate::console::ConsoleError;
use crate::console::docker::direct::next_chunk;
use crate::exit::Exit;
use crate::tty::screen::{Output, Screen};
use crate::tty::signals::Signals;
use chunks::Reader;
use copy_path::{ContainerPath, CopyPath};
use pack::{LocalSource, Owners};
use upload::upload;

/// Copy files between a container and this machine
#[derive(Debug, Args)]
#[command(
    override_usage = "zun cp CONTAINER:PATH DESTINATION|-\n       zun cp SOURCE|- CONTAINER:PATH",
    after_help = "\
Examples:
  zun cp test:/etc/hosts .
  zun cp site/. web:/srv           Copy the contents of site
  zun cp test:/var/log - | tar t   Write a tar stream to stdout
  tar c . | zun cp - test:/tmp     Read a tar stream from stdin

Notes:
  - The container may be running or stopped.
  - Relative paths in a container start at its root directory.
  - Write ./a:b for a local file with a colon in its name.
  - Copied files belong to root in the container (unless -a is given), and to
    you on this machine. A tar stream on stdin or stdout keeps the owners in it.
  - Symlinks are copied as symlinks; zun never writes through a copied symlink.
    A destination that is itself a symlink is followed, and so is a source on
    this machine.
  - Files and symlinks at the destination are replaced; directories are merged.
  - Devices, FIFOs and sockets on this machine are skipped with a notice.
    Docker leaves out the sockets of a container without a notice."
)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the command line")]
pub(in crate::cmd) struct Cp {
    /// Keep the numeric owners and groups of files that are copied to a container
    #[arg(short, long)]
    archive: bool,
    /// If the source in a container is a symlink, copy the file or directory that it points to
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress
    #[arg(short, long)]
    quiet: bool,
    /// CONTAINER:PATH, a local path, or - for a tar stream on stdin
    source: CopyPath,
    /// CONTAINER:PATH, a local path, or - for a tar stream on stdout
    destination: CopyPath,
}

impl Cp {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let owners = if self.archive { Owners::Kept } else { Owners::Root };
        let link = if self.follow_link { Link::Followed } else { Link::Copied };
        let copied = match (&self.source, &self.destination) {
            (CopyPath::Stdio, destination) => destination,
            (source, _) => source,
        };
        let _shown = progress::begin(&copied.to_string(), self.quiet);
        match (self.source, self.destination) {
            (CopyPath::Container(source), CopyPath::Local(destination)) => {
                let copy = out_of(context, (&source, link), &destination, &mut signals);
                Box::pin(copy).await?;
            }
            (CopyPath::Container(source), CopyPath::Stdio) => {
                let copy = to_stdout(context, &source, link);
                unless_ended(&mut signals, Box::pin(copy)).await?;
            }
            (CopyPath::Local(source), CopyPath::Container(destination)) => {
                let copy = into(context, (source, owners), &destination);
                unless_ended(&mut signals, Box::pin(copy)).await?;
            }
            (CopyPath::Stdio, CopyPath::Container(destination)) => {
                unless_ended(&mut signals, Box::pin(from_stdin(context, &destination))).await?;
            }
            (CopyPath::Container(_), CopyPath::Container(_)) => {
                return Err(Failure::new(
                    "cannot copy between two containers: one side must be a local path or -",
                ));
            }
            (CopyPath::Local(_) | CopyPath::Stdio, CopyPath::Local(_) | CopyPath::Stdio) => {
                return Err(Failure::new("cannot copy: one side must be CONTAINER:PATH"));
            }
        }
        Ok(Exit::OK)
    }
}

/// What to copy if the source in a container is a symlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// The symlink is copied.
    Copied,
    /// What it points to is copied, under the name of the symlink.
    Followed,
}

/// How many chunks may wait between the reader and the writer.
const QUEUED_CHUNKS: usize = 16;

/// The sending end of a stream of chunks.
type ChunkSender = tokio::sync::mpsc::Sender<std::io::Result<bytes::Bytes>>;

/// What Docker reports about a path. The mode has the bits of Go's `os.FileMode`.
#[derive(Debug, Clone, Deserialize)]
struct Stat {
    mode: u32,
    #[serde(rename = "linkTarget", default)]
    link_target: String,
}

impl Stat {
    const DIRECTORY: u32 = 1 << 31;
    const LINK: u32 = 1 << 27;

    const fn is_directory(&self) -> bool {
        self.mode & Self::DIRECTORY != 0
    }

    const fn is_link(&self) -> bool {
        self.mode & Self::LINK != 0
    }

    fn of(answer: &Response<Incoming>) -> Option<Self> {
        let header = answer.headers().get("x-docker-container-path-stat")?;
        serde_json::from_slice(&STANDARD.decode(header.as_bytes()).ok()?).ok()
    }
}

async fn read(channel: &DataChannel, source: &ContainerPath) -> Result<(Stat, Incoming), Failure> {
    let address = channel.address.with(&ArchiveCall::Read.query(&source.path));
    let answer = channel
        .direct
        .get(Method::GET, &address)
        .await
        .map_err(|error| path_error(error, source))?;
    let stat = Stat::of(&answer)
        .ok_or_else(|| Failure::new("the host sent no information about the file"))?;
    Ok((stat, answer.into_body()))
}

async fn out_of(
    context: &Context,
    (source, link): (&ContainerPath, Link),
    destination: &Path,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let begin = async {
        let channel = open_files(context, &source.container, Mode::ReadOnly).await?;
        let real = behind(&channel, source, link).await?;
        let (stat, body) = read(&channel, real.as_ref().unwrap_or(source)).await?;
        Ok((real, stat, body))
    };
    let (real, stat, body) = unless_ended(signals, begin).await?;
    let target = match (real, source.name()) {
        (Some(real), Some(name)) if destination.is_dir() => {
            let named = destination.join(OsStr::from_bytes(&name));
            unpack::target_inside(&named, &real, stat.is_directory())?
        }
        (real, _) => {
            let source = real.as_ref().unwrap_or(source);
            unpack::target(destination, source, stat.is_directory())?
        }
    };
    let (chunks, reader) = Reader::new(QUEUED_CHUNKS);
    let abort = chunks.clone();
    let mut unpacking = tokio::task::spawn_blocking(move || unpack::unpack(reader, &target));
    let work = async {
        forward(body, chunks).await;
        Ok(finished((&mut unpacking).await))
    };
    match unless_ended(signals, work).await {
        Ok(outcome) => outcome,
        Err(ended) => {
            // zun removes its temporary directory, or restores the modes of existing directories. A copy into an
            // existing directory keeps what was written, even a partial file. Another signal ends this wait.
            let undoing = async {
                abort.send(Err(std::io::Error::other("ended by a signal"))).await.ok();
                unpacking.await.map(drop).map_err(|panic| Failure::new(panic.to_string()))
            };
            unless_ended(signals, undoing).await.ok();
            Err(ended)
        }
    }
}

/// Returns the path of what a source points to, or `None` if it is not a symlink to follow. Of a directory, the contents
/// are copied, because the copy has the name of the symlink.
async fn behind(
    channel: &DataChannel,
    source: &ContainerPath,
    link: Link,
) -> Result<Option<ContainerPath>, Failure> {
    if link == Link::Copied {
        return Ok(None);
    }
    let found = stat(channel, source).await?.filter(Stat::is_link);
    let Some(Stat { link_target, .. }) = found else { return Ok(None) };
    let mut real = source.clone();
    real.path = link_target.into_bytes();
    if stat(channel, &real).await?.is_some_and(|behind| behind.is_directory()) {
        real.path.extend_from_slice(b"/.");
    }
    Ok(Some(real))
}

/// Forwards the body. If the link is lost, the error says after how many bytes.
async fn forward(mut body: Incoming, chunks: ChunkSender) {
    let mut count = 0;
    while let Some(outcome) = next_chunk(&mut body).await {
        let length = outcome.as_ref().map_or(0, bytes::Bytes::len);
        count += length;
        progress::add(length);
        let outcome =
            outcome.map_err(|error| std::io::Error::other(link_lost_after(&error, count)));
        if chunks.send(outcome).await.is_err() {
            return;
        }
    }
}

fn link_lost_after(error: &ConsoleError, count: usize) -> String {
    let cause = std::error::Error::source(error).unwrap_or(error);
    format!("lost the connection after {count} bytes: {}", zun_common::chain(cause))
}

async fn to_stdout(context: &Context, source: &ContainerPath, link: Link) -> Result<(), Failure> {
    refuse_terminal()?;
    let channel = open_files(context, &source.container, Mode::ReadOnly).await?;
    let real = behind(&channel, source, link).await?;
    let (_stat, body) = read(&channel, real.as_ref().unwrap_or(source)).await?;
    write_to_stdout(body).await
}

/// Refuses to write a tar stream to a terminal.
pub(super) fn refuse_terminal() -> Result<(), Failure> {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return Err(Failure::new(
            "cannot write a tar stream to a terminal: redirect stdout to a file or a pipe",
        ));
    }
    Ok(())
}

/// Writes a tar stream to stdout until it ends.
pub(super) async fn write_to_stdout(mut body: Incoming) -> Result<(), Failure> {
    let own = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned();
    let screen = Screen::write_to(own(&std::io::stdout())?, own(&std::io::stderr())?)?;
    let mut count = 0;
    let mut outcome = Ok(());
    while let Some(chunk) = next_chunk(&mut body).await {
        match chunk {
            Ok(bytes) => {
                count += bytes.len();
                progress::add(bytes.len());
                if screen.write(Output::Stdout, bytes).await.is_err() {
                    break;
                }
            }
            Err(error) => outcome = Err(Failure::new(link_lost_after(&error, count))),
        }
    }
    screen.finish().await?;
    outcome
}

async fn into(
    context: &Context,
    (source, owners): (PathBuf, Owners),
    destination: &ContainerPath,
) -> Result<(), Failure> {
    let local = LocalSource::of(source, owners)?;
    let channel = open_files(context, &destination.container, Mode::ReadWrite).await?;
    let (directory, name) = resolve_destination(&channel, destination, &local).await?;
    upload(&channel, &directory, move |to| pack::pack(&local, &name, to)).await
}

async fn from_stdin(context: &Context, destination: &ContainerPath) -> Result<(), Failure> {
    let channel = open_files(context, &destination.container, Mode::ReadWrite).await?;
    upload(&channel, destination, |mut to| {
        let mut from = std::io::stdin().lock();
        let mut buffer = vec![0; chunks::MAX_CHUNK];
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                return to.flush();
            }
            to.write_all(buffer.get(..count).unwrap_or_default())?;
        }
    })
    .await
}

/// Returns the directory of the destination and the name in it.
async fn resolve_destination(
    channel: &DataChannel,
    destination: &ContainerPath,
    local: &LocalSource,
) -> Result<(ContainerPath, Vec<u8>), Failure> {
    let mut copy_path = destination.clone();
    let mut found = stat(channel, &copy_path).await?;
    if let Some(link) = found.as_ref().filter(|stat| stat.is_link()) {
        copy_path.path = link.link_target.clone().into_bytes();
        found = stat(channel, &copy_path).await?;
    }
    match found {
        Some(stat) if stat.is_directory() => Ok((copy_path, local.name()?)),
        Some(_) if local.is_directory() => Err(Failure::new(format!(
            "cannot copy the directory {local} to {destination}: the destination is not a directory"
        ))),
        None if copy_path.wants_directory() && !local.is_directory() => {
            Err(Failure::new(format!("{destination}: no such directory")))
        }
        Some(_) | None => copy_path.split(),
    }
}

async fn stat(channel: &DataChannel, copy_path: &ContainerPath) -> Result<Option<Stat>, Failure> {
    let address = channel.address.with(&ArchiveCall::Stat.query(&copy_path.path));
    match channel.direct.get(Method::HEAD, &address).await {
        Ok(answer) => Ok(Stat::of(&answer)),
        Err(ConsoleError::Refused { status: 404, .. }) => Ok(None),
        // A response to HEAD has no body, and so no error message. The same request with GET returns the message.
        Err(ConsoleError::Refused { .. }) => {
            read(channel, copy_path).await.map(|(stat, _)| Some(stat))
        }
        Err(error) => Err(path_error(error, copy_path)),
    }
}

fn finished(outcome: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), Failure> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => Err(Failure::new(zun_common::chain(&cause))),
        Err(panic) => Err(Failure::new(panic.to_string())),
    }
}

/// Replaces Docker's message for a missing path, because it contains the engine's container ID. Other messages are
/// kept.
fn path_error(error: ConsoleError, copy_path: &ContainerPath) -> Failure {
    if matches!(error, ConsoleError::Refused { status: 404, .. }) {
        return Failure::new(format!("{copy_path}: no such file or directory"));
    }
    Failure::from(error).context(&copy_path.to_string())
}

/// Says which directory is missing if the host has nowhere to unpack to. Other messages are kept.
fn directory_error(error: ConsoleError, directory: &ContainerPath) -> Failure {
    if !matches!(error, ConsoleError::Refused { status: 404, .. }) {
        return path_error(error, directory);
    }
    let ContainerPath { container, path } = directory;
    let path = String::from_utf8_lossy(path);
    let path = path.trim_end_matches('.').trim_end_matches('/');
    Failure::new(format!("{container}:{path}: there is no such directory in the container"))
}

/// Prints a notice about a skipped file.
fn skipped(message: &str) {
    progress::notice(message);
}
