//! A session that several tasks share, and that wakes them when it changes.

use std::os::fd::AsFd as _;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;
use zun_common::id::ProjectId;
use zun_common::pty::Frame;

use super::saved::Saved;
use super::streams::Streams;
use crate::engine::{Run, Target};
use crate::session::{ConnectionId, Left, Next, Session};

/// The most bytes of messages that are collected for a connection at once.
const MOST_BYTES: usize = 128 << 10;

/// A session with its target.
#[derive(Debug)]
pub struct Live {
    target: Target,
    /// The project of its container, if the agent has created it.
    project: Option<ProjectId>,
    /// How many clients it has, with those that may come back: counted without waiting for the session.
    attachments: AtomicUsize,
    state: Mutex<State>,
    changed: Notify,
    /// Notified when the screen lags behind the output.
    pub(super) screen_lags: Notify,
}

#[derive(Debug)]
struct State {
    session: Session,
    saved: Saved,
}

/// The result of one inspection of the session.
pub(super) enum Found<T> {
    /// The awaited value.
    This(T),
    /// Nothing yet. Inspect the session again after a change, or at this time.
    Nothing(Option<Instant>),
}

/// What a connection has to do.
#[derive(Debug)]
pub enum ToDo {
    /// Send these messages.
    Send(Vec<Bytes>),
    /// Close the websocket with this code.
    Close(u16),
}

impl Live {
    pub(super) fn new(session: Session, saved: Saved) -> Self {
        let (target, project) = (saved.target().clone(), saved.run().project.clone());
        let attachments = AtomicUsize::new(session.attachments());
        let state = Mutex::new(State { session, saved });
        let (changed, screen_lags) = (Notify::new(), Notify::new());
        Self { target, project, attachments, state, changed, screen_lags }
    }

    /// What the session is connected to.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The project of its container, if the agent has created it.
    pub(super) const fn project(&self) -> Option<&ProjectId> {
        self.project.as_ref()
    }

    /// How many clients it has, with those that may come back.
    pub(super) fn attachments(&self) -> usize {
        self.attachments.load(Ordering::Relaxed)
    }

    /// The run of the process.
    pub(super) fn run(&self) -> Run {
        self.lock().saved.run().clone()
    }

    /// Passes the session to the function, and returns its result. The session is locked until then.
    pub fn read<T>(&self, read: impl FnOnce(&mut Session) -> T) -> T {
        read(&mut self.lock().session)
    }

    /// Changes the session, records it, and wakes all who wait for a change.
    pub fn change<T>(&self, change: impl FnOnce(&mut Session, Instant) -> T) -> T {
        self.change_with(change, |saved, session| {
            session.take_unrecorded();
            saved.state(session);
        })
    }

    /// The same for a change of the streams only, which happens often.
    pub(super) fn advance<T>(&self, change: impl FnOnce(&mut Session, Instant) -> T) -> T {
        self.change_with(change, |saved, session| {
            if session.take_unrecorded() { saved.state(session) } else { saved.progress(session) }
        })
    }

    /// Handles a message of a client.
    pub fn receive(&self, id: ConnectionId, frame: Frame) {
        self.advance(|session, now| session.receive(id, frame, now));
    }

    fn change_with<T>(
        &self,
        change: impl FnOnce(&mut Session, Instant) -> T,
        save: impl FnOnce(&mut Saved, &mut Session),
    ) -> T {
        let mut state = self.lock();
        let State { session, saved } = &mut *state;
        let changed = change(session, Instant::now());
        save(saved, session);
        session.recorded();
        self.attachments.store(session.attachments(), Ordering::Relaxed);
        drop(state);
        self.changed.notify_waiters();
        changed
    }

    /// The engine has opened another stream, which begins in the middle of the output: what was printed in between is
    /// missing.
    pub(super) fn reattached(&self, streams: &Streams) {
        let place = self.lock().saved.place();
        // The service manager may be slow, so the session is not locked meanwhile.
        if let Some((store, name)) = place {
            store.keep(&name, &[streams.stream.as_fd()]);
        }
        self.lock().saved.set_stream(streams);
        self.change(|session, now| session.reattached(streams.output.end(), now));
    }

    /// The process has started, and this is its run.
    pub(super) fn started(&self, run: Run) {
        self.lock().saved.set_run(run);
        self.change(|session, _| session.started());
    }

    /// Whether the next gate process continues the session.
    pub(super) fn is_kept(&self) -> bool {
        self.lock().saved.is_kept()
    }

    /// The session is over.
    pub(super) fn forget(&self) {
        let left = self.lock().saved.leave();
        if let Some((store, name)) = left {
            store.forget(&name);
        }
    }

    /// Inspects the session after each change, until the function finds something.
    pub(super) async fn until<T>(
        &self,
        mut look: impl FnMut(&mut Session, Instant) -> Found<T>,
    ) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let found = look(&mut self.lock().session, Instant::now());
            match found {
                Found::This(found) => return found,
                Found::Nothing(None) => changed.await,
                Found::Nothing(Some(at)) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at.into()) => {}
                    }
                }
            }
        }
    }

    /// Waits until a connection has something to do.
    pub async fn to_do(&self, id: ConnectionId) -> ToDo {
        let (to_do, wants_redraw) = self
            .until(|session, now| match collect(session, id, now) {
                Found::This(to_do) => Found::This((to_do, session.wants_redraw())),
                Found::Nothing(until) => Found::Nothing(until),
            })
            .await;
        if wants_redraw {
            // A snapshot that is not exact asks for it.
            self.changed.notify_waiters();
        }
        to_do
    }

    /// Waits until a connection must be closed even if output for its client is pending.
    pub async fn closing(&self, id: ConnectionId) {
        self.until(
            |session, _| {
                if session.is_closing(id) { Found::This(()) } else { Found::Nothing(None) }
            },
        )
        .await;
    }

    /// Waits until the access of a connection's client is revoked.
    pub async fn revoked(&self, id: ConnectionId) {
        self.until(
            |session, _| {
                if session.is_revoked(id) { Found::This(()) } else { Found::Nothing(None) }
            },
        )
        .await;
    }

    /// A connection has ended.
    pub fn disconnect(&self, id: ConnectionId, left: Left) {
        self.change(|session, now| session.disconnect(id, left, now));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No caller panics while it changes the session, unless the session itself has a bug.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn collect(session: &mut Session, id: ConnectionId, now: Instant) -> Found<ToDo> {
    let mut messages = Vec::new();
    let mut size = 0;
    while size < MOST_BYTES {
        match session.next(id, now) {
            Next::Message(message) => {
                size += message.len();
                messages.push(message);
            }
            Next::Close(code) if messages.is_empty() => return Found::This(ToDo::Close(code)),
            Next::Wait(until) if messages.is_empty() => return Found::Nothing(until),
            Next::Close(_) | Next::Wait(_) => break,
        }
    }
    Found::This(ToDo::Send(messages))
}
