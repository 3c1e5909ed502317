//! A pseudo-terminal on which a test runs a program, types and reads the screen.
//!
//! `setsid --ctty` makes the program leader of its own session with the pseudo-terminal as controlling terminal.
//! Resizes and ctrl-c therefore reach it as signals, as under a terminal emulator.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

/// Timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(90);

/// How often the reader checks whether the window is closed.
const POLL_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

#[derive(Default)]
struct Screen {
    shown: Mutex<Shown>,
    changed: Condvar,
}

#[derive(Default)]
struct Shown {
    bytes: Vec<u8>,
    ended: bool,
}

/// A program on a terminal. It is killed on drop.
pub struct Pty {
    /// The master end; `None` after the window was closed.
    keyboard: Option<File>,
    watcher: Option<JoinHandle<()>>,
    child: Child,
    screen: Arc<Screen>,
    seen: usize,
    first_modes: String,
}

impl Pty {
    /// Runs `program` with `arguments` and `environment` added, on a terminal of this size.
    pub fn spawn(
        program: &str,
        arguments: &[&str],
        environment: &[(String, String)],
        (rows, columns): (u16, u16),
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a pseudo-terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        set_size(&master, rows, columns);
        let name = ptsname(&master, Vec::new()).expect("its name");
        let slave = rustix::fs::open(
            name.as_c_str(),
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .expect("its other end");
        let first_modes = modes_of(&master);
        let stdio = || Stdio::from(slave.try_clone().expect("another handle"));
        let child = Command::new("setsid")
            .args(["--ctty", program])
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("TERM", "xterm")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .expect("setsid of util-linux runs the program");
        drop(slave);
        let screen = Arc::new(Screen::default());
        let watcher = watch(File::from(master.try_clone().expect("another handle")), &screen);
        let keyboard = Some(File::from(master));
        Self { keyboard, watcher: Some(watcher), child, screen, seen: 0, first_modes }
    }

    /// Types these keys.
    pub fn types(&mut self, keys: impl AsRef<[u8]>) {
        let mut keyboard = self.master();
        keyboard.write_all(keys.as_ref()).expect("typed");
    }

    /// Waits until the terminal shows this text. The search starts after the text that the previous call found.
    pub fn shows(&mut self, text: &str) {
        self.shows_within(text, TIMEOUT);
    }

    /// Waits for this long until the terminal shows the text.
    pub fn shows_within(&mut self, text: &str, time: Duration) {
        let until = Instant::now() + time;
        let mut shown = self.screen.shown.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(at) = find(&shown.bytes[self.seen..], text.as_bytes()) {
                self.seen += at + text.len();
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            let whole = String::from_utf8_lossy(&shown.bytes).into_owned();
            assert!(
                !shown.ended && !left.is_zero(),
                "`{text}` was not shown; the terminal shows:\n{whole}"
            );
            shown = self
                .screen
                .changed
                .wait_timeout(shown, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Returns everything that the terminal has shown.
    pub fn transcript(&self) -> String {
        let shown = self.screen.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown.bytes).into_owned()
    }

    /// Changes the size of the terminal.
    pub fn resize(&self, rows: u16, columns: u16) {
        set_size(self.master(), rows, columns);
    }

    /// Returns the terminal's modes: the first four numbers that `stty -g` prints.
    pub fn modes(&self) -> String {
        modes_of(self.master())
    }

    /// Returns the modes that the terminal had before the program started.
    pub fn first_modes(&self) -> String {
        self.first_modes.clone()
    }

    /// Closes the window, that is, the master end of the terminal.
    pub fn close(&mut self) {
        self.keyboard = None;
        let mut shown = self.screen.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.ended = true;
        drop(shown);
        if let Some(watcher) = self.watcher.take() {
            watcher.join().expect("the reader thread ends");
        }
    }

    fn master(&self) -> &File {
        self.keyboard.as_ref().expect("the window is open")
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the program runs");
    }

    /// Returns whether the program is stopped, as by ctrl-z in a shell.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        // The state follows the name, which is in parentheses and may contain any character.
        stat.expect("the program runs")
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Waits for the program to end. Returns its exit code, or 128 plus the signal.
    pub fn exit(&mut self) -> i32 {
        let status = self.wait();
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + TIMEOUT;
        // The slave end closes when the program ends. The reader thread then sets `ended`.
        let mut shown = self.screen.shown.lock().unwrap_or_else(PoisonError::into_inner);
        while !shown.ended {
            let left = until.saturating_duration_since(Instant::now());
            let whole = String::from_utf8_lossy(&shown.bytes).into_owned();
            assert!(!left.is_zero(), "the program did not end; the terminal shows:\n{whole}");
            shown = self
                .screen
                .changed
                .wait_timeout(shown, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(shown);
        self.child.wait().expect("its exit status")
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("cannot wait for the program on the terminal");
        }
    }
}

fn modes_of(terminal: impl AsFd) -> String {
    let Termios { input_modes, output_modes, control_modes, local_modes, .. } =
        tcgetattr(terminal).expect("its modes");
    format!(
        "{:x}:{:x}:{:x}:{:x}",
        input_modes.bits(),
        output_modes.bits(),
        control_modes.bits(),
        local_modes.bits()
    )
}

fn set_size(terminal: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a size");
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}

/// Reads the screen in a thread until the slave end or the window is closed.
fn watch(mut master: File, screen: &Arc<Screen>) -> JoinHandle<()> {
    let screen = Arc::clone(screen);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        loop {
            let mut ready = [PollFd::new(&master, PollFlags::IN)];
            let some = poll(&mut ready, Some(&POLL_INTERVAL));
            let mut shown = screen.shown.lock().unwrap_or_else(PoisonError::into_inner);
            if shown.ended {
                return;
            }
            if matches!(some, Ok(0)) {
                continue;
            }
            // There is output or the end of it, so this does not block.
            match master.read(&mut buffer) {
                Ok(count) if count > 0 => shown.bytes.extend_from_slice(&buffer[..count]),
                Ok(_) | Err(_) => shown.ended = true,
            }
            screen.changed.notify_all();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_on_a_terminal_shows_types_resizes_and_exits() {
        let mut term =
            Pty::spawn("/bin/sh", &[], &[("PS1".to_owned(), "> ".to_owned())], (33, 101));
        term.shows("> ");
        term.types("stty size\n");
        term.shows("33 101");
        term.resize(30, 90);
        term.types("stty size\n");
        term.shows("30 90");
        term.types("exit 7\n");
        assert_eq!(term.exit(), 7);
    }
}
