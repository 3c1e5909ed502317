//! `zun cp`: a tar stream straight to or from the host; the control plane only grants it.

mod pack;
mod pieces;
mod place;
mod unpack;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::{Method, Response};
use serde::Deserialize;
use tokio::sync::mpsc;
use zun_common::grant::{ArchiveCall, Mode};

use super::data::{Reached, to_files};
use crate::cmd::{Context, Failure};
use crate::console::ConsoleError;
use crate::console::docker::direct::piece;
use crate::exit::Exit;
use crate::out;
use pieces::{Reader, Writer};
use place::{Inside, Place};

/// Copy files out of a container, or into it
#[derive(Debug, Args)]
#[command(
    override_usage = "zun cp CONTAINER:PATH DESTINATION|-\n       zun cp SOURCE|- CONTAINER:PATH",
    after_help = "\
Examples:
  zun cp test:/etc/hosts .
  zun cp site/. web:/srv            what is in site
  zun cp test:/var/log - | tar t    as a tar stream
  tar c . | zun cp - test:/tmp

The container may run or not. What comes in belongs to root there; what comes out, to you.
A relative path in a container begins at its root. A local file with a colon: ./a:b"
)]
pub(in crate::cmd) struct Cp {
    /// CONTAINER:PATH, a local path, or - for a tar stream on stdin
    source: Place,
    /// CONTAINER:PATH, a local path, or - for a tar stream on stdout
    destination: Place,
}

impl Cp {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match (self.source, self.destination) {
            (Place::Inside(source), Place::Local(destination)) => {
                out_of(context, &source, &destination).await?;
            }
            (Place::Inside(source), Place::Stream) => to_stdout(context, &source).await?,
            (Place::Local(source), Place::Inside(destination)) => {
                into(context, source, &destination).await?;
            }
            (Place::Stream, Place::Inside(destination)) => {
                from_stdin(context, &destination).await?;
            }
            (Place::Inside(_), Place::Inside(_)) => {
                return Err(Failure::new("one of the two must be local, or -"));
            }
            (Place::Local(_) | Place::Stream, Place::Local(_) | Place::Stream) => {
                return Err(Failure::new("one of the two must be CONTAINER:PATH"));
            }
        }
        Ok(Exit::OK)
    }
}

/// Pieces that may wait between the two ends.
const WAITING: usize = 16;

/// What the engine tells of a path. The bits of the mode are Go's.
#[derive(Debug, Clone, Deserialize)]
struct Stat {
    mode: u32,
    #[serde(rename = "linkTarget", default)]
    link_target: String,
}

impl Stat {
    const FOLDER: u32 = 1 << 31;
    const LINK: u32 = 1 << 27;

    const fn is_folder(&self) -> bool {
        self.mode & Self::FOLDER != 0
    }

    const fn is_link(&self) -> bool {
        self.mode & Self::LINK != 0
    }

    fn of(answer: &Response<Incoming>) -> Option<Self> {
        let header = answer.headers().get("x-docker-container-path-stat")?;
        serde_json::from_slice(&STANDARD.decode(header.as_bytes()).ok()?).ok()
    }
}

async fn read(reached: &Reached, source: &Inside) -> Result<(Stat, Incoming), Failure> {
    let address = reached.address.with(&ArchiveCall::Read.query(&source.path));
    let answer =
        reached.direct.get(Method::GET, &address).await.map_err(|error| told(error, source))?;
    let stat =
        Stat::of(&answer).ok_or_else(|| Failure::new("the host told nothing of the file"))?;
    Ok((stat, answer.into_body()))
}

async fn out_of(context: &Context, source: &Inside, destination: &Path) -> Result<(), Failure> {
    let reached = to_files(context, &source.container, Mode::ReadOnly).await?;
    let (stat, mut body) = read(&reached, source).await?;
    let goal = unpack::goal(destination, source, stat.is_folder())?;
    let (pieces, reader) = Reader::new(WAITING);
    let feed = async move {
        while let Some(outcome) = piece(&mut body).await {
            let outcome = outcome.map_err(std::io::Error::other);
            if pieces.send(outcome).await.is_err() {
                break;
            }
        }
    };
    let unpacking = tokio::task::spawn_blocking(move || unpack::unpack(reader, &goal));
    let ((), unpacked) = tokio::join!(feed, unpacking);
    finished(unpacked)
}

async fn to_stdout(context: &Context, source: &Inside) -> Result<(), Failure> {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return Err(Failure::new(
            "a tar stream is not for a terminal; send it to a file or a pipe",
        ));
    }
    let reached = to_files(context, &source.container, Mode::ReadOnly).await?;
    let (_stat, mut body) = read(&reached, source).await?;
    while let Some(bytes) = piece(&mut body).await {
        context.printer.bytes(&bytes?)?;
    }
    Ok(())
}

async fn into(context: &Context, source: PathBuf, destination: &Inside) -> Result<(), Failure> {
    let parcel = pack::Parcel::of(source)?;
    let reached = to_files(context, &destination.container, Mode::ReadWrite).await?;
    let (folder, name) = landing(&reached, destination, &parcel).await?;
    send(&reached, &folder, move |to| pack::pack(&parcel, &name, to)).await
}

async fn from_stdin(context: &Context, destination: &Inside) -> Result<(), Failure> {
    let reached = to_files(context, &destination.container, Mode::ReadWrite).await?;
    send(&reached, destination, |mut to| {
        let mut from = std::io::stdin().lock();
        let mut buffer = vec![0; pieces::LARGEST];
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

/// The folder that takes it, and the name that it has there.
async fn landing(
    reached: &Reached,
    destination: &Inside,
    parcel: &pack::Parcel,
) -> Result<(Inside, Vec<u8>), Failure> {
    let mut place = destination.clone();
    let mut found = look(reached, &place).await?;
    if let Some(link) = found.as_ref().filter(|stat| stat.is_link()) {
        place.path = link.link_target.clone().into_bytes();
        found = look(reached, &place).await?;
    }
    match found {
        Some(stat) if stat.is_folder() => Ok((place, parcel.name()?)),
        Some(_) if parcel.is_folder() => {
            Err(Failure::new(format!("{destination} is no folder, and {parcel} is one")))
        }
        None if place.wants_folder() && !parcel.is_folder() => {
            Err(Failure::new(format!("{destination}: there is no such folder")))
        }
        Some(_) | None => place.split(),
    }
}

async fn look(reached: &Reached, place: &Inside) -> Result<Option<Stat>, Failure> {
    let address = reached.address.with(&ArchiveCall::Look.query(&place.path));
    match reached.direct.get(Method::HEAD, &address).await {
        Ok(answer) => Ok(Stat::of(&answer)),
        Err(ConsoleError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(told(error, place)),
    }
}

/// Sends what is written to the stream. Where writing fails, the host is not told that it ended well.
async fn send(
    reached: &Reached,
    folder: &Inside,
    write: impl FnOnce(Writer) -> std::io::Result<()> + Send + 'static,
) -> Result<(), Failure> {
    let (pieces, taken) = mpsc::channel(WAITING);
    let address = reached.address.with(&ArchiveCall::Write.query(&folder.path));
    let stream = unfold(taken, |mut taken: mpsc::Receiver<std::io::Result<Bytes>>| async {
        let piece = taken.recv().await?;
        Some((piece.map(Frame::data), taken))
    });
    let failure = pieces.clone();
    let writing = tokio::task::spawn_blocking(move || {
        let outcome = write(Writer::new(pieces));
        if outcome.is_err() {
            // Whoever is gone need not be told.
            failure.blocking_send(Err(std::io::Error::other("cut"))).ok();
        }
        outcome
    });
    let putting = reached.direct.put(&address, StreamBody::new(stream.boxed()));
    let (put, written) = tokio::join!(putting, writing);
    match (put, finished(written)) {
        (Ok(()), written) => written,
        // The host's refusal is why nothing more could be written; a file that cannot be read is why the
        // host was cut off.
        (Err(error), written) => {
            let refused = matches!(error, ConsoleError::Refused { .. });
            Err(written.err().filter(|_| !refused).unwrap_or_else(|| told(error, folder)))
        }
    }
}

fn finished(outcome: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), Failure> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => Err(Failure::new(zun_common::chain(&cause))),
        Err(panic) => Err(Failure::new(panic.to_string())),
    }
}

/// Docker's words name its own identifier of the container.
fn told(error: ConsoleError, place: &Inside) -> Failure {
    if matches!(error, ConsoleError::Refused { status: 404, .. }) {
        return Failure::new(format!("{place}: there is no such file or folder"));
    }
    Failure::from(error).about(&place.to_string())
}

/// A line about something that is left out.
fn skipped(words: &str) {
    out::note(words);
}
