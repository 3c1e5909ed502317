//! Whether this host's consoles can be dialled, and where.

mod check;

use tokio::sync::watch;
use zun_common::rpc::container::ConsoleListener;
use zun_common::rpc::{Code, Problem};

pub(crate) use check::{Endpoint, monitor};

/// Whether this host's console listener is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleStatus {
    /// It is up and safe, and dialled there.
    Up(ConsoleListener),
    /// It is not, and why.
    Down(String),
}

impl ConsoleStatus {
    /// Where it is dialled, if it is.
    pub fn listener(&self) -> Option<ConsoleListener> {
        match self {
            Self::Up(listener) => Some(listener.clone()),
            Self::Down(_) => None,
        }
    }
}

/// The status as it is now, for those who tell it, and a way to set it.
#[derive(Debug)]
pub(crate) struct Console(watch::Sender<ConsoleStatus>);

impl Console {
    pub(crate) fn new(status: ConsoleStatus) -> Self {
        Self(watch::Sender::new(status))
    }

    /// Says whether it changed.
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

    /// Why it is not dialled, if it is not.
    pub(crate) fn unavailable_reason(&self) -> Option<String> {
        match &*self.0.borrow() {
            ConsoleStatus::Up(_) => None,
            ConsoleStatus::Down(why) => Some(why.clone()),
        }
    }

    /// Where it is dialled, or why it is not.
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
