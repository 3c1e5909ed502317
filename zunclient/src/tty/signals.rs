//! The signals that a session handles instead of being killed by them.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that was sent to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caught {
    /// It ends the session, or zun forwards it to the process in the container (see `SignalRouting`).
    Terminate(Number),
    /// It is only meant for the process in the container.
    User(Number),
    /// SIGTSTP: the shell suspends zun.
    Suspend,
}

/// A signal's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number(pub i32);

const NAMES: [(i32, &str); 7] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (10, "SIGUSR1"),
    (12, "SIGUSR2"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
];

impl Number {
    /// Returns the name of the signal, as Docker expects it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(number, _)| *number == self.0).map_or("SIGTERM", |(_, name)| name)
    }

    /// Whether it is SIGINT or SIGTERM, which people send to end a program.
    pub const fn interrupts(self) -> bool {
        matches!(self.0, 2 | 15)
    }

    /// Returns the exit code of a program that this signal ended.
    pub fn exit_code(self) -> u8 {
        u8::try_from(128 + self.0).unwrap_or(255)
    }
}

/// Catches the signals of this process from its creation on.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    user1: Signal,
    user2: Signal,
    stop: Option<Signal>,
}

impl Signals {
    /// Starts to catch the signals.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            stop: None,
        })
    }

    /// Also catches SIGTSTP, because a terminal must be restored before the process is suspended.
    pub fn catch_stop(&mut self) -> std::io::Result<()> {
        self.stop = Some(signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?);
        Ok(())
    }

    /// Returns the next signal.
    pub async fn next(&mut self) -> Caught {
        tokio::select! {
            Some(()) = self.hangup.recv() => Caught::Terminate(Number(1)),
            Some(()) = self.interrupt.recv() => Caught::Terminate(Number(2)),
            Some(()) = self.quit.recv() => Caught::Terminate(Number(3)),
            Some(()) = self.terminate.recv() => Caught::Terminate(Number(15)),
            Some(()) = self.user1.recv() => Caught::User(Number(10)),
            Some(()) = self.user2.recv() => Caught::User(Number(12)),
            Some(()) = maybe(self.stop.as_mut()) => Caught::Suspend,
            else => std::future::pending().await,
        }
    }

    /// Returns the next signal that ends a session, and ignores others.
    pub async fn ended(&mut self) -> Number {
        loop {
            match self.next().await {
                Caught::Terminate(number) => return number,
                Caught::User(_) | Caught::Suspend => {}
            }
        }
    }
}

async fn maybe(signal: Option<&mut Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => None,
    }
}

/// Suspends this process as SIGTSTP would, and returns after SIGCONT.
pub fn stop_process() -> std::io::Result<()> {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
    Ok(())
}
