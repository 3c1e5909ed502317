//! The descriptors that the service manager keeps for the next process.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tracing::warn;
use zun_common::notify;

/// How long the service manager may take to receive a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// The most descriptors of one message.
const MOST: usize = 16;

/// The service manager's store of descriptors (systemd's `FDSTORE=1`). Without a service manager it keeps nothing.
#[derive(Debug, Default)]
pub struct DescriptorStore(Option<UnixDatagram>);

impl DescriptorStore {
    /// The store of the service manager that started this process.
    pub fn from_env() -> io::Result<Self> {
        notify::socket().map_or_else(|| Ok(Self::default()), |path| Self::at(&path))
    }

    /// The store of the service manager at this socket.
    pub fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self(Some(socket)))
    }

    /// Whether the store keeps anything.
    pub const fn keeps(&self) -> bool {
        self.0.is_some()
    }

    /// Keeps descriptors under a name, besides those that are kept there already. All or none of them are kept.
    pub fn keep(&self, name: &str, descriptors: &[BorrowedFd<'_>]) {
        // Without FDPOLL=0, systemd drops a stream whose other end is closed, and the last output with it.
        let message = format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0\n");
        self.send(&message, descriptors);
    }

    /// Drops all descriptors under a name.
    pub fn forget(&self, name: &str) {
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}\n"), &[]);
    }

    fn send(&self, message: &str, descriptors: &[BorrowedFd<'_>]) {
        let Some(socket) = &self.0 else { return };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let parts = [IoSlice::new(message.as_bytes())];
        if let Err(error) = sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL) {
            warn!(%error, "cannot store file descriptors in the service manager: a restart of zun-console ends its sessions");
        }
    }
}
