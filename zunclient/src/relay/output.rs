//! Shows what the process prints, and what happens to the link meanwhile.

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Ended;
use crate::console::{Event, Events};
use crate::tty::link_status::LinkStatus;
use crate::tty::screen::{Closed, Output, Screen};
use crate::tty::size::Sizes;

/// Writes output to the screen.
pub(super) struct OutputPump<'a> {
    pub(super) screen: &'a Screen,
    pub(super) link_status: &'a mut LinkStatus,
    pub(super) sizes: Sizes,
    /// Notified at the first output.
    pub(super) process_started: &'a Notify,
    /// Notified if the process should redraw its screen.
    pub(super) redraw_wanted: &'a Notify,
    /// How many bytes the process has printed.
    pub(super) bytes: u64,
}

impl OutputPump<'_> {
    /// Runs until the console ends.
    pub(super) async fn run(&mut self, events: &mut dyn Events) -> Ended {
        let mut lost = None;
        loop {
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                () = at(self.link_status.next_tick()) => {
                    let size = *self.sizes.borrow();
                    let line = self.link_status.tick(size, Instant::now());
                    if let Err(closed) = self.draw(line).await {
                        return Ended::OutputClosed(closed);
                    }
                    continue;
                }
            };
            let shown = match event {
                Some(Event::Stdout(bytes)) => self.print(Output::Stdout, bytes).await,
                Some(Event::Stderr(bytes)) => self.print(Output::Stderr, bytes).await,
                Some(Event::Snapshot(draw)) => self.snapshot(&draw).await,
                Some(Event::Gap(bytes)) => self.draw(self.link_status.gap(bytes)).await,
                Some(Event::Notice(words)) => self.draw(self.link_status.notice(&words)).await,
                Some(Event::Away { host }) => {
                    self.link_status.away(host, Instant::now());
                    Ok(())
                }
                Some(Event::Back) => self.back().await,
                Some(Event::Exit(code)) => {
                    return lost
                        .map_or(Ended::Exited(code), |why| Ended::ExitedLinkLost(code, why));
                }
                Some(Event::NotStarted { code, reason }) => return Ended::NotStarted(code, reason),
                Some(Event::Closed(closing)) => return Ended::Closed(closing),
                Some(Event::Lost(why)) => {
                    lost = Some(why);
                    Ok(())
                }
                None => return Ended::WithoutExitCode(lost),
            };
            if let Err(closed) = shown {
                return Ended::OutputClosed(closed);
            }
        }
    }

    async fn print(&mut self, output: Output, bytes: Bytes) -> Result<(), Closed> {
        self.count(bytes.len());
        self.link_status.printed(&bytes);
        self.screen.write(output, bytes).await
    }

    /// Shows a screen instead of what was shown before. Without a terminal, it is output like any other.
    async fn snapshot(&mut self, draw: &Bytes) -> Result<(), Closed> {
        // It is no new output, after which the process could be asked something.
        self.bytes += u64::try_from(draw.len()).unwrap_or(u64::MAX);
        let bytes = Bytes::from([&self.link_status.clear(), draw.as_ref()].concat());
        self.link_status.printed(&bytes);
        self.screen.write(Output::Stdout, bytes).await
    }

    async fn back(&mut self) -> Result<(), Closed> {
        let size = *self.sizes.borrow();
        let (removed, redraws) = self.link_status.back(size, Instant::now());
        if redraws {
            self.redraw_wanted.notify_one();
        }
        self.draw(removed).await
    }

    /// Writes something that the process did not print.
    async fn draw(&self, bytes: Vec<u8>) -> Result<(), Closed> {
        if bytes.is_empty() {
            Ok(())
        } else {
            self.screen.write(Output::Stdout, bytes.into()).await
        }
    }

    fn count(&mut self, bytes: usize) {
        if self.bytes == 0 {
            self.process_started.notify_one();
        }
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
