//! The three parts of an open console. They only change the session; the driver does the I/O.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use zun_common::pty::close;
use zun_common::shutdown::Tasks;
use zun_common::units::TerminalSize;

use super::shared::Shared;
use crate::console::{ConsoleError, Control, Event, Events, Input};

/// The output. Dropping it ends the session.
pub(super) struct PtyEvents {
    pub(super) shared: Arc<Shared>,
    pub(super) driver: Tasks,
}

/// The input.
pub(super) struct PtyInput {
    pub(super) shared: Arc<Shared>,
    /// Closes when the driver has ended.
    pub(super) driver_ended: watch::Receiver<()>,
}

/// Sizes and signals.
pub(super) struct PtyControl(pub(super) Arc<Shared>);

#[async_trait]
impl Events for PtyEvents {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let (event, is_over) = {
                let mut session = self.shared.session();
                (session.next_event(Instant::now()), session.is_over())
            };
            // Output that was shown can now be acknowledged, and there is room for more.
            self.shared.to_send.notify_one();
            self.shared.taken.notify_one();
            if event.is_some() || is_over {
                return event;
            }
            self.shared.arrived.notified().await;
        }
    }
}

impl Drop for PtyEvents {
    fn drop(&mut self) {
        self.driver.cancel();
    }
}

#[async_trait]
impl Input for PtyInput {
    async fn write(&mut self, mut typed: Bytes) -> Result<(), ConsoleError> {
        loop {
            {
                let mut session = self.shared.session();
                if session.is_over() {
                    return Err(ConsoleError::LinkLost(Error::from(ErrorKind::BrokenPipe)));
                }
                session.write(&mut typed);
            }
            self.shared.to_send.notify_one();
            if typed.is_empty() {
                return Ok(());
            }
            self.shared.room.notified().await;
        }
    }

    async fn eof(&mut self) -> Result<(), ConsoleError> {
        let key = self.shared.session().end_stdin();
        self.shared.to_send.notify_one();
        match key {
            Some(key) => self.write(key).await,
            None => Ok(()),
        }
    }

    async fn detach(&mut self) {
        self.leave_with(close::NORMAL).await;
    }

    async fn leave(&mut self) {
        self.leave_with(close::GOING_AWAY).await;
    }
}

impl PtyInput {
    async fn leave_with(&mut self, code: u16) {
        self.shared.session().leave(code);
        self.shared.leaves.notify_one();
        self.shared.to_send.notify_one();
        // Nothing is ever sent: the channel closes when the driver ends.
        drop(self.driver_ended.changed().await);
    }
}

#[async_trait]
impl Control for PtyControl {
    async fn resize(&self, size: TerminalSize) -> Result<(), ConsoleError> {
        self.0.session().resize(size);
        self.0.to_send.notify_one();
        Ok(())
    }

    async fn signal(&self, name: &str) -> Result<(), ConsoleError> {
        if !self.0.session().signal(name) {
            return Err(ConsoleError::Unsupported("signals"));
        }
        self.0.to_send.notify_one();
        Ok(())
    }

    fn about(&self) -> Option<String> {
        self.0.session().about()
    }
}
