//! The exit of a process of the host, without asking the engine.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits until a process has exited. The engine may not report the exit until somebody has read the process's output.
/// Fails if the process cannot be watched, such as one in another PID namespace.
pub async fn exit_of(pid: i32) -> io::Result<()> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("not a process"))?;
    let handle: OwnedFd = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    watch(handle)?.readable().await.map(drop)
}

#[expect(
    deprecated,
    reason = "the replacement is unsafe, and this descriptor stays open as long as the registration"
)]
fn watch(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(handle, Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_exit_of_a_process_is_noticed() {
        let mut child = tokio::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("cat runs");
        let pid = i32::try_from(child.id().expect("a pid")).expect("small");
        let exit = exit_of(pid);
        drop(child.stdin.take());
        exit.await.expect("watched");
        assert!(child.wait().await.expect("ended").success());
        exit_of(pid).await.expect("gone");
    }
}
