//! Whether clients can open consoles on this host, and at which address.

mod check;

use tokio::sync::watch;
use zun_common::rpc::container::ConsoleListener;
use zun_common::rpc::{Code, Problem};

pub(crate) use check::{Endpoint, monitor};

/// The state of this host's console listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleStatus {
    /// The listener is reachable and safe.
    Up(ConsoleListener),
    /// The listener is not usable, with the reason.
    Down(String),
}

impl ConsoleStatus {
    /// The listener to dial, if it is usable.
    pub fn listener(&self) -> Option<ConsoleListener> {
        match self {
            Self::Up(listener) => Some(listener.clone()),
            Self::Down(_) => None,
        }
    }
}

/// The current status, which tasks can set and watch.
#[derive(Debug)]
pub(crate) struct Console(watch::Sender<ConsoleStatus>);

impl Console {
    pub(crate) fn new(status: ConsoleStatus) -> Self {
        Self(watch::Sender::new(status))
    }

    /// Sets the status. Returns whether it changed.
    pub(crate) fn set(&self, status: ConsoleStatus) -> bool {
        self.0.send_if_modified(|known| {
            let changed = *known != status;
            *known = status;
            changed
        })
    }

    pub(crate) fn listener(&self) -> Option<ConsoleListener> {
        self.0.borrow().listener()
    }

    /// Why the listener is not usable, if it is not.
    pub(crate) fn unavailable_reason(&self) -> Option<String> {
        match &*self.0.borrow() {
            ConsoleStatus::Up(_) => None,
            ConsoleStatus::Down(why) => Some(why.clone()),
        }
    }

    /// The listener to dial, or a problem that says why there is none.
    pub(crate) fn required(&self) -> Result<ConsoleListener, Problem> {
        match &*self.0.borrow() {
            ConsoleStatus::Up(listener) => Ok(listener.clone()),
            ConsoleStatus::Down(why) => Err(Problem::new(Code::NoConsole, why.clone())),
        }
    }

    pub(crate) fn changes(&self) -> watch::Receiver<ConsoleStatus> {
        self.0.subscribe()
    }
}
