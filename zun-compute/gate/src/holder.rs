//! Keeps the descriptors of a `zun-console` that systemd does not run, with systemd's protocol: the program stores them by
//! messages to `NOTIFY_SOCKET`, and the next one gets them by `LISTEN_FDS`.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::fs::{Access, access};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use crate::kept::{Inherited, LISTENER};

/// The most descriptors that are kept.
const MOST: usize = 16 << 10;
/// The most descriptors of one message. Linux allows no more.
const MOST_AT_ONCE: usize = 253;
/// The longest message, in bytes.
const LONGEST: usize = 4096;
/// The number of the first descriptor that a program gets.
const FIRST: usize = 3;
/// Executes a program with its own process ID in the environment. The ID is not known before the fork.
const EXECUTE: &str = r#"export LISTEN_PID=$$; exec "$@""#;

/// The descriptors, and the socket on which the program stores them.
#[derive(Debug)]
pub struct Holder {
    path: PathBuf,
    socket: UnixDatagram,
    kept: Vec<(String, OwnedFd)>,
}

impl Holder {
    /// Listens on a socket at this path, and replaces an existing one.
    pub fn at(path: PathBuf) -> io::Result<Self> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let socket = UnixDatagram::bind(&path)?;
        Ok(Self { path, socket, kept: Vec::new() })
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts the program with all descriptors. It ends when its stdin, which is a pipe, ends. Fails if there is no such
    /// program.
    pub fn start(&self, program: &Path, set_up: impl FnOnce(&mut Command)) -> io::Result<Child> {
        // The shell below starts in any case. It searches a name without a directory.
        if program.components().count() > 1 {
            access(program, Access::EXEC_OK)?;
        }
        let mut command = Command::new("/bin/sh");
        command.args(["-c", EXECUTE, "zun-console"]).arg(program).arg("--until-stdin-ends");
        command.env("NOTIFY_SOCKET", &self.path).stdin(Stdio::piped()).kill_on_drop(true);
        let names: Vec<_> = self.kept.iter().map(|(name, _)| name.as_str()).collect();
        command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        let mut mappings = Vec::with_capacity(self.kept.len());
        for (number, (_, descriptor)) in self.kept.iter().enumerate() {
            let child_fd = i32::try_from(FIRST + number).map_err(io::Error::other)?;
            mappings.push(FdMapping { parent_fd: descriptor.try_clone()?, child_fd });
        }
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        set_up(&mut command);
        command.spawn()
    }

    /// Waits for a message of the program, and does what it says. Returns whether the program is ready now.
    pub async fn handle(&mut self) -> io::Result<bool> {
        let received = self.socket.async_io(Interest::READABLE, || receive(&self.socket)).await?;
        Ok(self.handle_one(received))
    }

    /// Handles the messages that a program sent before it ended. Must be called before the next program is started.
    pub fn handle_rest(&mut self) -> io::Result<()> {
        loop {
            match receive(&self.socket) {
                Ok(received) => drop(self.handle_one(received)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The address on which the program listens.
    pub fn address(&self) -> Option<SocketAddr> {
        let (_, listener) = self.kept.iter().find(|(name, _)| name == LISTENER)?;
        TcpListener::from(listener.try_clone().ok()?).local_addr().ok()
    }

    /// What the next program gets.
    pub fn inherited(&self) -> io::Result<Inherited> {
        let mut inherited = Inherited::default();
        for (name, descriptor) in &self.kept {
            inherited.add(name.clone(), descriptor.try_clone()?);
        }
        Ok(inherited)
    }

    fn handle_one(&mut self, (message, descriptors): (String, Vec<OwnedFd>)) -> bool {
        let field = |name: &str| {
            let mut lines = message.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        };
        let name = field("FDNAME").unwrap_or("stored").to_owned();
        if field("FDSTOREREMOVE") == Some("1") {
            self.kept.retain(|(kept, _)| *kept != name);
        }
        if field("FDSTORE") == Some("1") && self.kept.len() + descriptors.len() <= MOST {
            self.kept.extend(descriptors.into_iter().map(|one| (name.clone(), one)));
        }
        field("READY") == Some("1")
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have been removed with its directory.
        std::fs::remove_file(&self.path).unwrap_or_default();
    }
}

fn receive(socket: &UnixDatagram) -> io::Result<(String, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_AT_ONCE))];
    receive_with(socket, &mut space)
}

/// Fails if a descriptor of the message is missing: a session cannot be continued with a part of its descriptors.
fn receive_with(
    socket: &UnixDatagram,
    space: &mut [MaybeUninit<u8>],
) -> io::Result<(String, Vec<OwnedFd>)> {
    let mut bytes = [0; LONGEST];
    let mut control = RecvAncillaryBuffer::new(space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
    if received.flags.contains(ReturnFlags::CTRUNC) {
        let words = "descriptors are missing: this process may have too many open files";
        return Err(io::Error::other(words));
    }
    let descriptors = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        RecvAncillaryMessage::ScmCredentials(_) | _ => Vec::new(),
    });
    let descriptors = descriptors.collect();
    let message = String::from_utf8_lossy(bytes.get(..received.bytes).unwrap_or_default());
    Ok((message.into_owned(), descriptors))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;
    use crate::kept::{DescriptorStore, memory_file};

    #[tokio::test]
    async fn descriptors_are_kept_by_their_names_until_they_are_removed_and_come_back_in_a_program()
    {
        let directory = tempfile::tempdir().expect("a directory");
        let mut holder = Holder::at(directory.path().join("notify")).expect("a socket");
        let store = DescriptorStore::at(holder.path()).expect("a store");
        let files = [memory_file("a").expect("a file"), memory_file("b").expect("a file")];
        store.keep("s1", &[files[0].as_fd(), files[1].as_fd()]);
        store.keep("s2", &[files[0].as_fd()]);
        store.keep("s3", &[files[1].as_fd()]);
        store.forget("s2");
        holder.handle_rest().expect("handled");
        let mut inherited = holder.inherited().expect("descriptors");
        let sessions: Vec<_> = std::iter::from_fn(|| inherited.session()).collect();
        let counts: Vec<_> = sessions.iter().map(|(number, all)| (*number, all.len())).collect();
        assert_eq!(counts, [(1, 2), (3, 1)]);
        let out = directory.path().join("out");
        let script = directory.path().join("program");
        let text = format!(
            "#!/bin/sh\n[ $LISTEN_PID = $$ ] && echo $LISTEN_FDS $LISTEN_FDNAMES $(ls /proc/self/fd/3 /proc/self/fd/5) >{}\n",
            out.display()
        );
        std::fs::write(&script, text).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).expect("set");
        let mut child = holder.start(&script, |_| {}).expect("started");
        assert!(child.wait().await.expect("ended").success());
        let written = std::fs::read_to_string(&out).expect("written");
        assert_eq!(written, "3 s1:s1:s3 /proc/self/fd/3 /proc/self/fd/5\n");
    }

    #[tokio::test]
    async fn a_message_of_which_descriptors_are_missing_is_not_kept_as_if_it_was_complete() {
        let directory = tempfile::tempdir().expect("a directory");
        let holder = Holder::at(directory.path().join("notify")).expect("a socket");
        let store = DescriptorStore::at(holder.path()).expect("a store");
        let file = memory_file("a").expect("a file");
        let all = [file.as_fd(); 16];
        store.keep("s1", &all);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        assert!(receive_with(&holder.socket, &mut space).is_err());
        store.keep("s1", &all);
        assert_eq!(receive(&holder.socket).expect("complete").1.len(), all.len());
    }

    #[tokio::test]
    async fn a_program_that_is_missing_or_cannot_be_executed_is_not_started() {
        let directory = tempfile::tempdir().expect("a directory");
        let holder = Holder::at(directory.path().join("notify")).expect("a socket");
        let start = |program: &Path| holder.start(program, |_| {}).map(drop);
        let missing = start(&directory.path().join("missing")).expect_err("not started");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let text = directory.path().join("text");
        std::fs::write(&text, "text").expect("written");
        let denied = start(&text).expect_err("not started");
        assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied);
    }
}
