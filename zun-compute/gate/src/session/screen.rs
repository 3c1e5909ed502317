//! The screen of the session's terminal. It lags behind the output, because following it costs more than passing it on:
//!
//! ```text
//!   … ━━━━━━━━━ followed ━━━━━━━━━┃──────── lag, in the ring ────────┃
//!                                 at                                 end of the output
//! ```
//! A task follows in small steps, at a limited rate. If the lag becomes too long, only the modes of its oldest part are
//! followed.

use std::collections::VecDeque;

use zun_common::pty::{Frame, Size};

use super::Session;
use crate::ring::Ring;
use zun_common::screen::{Care, DEFAULT_SIZE, Screen};

/// The screen is not followed before it lags by this many bytes.
const LAZY: u64 = 64 << 10;
/// The longest lag, in bytes.
const MOST_LAG: u64 = 1 << 20;
/// How much of a skipped lag is followed again before the screen is drawn, in bytes.
const TAIL: u64 = 64 << 10;
/// The work of one step, in bytes of text that cost the same.
pub(crate) const STEP: usize = 64 << 10;
/// The most work for a client that waits for the screen.
const MOST_WORK: usize = 1 << 20;
/// The bytes that are taken from the ring at once.
const PIECE: u64 = 4 << 10;
/// The most sizes that the screen has not followed.
const MOST_SIZES: usize = 64;
/// The largest drawing of a screen, in bytes.
const LARGEST: usize = 64 << 10;

/// A screen, and how far it has followed the output.
#[derive(Debug)]
pub(super) struct Follower {
    /// `None` until it is needed.
    screen: Option<Screen>,
    /// The offset of the next byte to follow.
    at: u64,
    /// The sizes that the terminal gets at these offsets.
    sizes: VecDeque<(u64, Size)>,
    /// The terminal's size, if one was ever set.
    size: Option<Size>,
    /// Whether all output since the start of the process is in the ring, or was followed.
    is_complete: bool,
}

impl Follower {
    /// Follows the terminal of a process. `is_complete` if it has printed nothing yet.
    pub(super) const fn new(is_complete: bool) -> Self {
        Self { screen: None, at: 0, sizes: VecDeque::new(), size: None, is_complete }
    }

    /// Follows the terminal of a process that a former gate has followed. The screen is drawn again from the ring, which
    /// has all output if `is_complete`.
    pub(super) fn restored(at: u64, size: Option<Size>, is_complete: bool) -> Self {
        let sizes = size.map(|size| (at, size)).into_iter().collect();
        Self { screen: None, at, sizes, size, is_complete: is_complete && at == 0 }
    }

    /// Whether the screen shows all that the process has printed.
    pub(super) const fn is_complete(&self) -> bool {
        self.is_complete
    }

    const fn lag(&self, ring: &Ring) -> u64 {
        ring.end().saturating_sub(self.at)
    }

    /// The terminal has this size from this offset on.
    fn resized(&mut self, size: Size, at: u64) {
        if self.size.replace(size) == Some(size) {
            return;
        }
        if self.sizes.len() == MOST_SIZES {
            self.sizes.pop_front();
        }
        self.sizes.push_back((at, size));
    }

    fn screen(&mut self) -> &mut Screen {
        self.screen.get_or_insert_with(|| {
            // The size before the first one is not known, so the first one counts for all output before it.
            let size = self.sizes.pop_front().map_or(DEFAULT_SIZE, |(_, size)| size);
            let mut screen = Screen::new(size);
            if !self.is_complete {
                screen.mark_inexact();
            }
            screen
        })
    }

    /// Follows the output up to an offset, within a limit of work. Returns whether it reached the offset.
    fn follow(&mut self, ring: &Ring, to: u64, (care, most): (Care, usize)) -> bool {
        let (mut work, mut bytes) = (0, Vec::new());
        // The screen begins with the first size.
        self.screen();
        loop {
            self.resize_screen();
            if self.at >= to {
                return true;
            }
            if work >= most {
                return false;
            }
            if self.at < ring.start() {
                self.screen().mark_inexact();
                self.at = ring.start();
            }
            if ring.end() == self.at {
                return true;
            }
            let next = self.sizes.front().map_or(to, |(offset, _)| to.min(*offset));
            let length = next.saturating_sub(self.at).min(PIECE);
            bytes.clear();
            ring.read(self.at, usize::try_from(length).unwrap_or(usize::MAX), &mut bytes);
            work += self.take(&bytes, care);
        }
    }

    fn take(&mut self, bytes: &[u8], care: Care) -> usize {
        let screen = self.screen();
        screen.feed(bytes, care);
        let work = screen.take_work();
        self.at += bytes.len() as u64;
        work
    }

    fn resize_screen(&mut self) {
        let at = self.at;
        while let Some((_, size)) = self.sizes.pop_front_if(|(offset, _)| *offset <= at) {
            self.screen().resize(size);
        }
    }

    /// Follows all output, as far as the limits allow.
    fn catch_up(&mut self, ring: &Ring) {
        if !self.follow(ring, ring.end(), (Care::Whole, MOST_WORK)) {
            self.follow(ring, ring.end().saturating_sub(TAIL), (Care::Modes, usize::MAX));
            self.follow(ring, ring.end(), (Care::Whole, MOST_WORK));
            self.follow(ring, ring.end(), (Care::Modes, usize::MAX));
        }
    }
}

impl Session {
    /// The engine has set the terminal's size.
    pub fn resized(&mut self, size: Size) {
        let end = self.stdout.end();
        if let Some(follower) = &mut self.follower {
            follower.resized(size, end);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.resized(size, end);
        }
    }

    /// Whether [`Session::follow_screen`] has something to do.
    pub fn screen_lags(&self) -> bool {
        self.follower.as_ref().is_some_and(|follower| follower.lag(&self.stdout) > LAZY)
    }

    /// Lets the screen follow the output for one step.
    pub fn follow_screen(&mut self) {
        if let Some(follower) = &mut self.follower {
            follower.follow(&self.stdout, self.stdout.end(), (Care::Whole, STEP));
        }
    }

    /// Prepares for this many bytes of output. Keeps the lag short, so that the ring drops nothing that the screen has
    /// not followed.
    pub(super) fn limit_lag(&mut self, arriving: usize) {
        let Some(follower) = &mut self.follower else { return };
        let end = self.stdout.end() + arriving as u64;
        let before = |length: u64| end.saturating_sub(length);
        let mut to = before(MOST_LAG);
        if !self.stdout.reserve(arriving, to.max(follower.at)) {
            to = to.max(before(self.stdout.capacity()));
        }
        if to > follower.at {
            let to = to.min(self.stdout.end());
            follower.follow(&self.stdout, to, (Care::Modes, usize::MAX));
        }
    }

    /// Draws the screen as it is now. Returns whether the process should draw it again.
    pub(super) fn snapshot(&mut self) -> Option<(Frame, bool)> {
        let follower = self.follower.as_mut()?;
        follower.catch_up(&self.stdout);
        let snapshot = follower.screen().snapshot(LARGEST);
        let frame = Frame::Snapshot {
            offset: self.stdout.end(),
            size: snapshot.size,
            draw: snapshot.draw.into(),
        };
        Some((frame, !snapshot.is_exact))
    }

    /// The terminal's size, if one was set.
    pub(super) fn terminal_size(&self) -> Option<Size> {
        self.follower.as_ref().and_then(|follower| follower.size)
    }
}
