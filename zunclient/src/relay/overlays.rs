//! Shows text about the session on the terminal: between the output of a shell, or for a while over a full-screen
//! program, whose screen is then drawn again.

use tokio::time::Instant;

use super::Aside;
use super::output::OutputPump;
use crate::tty::letterbox::{Drawing, Known, Letterbox};
use crate::tty::output_state::OutputState;
use crate::tty::overlay::Overlay;
use crate::tty::screen::Closed;

impl OutputPump<'_> {
    /// Shows a notice about the session.
    pub(super) async fn notice(&mut self, words: String) -> Result<(), Closed> {
        let is_over = self.is_full_screen();
        self.overlay = Some(Overlay::notice(&words, is_over, Instant::now()));
        if is_over {
            return self.draw_overlay().await;
        }
        self.print_between(self.link_status.notice(&words)).await
    }

    /// Handles what the keys ask for.
    pub(super) async fn aside(&mut self, aside: Aside) -> Result<(), Closed> {
        match aside {
            Aside::Help(text) if self.is_full_screen() => {
                self.overlay = Some(Overlay::answer(&text, Instant::now()));
                self.draw_overlay().await
            }
            Aside::Help(text) => self.print_between(text.into_bytes()).await,
            Aside::Typed if self.overlay.as_ref().is_some_and(Overlay::is_answer) => {
                self.remove_overlay().await
            }
            Aside::Typed => Ok(()),
        }
    }

    /// Draws the overlay again, because the program may have drawn over it, or removes it.
    pub(super) async fn overlay_due(&mut self) -> Result<(), Closed> {
        let overlay = self.overlay.as_mut();
        if overlay.is_some_and(|overlay| overlay.continues(Instant::now())) {
            self.draw_overlay().await
        } else {
            self.remove_overlay().await
        }
    }

    /// The terminal was cleared and drawn again, also where a notice was printed.
    pub(super) async fn overlay_cleared(&mut self) -> Result<(), Closed> {
        if let Some(overlay) = &mut self.overlay
            && self.link_status.output().is_some()
        {
            overlay.is_over = true;
        }
        self.draw_overlay().await
    }

    /// Draws again what text of zun has covered. `was_over` if it is certain that it was content of the process.
    pub(super) async fn uncover(&mut self, was_over: bool) -> Result<(), Closed> {
        if let Some(letterbox) = self.letterbox.as_mut().filter(|letterbox| letterbox.is_boxed()) {
            let drawing = letterbox.again();
            return self.show(drawing).await;
        }
        if let Some(known) = self.known().filter(|known| was_over || known.fills_screen()) {
            return self.draw(known.repaint()).await;
        }
        self.link_status.moved_rows();
        if was_over {
            self.redraw_wanted.notify_one();
        }
        Ok(())
    }

    /// Whether the program uses the whole screen, so that text between its output would be in the wrong place.
    pub(super) fn is_full_screen(&mut self) -> bool {
        let is_boxed = self.letterbox.as_ref().is_some_and(Letterbox::is_boxed);
        is_boxed
            || self.link_status.output().is_some_and(OutputState::is_alternate)
            || self.known().is_some_and(|known| known.fills_screen())
    }

    /// What the process has drawn, if all of it is known, and in which rows of the window.
    fn known(&mut self) -> Option<Known> {
        if !self.link_status.output().is_some_and(OutputState::knows_rows) {
            return None;
        }
        self.letterbox.as_mut()?.known()
    }

    /// Prints text between the output of the process, and then the line that it has begun.
    async fn print_between(&mut self, text: Vec<u8>) -> Result<(), Closed> {
        let hidden = self.link_status.hide(*self.sizes.borrow());
        self.link_status.moved_rows();
        self.overwritten();
        if text.is_empty() {
            return Ok(());
        }
        let line = self.letterbox.as_mut().map(Letterbox::line_again).unwrap_or_default();
        self.draw([hidden, text, line].concat()).await
    }

    async fn draw_overlay(&mut self) -> Result<(), Closed> {
        let size = *self.sizes.borrow();
        let Some(overlay) = self.overlay.as_ref().filter(|overlay| overlay.is_over) else {
            return Ok(());
        };
        if let Some(letterbox) = self.letterbox.as_mut().filter(|letterbox| letterbox.is_boxed()) {
            let columns = size.map_or(80, |size| size.columns);
            let drawing = letterbox.cover(overlay.rows(columns.into()));
            return self.draw_box(drawing).await;
        }
        if !self.link_status.output().is_some_and(OutputState::is_whole) {
            return Ok(());
        }
        let cursor = self.letterbox.as_mut().and_then(Letterbox::cursor_row);
        let kept = usize::from(self.link_status.uses_last_row());
        let drawn = overlay.draw(size, (cursor, kept));
        self.draw(drawn).await
    }

    async fn remove_overlay(&mut self) -> Result<(), Closed> {
        let Some(overlay) = self.overlay.take() else { return Ok(()) };
        let letterbox = self.letterbox.as_mut();
        let drawing = letterbox.map_or(Drawing::Output, |it| it.cover(Vec::new()));
        match drawing {
            Drawing::Output if overlay.is_over => self.uncover(true).await,
            drawing @ (Drawing::Output | Drawing::Instead(_) | Drawing::Cleared(_)) => {
                self.draw_box(drawing).await
            }
        }
    }

    async fn draw_box(&mut self, drawing: Drawing) -> Result<(), Closed> {
        match drawing {
            Drawing::Output => Ok(()),
            Drawing::Instead(drawn) | Drawing::Cleared(drawn) => self.draw(drawn).await,
        }
    }
}
