//! Why Docker is not set up. Each says what is in the way; unless it says otherwise, nothing was changed.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use zun_common::bus::CallError;
use zun_common::pki::PkiError;

use super::command_line::CommandLineError;
use super::daemon_json::DaemonJsonError;
use super::files::FileError;
use super::plan::PlanError;
use super::services::ServiceError;
use super::undo_record::UndoRecordError;
use super::verify::VerifyError;
use crate::certificate::CertificateError;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not root.
    #[error("docker-setup changes Docker's settings: run it as root")]
    NotRoot,
    /// Another init.
    #[error("docker-setup needs systemd, and /run/systemd/system is not there")]
    NoSystemd,
    /// No unit.
    #[error("systemd knows no docker.service: is Docker installed?")]
    NoDocker,
    /// A missing setting.
    #[error("the setting `{key}` of zun-compute is missing; it must be {rule}")]
    Missing {
        /// The setting.
        key: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// Listened on, and dialled, at different ports.
    #[error(
        "`--listen {listen}` and the setting `console.address = \"{address}\"` must name the same port"
    )]
    Port {
        /// Where Docker would listen.
        listen: SocketAddr,
        /// Where clients would dial.
        address: String,
    },
    /// Docker is away.
    #[error(
        "Docker does not answer on {socket}; it must run before it is set up (systemctl start docker)"
    )]
    EngineSilent {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// What is there cannot be joined.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// docker.service cannot be read.
    #[error("docker.service cannot be used")]
    Command(#[from] CommandLineError),
    /// Docker's settings cannot be changed.
    #[error("Docker's settings cannot be changed")]
    Settings(#[from] DaemonJsonError),
    /// Docker would run what is not there, or what others may change.
    #[error(
        "{program} cannot be used; this Docker gives a terminal no size before its first command, and that program does: install it"
    )]
    RuntimeUnusable {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The port is in use, or the address not this host's.
    #[error("Docker could not listen on {listen}")]
    PortTaken {
        /// Where it would.
        listen: SocketAddr,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A certificate of another host lies there.
    #[error(
        "the certificate in {path} is for host `{found}`, and this is `{host}`: remove it with its key, so that this host gets its own"
    )]
    OtherHost {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        host: String,
    },
    /// zun-api's clock and this one.
    #[error(
        "this host's clock is {seconds} s {direction} zun-api's; certificates need less than a minute: set the clock"
    )]
    Clock {
        /// How far.
        seconds: i64,
        /// `ahead of` or `behind`.
        direction: &'static str,
    },
    /// No grant.
    #[error("zun-api gave no grant to prove the listener with")]
    NoGrant(#[source] CallError),
    /// No key.
    #[error("no key can be made")]
    Key(#[from] PkiError),
    /// No certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A unit.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The record for `--undo`.
    #[error("what was there before cannot be kept or read")]
    Record(#[from] UndoRecordError),
    /// Docker did not do it in time.
    #[error("Docker {0}")]
    Slow(&'static str),
    /// A proof.
    #[error("the proof failed")]
    Verify(#[from] VerifyError),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
    /// Everything is as it was.
    #[error("Docker was not set up; everything is as it was before")]
    RolledBack(#[source] Box<Self>),
    /// Not everything is as it was.
    #[error(
        "Docker was not set up ({why}), and what was there could not all be put back: what it was stands in {record}"
    )]
    Stuck {
        /// Why it was not set up.
        why: String,
        /// What was there.
        record: PathBuf,
        /// Why it could not be put back.
        #[source]
        cause: Box<Self>,
    },
    /// Somebody else changed a file.
    #[error(
        "{path} was changed since it was set up; put it right by hand (what it was before stands in {record}), then undo again"
    )]
    ChangedSince {
        /// The file.
        path: PathBuf,
        /// What was there.
        record: PathBuf,
    },
}
