//! The errors of docker-setup. Unless an error says otherwise, a failed setup changed nothing. A failed undo may have
//! restored only some files.

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

/// Why docker-setup failed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The process does not run as root.
    #[error(
        "docker-setup needs root, because it changes Docker's settings: run it as root or with sudo"
    )]
    NotRoot,
    /// The host does not run systemd.
    #[error(
        "docker-setup needs systemd, and this host does not run it (/run/systemd/system does not exist)"
    )]
    NoSystemd,
    /// There is no docker.service.
    #[error("systemd has no docker.service: install Docker first")]
    NoDocker,
    /// A setting of zun-compute is missing.
    #[error("the zun-compute setting `{key}` is missing: set it to {rule}")]
    Missing {
        /// The name of the setting.
        key: &'static str,
        /// What the setting must be.
        rule: &'static str,
    },
    /// Docker would listen on another port than clients dial.
    #[error(
        "`--listen {listen}` and the setting `console.address = \"{address}\"` must name the same port"
    )]
    Port {
        /// The address on which Docker would listen.
        listen: SocketAddr,
        /// The address that clients would dial.
        address: String,
    },
    /// Docker does not answer.
    #[error("Docker does not answer on {socket}: start it first (systemctl start docker)")]
    EngineSilent {
        /// Docker's socket.
        socket: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The host's Docker cannot be set up.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// docker.service cannot be used.
    #[error("cannot use docker.service")]
    Command(#[from] CommandLineError),
    /// Docker's settings cannot be changed.
    #[error("cannot change Docker's settings")]
    Settings(#[from] DaemonJsonError),
    /// `zun-runtime` is missing, or users other than root may change it.
    #[error(
        "cannot use {program}, which sets the initial terminal size on Docker before version 23: install it as root"
    )]
    RuntimeUnusable {
        /// The program.
        program: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The port is in use, or the address is not one of this host.
    #[error("Docker cannot listen on {listen}: free the port or choose another with --listen")]
    PortTaken {
        /// The address.
        listen: SocketAddr,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The certificate belongs to another host.
    #[error(
        "the certificate in {path} is for host `{found}`, and this host is `{host}`: remove the certificate \
         and its key, and run docker-setup again to get a new one"
    )]
    OtherHost {
        /// The file.
        path: PathBuf,
        /// The host in the certificate.
        found: String,
        /// This host.
        host: String,
    },
    /// This host's clock differs too much from zun-api's.
    #[error(
        "this host's clock is {seconds} s {direction} zun-api's, and less than 60 s is allowed: set the clock"
    )]
    Clock {
        /// The difference in seconds.
        seconds: i64,
        /// The direction: `ahead of` or `behind`.
        direction: &'static str,
    },
    /// zun-api did not sign the probe grant.
    #[error("zun-api did not sign the probe grant that verifies the listener")]
    NoGrant(#[source] CallError),
    /// A key cannot be created.
    #[error("cannot create a key")]
    Key(#[from] PkiError),
    /// The host's certificate cannot be renewed.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A unit cannot be inspected or controlled.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The undo record cannot be used.
    #[error("cannot use the undo record")]
    Record(#[from] UndoRecordError),
    /// Docker did not do something in time.
    #[error("Docker {0}")]
    Slow(&'static str),
    /// The result of the setup failed a check.
    #[error("verification failed")]
    Verify(#[from] VerifyError),
    /// A signal arrived.
    #[error("interrupted")]
    Interrupted,
    /// The setup failed, and everything was rolled back.
    #[error("cannot set Docker up; every change was rolled back")]
    RolledBack(#[source] Box<Self>),
    /// The setup failed, and the rollback failed too.
    #[error(
        "cannot set Docker up ({why}), and the rollback failed too: {record} has the previous files; restore \
         them, or run docker-setup --undo when Docker runs"
    )]
    Stuck {
        /// Why the setup failed.
        why: String,
        /// The undo record.
        record: PathBuf,
        /// Why the rollback failed.
        #[source]
        cause: Box<Self>,
    },
    /// A file was changed by somebody else after the setup.
    #[error(
        "{path} was changed after docker-setup wrote it: restore it by hand ({record} has the previous text), then \
         run docker-setup --undo again"
    )]
    ChangedSince {
        /// The file.
        path: PathBuf,
        /// The undo record.
        record: PathBuf,
    },
}
