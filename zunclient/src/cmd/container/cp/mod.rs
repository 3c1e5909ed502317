//! `zun cp`: a tar stream straight to or from the host; the control plane only grants it.

mod pack;
mod pieces;
mod place;
mod sending;
mod unpack;

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hyper::body::Incoming;
use hyper::{Method, Response};
use serde::Deserialize;
use zun_common::grant::{ArchiveCall, Mode};

use super::data::{Reached, to_files};
use super::starting::unless_ended;
use crate::cmd::{Context, Failure};
use crate::console::ConsoleError;
use crate::console::docker::direct::piece;
use crate::exit::Exit;
use crate::out;
use crate::tty::screen::{Output, Screen};
use crate::tty::signals::Signals;
use pieces::Reader;
use place::{Inside, Place};
use sending::send;

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
Symlinks are made as they are, and nothing is written through one. Devices and FIFOs are left out, with a line.
A destination that is a symlink is followed. A second copy replaces files and links, and nothing else.
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
        let mut signals = Signals::catch()?;
        match (self.source, self.destination) {
            (Place::Inside(source), Place::Local(destination)) => {
                Box::pin(out_of(context, &source, &destination, &mut signals)).await?;
            }
            (Place::Inside(source), Place::Stream) => {
                unless_ended(&mut signals, Box::pin(to_stdout(context, &source))).await?;
            }
            (Place::Local(source), Place::Inside(destination)) => {
                unless_ended(&mut signals, Box::pin(into(context, source, &destination))).await?;
            }
            (Place::Stream, Place::Inside(destination)) => {
                unless_ended(&mut signals, Box::pin(from_stdin(context, &destination))).await?;
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

/// The end of them that is written to.
type Pieces = tokio::sync::mpsc::Sender<std::io::Result<bytes::Bytes>>;

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

async fn out_of(
    context: &Context,
    source: &Inside,
    destination: &Path,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let begin = async {
        let reached = to_files(context, &source.container, Mode::ReadOnly).await?;
        read(&reached, source).await
    };
    let (stat, body) = unless_ended(signals, begin).await?;
    let goal = unpack::goal(destination, source, stat.is_folder())?;
    let (pieces, reader) = Reader::new(WAITING);
    let cut = pieces.clone();
    let mut unpacking = tokio::task::spawn_blocking(move || unpack::unpack(reader, &goal));
    let work = async {
        feed(body, pieces).await;
        Ok(finished((&mut unpacking).await))
    };
    match unless_ended(signals, work).await {
        Ok(outcome) => outcome,
        Err(ended) => {
            // What is half there is taken away again. Another signal ends that too.
            let undoing = async {
                cut.send(Err(std::io::Error::other("ended by a signal"))).await.ok();
                unpacking.await.map(drop).map_err(|panic| Failure::new(panic.to_string()))
            };
            unless_ended(signals, undoing).await.ok();
            Err(ended)
        }
    }
}

/// Hands on what comes. Where it ends early, it is said after how much.
async fn feed(mut body: Incoming, pieces: Pieces) {
    let mut count = 0;
    while let Some(outcome) = piece(&mut body).await {
        count += outcome.as_ref().map_or(0, bytes::Bytes::len);
        let outcome = outcome.map_err(|error| std::io::Error::other(cut(&error, count)));
        if pieces.send(outcome).await.is_err() {
            return;
        }
    }
}

fn cut(error: &ConsoleError, count: usize) -> String {
    let cause = std::error::Error::source(error).unwrap_or(error);
    format!("the connection broke after {count} bytes: {}", zun_common::chain(cause))
}

async fn to_stdout(context: &Context, source: &Inside) -> Result<(), Failure> {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return Err(Failure::new(
            "a tar stream is not for a terminal; send it to a file or a pipe",
        ));
    }
    let reached = to_files(context, &source.container, Mode::ReadOnly).await?;
    let (_stat, mut body) = read(&reached, source).await?;
    let own = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned();
    let screen = Screen::write_to(own(&std::io::stdout())?, own(&std::io::stderr())?)?;
    let mut count = 0;
    let mut outcome = Ok(());
    while let Some(piece) = piece(&mut body).await {
        match piece {
            Ok(bytes) => {
                count += bytes.len();
                if screen.write(Output::Stdout, bytes).await.is_err() {
                    break;
                }
            }
            Err(error) => outcome = Err(Failure::new(cut(&error, count))),
        }
    }
    screen.finish().await.map_err(|_reader_is_gone| Failure::silent(Exit::PIPE))?;
    outcome
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
    let address = reached.address.with(&ArchiveCall::Stat.query(&place.path));
    match reached.direct.get(Method::HEAD, &address).await {
        Ok(answer) => Ok(Stat::of(&answer)),
        Err(ConsoleError::Refused { status: 404, .. }) => Ok(None),
        // An answer to HEAD has no body, and so no reason. The same question with GET has one.
        Err(ConsoleError::Refused { .. }) => read(reached, place).await.map(|(stat, _)| Some(stat)),
        Err(error) => Err(told(error, place)),
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
