//! Shows the output of the process and the state of the link.

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use super::{Aside, Ended};
use crate::console::{Event, Events};
use crate::tty::letterbox::{Drawing, Letterbox};
use crate::tty::link_status::LinkStatus;
use crate::tty::overlay::Overlay;
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
    /// Shows a terminal of another size.
    pub(super) letterbox: Option<Letterbox>,
    /// What the keys ask for.
    pub(super) asides: mpsc::Receiver<Aside>,
    /// Text about the session that is shown for a while.
    pub(super) overlay: Option<Overlay>,
    /// How many bytes the process has printed.
    pub(super) bytes: u64,
}

/// What the pump handles next.
enum Next {
    Event(Option<Event>),
    WindowSized,
    StatusDue,
    OverlayDue,
    Aside(Aside),
}

impl OutputPump<'_> {
    /// Runs until the console ends.
    pub(super) async fn run(&mut self, events: &mut dyn Events) -> Ended {
        let (mut lost, mut sizes) = (None, self.sizes.clone());
        self.window_sized();
        loop {
            let handled = match self.next(events, &mut sizes).await {
                Next::Event(event) => match self.follow(event, &mut lost).await {
                    Ok(None) => Ok(()),
                    Ok(Some(ended)) => return ended,
                    Err(closed) => Err(closed),
                },
                Next::WindowSized => {
                    // The window moves the rows of the normal screen, each in its own way.
                    self.link_status.moved_rows();
                    let drawing = self.window_sized();
                    self.show(drawing).await
                }
                Next::StatusDue => self.tick().await,
                Next::OverlayDue => self.overlay_due().await,
                Next::Aside(aside) => self.aside(aside).await,
            };
            if let Err(closed) = handled {
                return Ended::OutputClosed(closed);
            }
        }
    }

    async fn next(&mut self, events: &mut dyn Events, sizes: &mut Sizes) -> Next {
        tokio::select! {
            biased;
            () = changed(sizes), if self.letterbox.is_some() => Next::WindowSized,
            Some(aside) = self.asides.recv() => Next::Aside(aside),
            event = events.next() => Next::Event(event),
            () = at(self.link_status.next_tick()) => Next::StatusDue,
            () = at(self.overlay.as_ref().map(Overlay::next)) => Next::OverlayDue,
        }
    }

    /// Handles an event. Returns how the session ended, if it did.
    async fn follow(
        &mut self,
        event: Option<Event>,
        lost: &mut Option<String>,
    ) -> Result<Option<Ended>, Closed> {
        match event {
            Some(Event::Stdout(bytes)) => self.print(Output::Stdout, bytes).await?,
            Some(Event::Stderr(bytes)) => self.print(Output::Stderr, bytes).await?,
            Some(Event::Snapshot(draw)) => self.snapshot(&draw).await?,
            Some(Event::Gap(bytes)) => {
                self.notice(format!(
                    "{bytes} bytes of output were skipped: this client was too slow"
                ))
                .await?;
            }
            Some(Event::Notice(words)) => self.notice(words).await?,
            Some(Event::TerminalSize { size, is_own }) => {
                let letterbox = self.letterbox.as_mut();
                let drawing = letterbox.map(|it| it.terminal_sized(size.into(), is_own));
                self.show(drawing.unwrap_or(Drawing::Output)).await?;
            }
            Some(Event::Reconnecting { host }) => {
                self.link_status.reconnecting(host, Instant::now());
            }
            Some(Event::Reconnected) => self.reconnected().await?,
            Some(Event::Exit(code)) => {
                let lost = lost.take();
                return Ok(Some(
                    lost.map_or(Ended::Exited(code), |why| Ended::ExitedLinkLost(code, why)),
                ));
            }
            Some(Event::NotStarted { code, reason }) => {
                return Ok(Some(Ended::NotStarted(code, reason)));
            }
            Some(Event::Closed(closing)) => return Ok(Some(Ended::Closed(closing))),
            Some(Event::Lost(why)) => *lost = Some(why),
            None => return Ok(Some(Ended::WithoutExitCode(lost.take()))),
        }
        Ok(None)
    }

    /// Draws the line about the lost link again.
    async fn tick(&mut self) -> Result<(), Closed> {
        let size = *self.sizes.borrow();
        let is_full_screen = self.is_full_screen();
        let line = self.link_status.tick((size, is_full_screen), Instant::now());
        self.overwritten();
        self.draw(line).await
    }

    async fn print(&mut self, output: Output, bytes: Bytes) -> Result<(), Closed> {
        self.count(bytes.len());
        let letterbox = self.letterbox.as_mut().filter(|_| output == Output::Stdout);
        match letterbox.map_or(Drawing::Output, |letterbox| letterbox.printed(&bytes)) {
            Drawing::Output => {
                self.link_status.printed(&bytes);
                self.screen.write(output, bytes).await
            }
            drawing @ (Drawing::Instead(_) | Drawing::Cleared(_)) => self.show(drawing).await,
        }
    }

    /// Handles a window that may have another size.
    fn window_sized(&mut self) -> Drawing {
        let size = *self.sizes.borrow();
        let letterbox = self.letterbox.as_mut();
        letterbox.map_or(Drawing::Output, |letterbox| letterbox.window_sized(size.map(Into::into)))
    }

    /// Handles other text that was written over the terminal's content.
    pub(super) fn overwritten(&mut self) {
        if let Some(letterbox) = &mut self.letterbox {
            letterbox.overwritten();
        }
    }

    /// Shows a drawing instead of output.
    pub(super) async fn show(&mut self, drawing: Drawing) -> Result<(), Closed> {
        match drawing {
            Drawing::Output => Ok(()),
            Drawing::Instead(drawn) => self.draw(drawn).await,
            Drawing::Cleared(drawn) => {
                let bytes = [self.link_status.clear(), drawn].concat();
                self.link_status.printed(&bytes);
                self.draw(bytes).await?;
                self.overlay_cleared().await
            }
        }
    }

    /// Shows a screen instead of what was shown before. Without a terminal, it is output like any other.
    async fn snapshot(&mut self, draw: &Bytes) -> Result<(), Closed> {
        let letterbox = self.letterbox.as_mut();
        let drawing = letterbox.map_or(Drawing::Output, |letterbox| letterbox.snapshot(draw));
        if drawing != Drawing::Output {
            return self.show(drawing).await;
        }
        // A snapshot is not new output, so it does not show that the process has started.
        self.bytes += u64::try_from(draw.len()).unwrap_or(u64::MAX);
        let bytes = Bytes::from([&self.link_status.clear(), draw.as_ref()].concat());
        self.link_status.printed(&bytes);
        self.screen.write(Output::Stdout, bytes).await?;
        self.overlay_cleared().await
    }

    async fn reconnected(&mut self) -> Result<(), Closed> {
        let size = *self.sizes.borrow();
        let (removed, was_over) = self.link_status.reconnected(size, Instant::now());
        let was_shown = !removed.is_empty();
        self.draw(removed).await?;
        if was_shown { self.uncover(was_over).await } else { Ok(()) }
    }

    /// Writes text that the process did not print.
    pub(super) async fn draw(&self, bytes: Vec<u8>) -> Result<(), Closed> {
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

/// Returns when the window has another size.
async fn changed(sizes: &mut Sizes) {
    if sizes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
