//! A session that several tasks share, and that wakes them when it changes.

use std::os::fd::AsFd as _;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
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
    /// How many clients it has, including disconnected ones that may resume. Readable without locking the session.
    attachments: AtomicUsize,
    state: Mutex<State>,
    watchers: Watchers,
    /// Notified when the screen lags behind the output.
    pub(super) screen_lags: Notify,
}

#[derive(Debug)]
struct State {
    session: Session,
    saved: Saved,
}

/// The waiting tasks, by what they wait for. Input, output and acknowledgements are frequent, so each of them wakes only
/// the tasks that it can concern: waking a task costs more than the change.
#[derive(Debug, Default)]
struct Watchers {
    input: Notify,
    room: Notify,
    clients: Notify,
    others: Notify,
}

/// What a task waits for. All are also woken by any change that is not one of the frequent ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watch {
    /// Input of a client.
    Input,
    /// Acknowledgements of output.
    Room,
    /// Output, and input that was written to the engine.
    Clients,
    /// Of the frequent changes, only the output of a recorded session.
    Others,
}

/// What has changed in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changed {
    /// Possibly everything.
    Anything,
    /// Input of a client has arrived. The client's own connection checks whether there is something to send for it.
    Input,
    /// A client has acknowledged output.
    Acknowledged,
    /// Something that concerns only the client that caused it.
    Own,
    /// There is more output.
    Output,
    /// Input was written to the engine.
    Written,
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
        let (watchers, screen_lags) = (Watchers::default(), Notify::new());
        Self { target, project, attachments, state, watchers, screen_lags }
    }

    /// What the session is connected to.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The project of its container, if the agent has created it.
    pub(super) const fn project(&self) -> Option<&ProjectId> {
        self.project.as_ref()
    }

    /// How many clients it has, including disconnected ones that may resume.
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
            Changed::Anything
        })
    }

    /// The same for changes of the streams, which are frequent. Wakes only the tasks that the change concerns, unless it
    /// has changed more than that.
    fn advance<T>(&self, changed: Changed, change: impl FnOnce(&mut Session, Instant) -> T) -> T {
        self.change_with(change, |saved, session| {
            if session.take_unrecorded() {
                saved.state(session);
                return Changed::Anything;
            }
            saved.progress(session);
            changed
        })
    }

    /// Adds output to the session.
    pub(super) fn output<T>(&self, change: impl FnOnce(&mut Session, Instant) -> T) -> T {
        self.advance(Changed::Output, change)
    }

    /// Input was written to the engine, or cannot be.
    pub(super) fn wrote(&self, change: impl FnOnce(&mut Session, Instant)) {
        self.advance(Changed::Written, change);
    }

    /// Output was recorded.
    pub(super) fn recorded(&self, change: impl FnOnce(&mut Session, Instant)) {
        self.advance(Changed::Anything, change);
    }

    /// Handles a message of a client. The client's own connection must then check what to send, as [`Connected`] does.
    ///
    /// [`Connected`]: super::Connected
    pub(super) fn receive(&self, id: ConnectionId, frame: Frame) {
        let changed = match &frame {
            Frame::Stdin(_) => Changed::Input,
            Frame::Ack { .. } => Changed::Acknowledged,
            Frame::Ping(_) | Frame::Pong(_) => Changed::Own,
            Frame::StdinEnd
            | Frame::Resize(_)
            | Frame::Signal { .. }
            | Frame::Stdout(_)
            | Frame::Stderr(_)
            | Frame::Status(_)
            | Frame::Hello(_)
            | Frame::Event(_)
            | Frame::Gap { .. }
            | Frame::Snapshot { .. } => Changed::Anything,
        };
        self.advance(changed, |session, now| session.receive(id, frame, now));
    }

    fn change_with<T>(
        &self,
        change: impl FnOnce(&mut Session, Instant) -> T,
        save: impl FnOnce(&mut Saved, &mut Session) -> Changed,
    ) -> T {
        let mut state = self.lock();
        let State { session, saved } = &mut *state;
        let result = change(session, Instant::now());
        let changed = save(saved, session);
        session.recorded();
        self.attachments.store(session.attachments(), Ordering::Relaxed);
        let is_recorded = session.is_recorded();
        drop(state);
        self.wake(changed, is_recorded);
        result
    }

    fn wake(&self, changed: Changed, is_recorded: bool) {
        let Watchers { input, room, clients, others } = &self.watchers;
        match changed {
            Changed::Anything => {
                for all in [input, room, clients, others] {
                    all.notify_waiters();
                }
            }
            Changed::Input => input.notify_waiters(),
            Changed::Acknowledged => room.notify_waiters(),
            Changed::Own => {}
            Changed::Output => {
                clients.notify_waiters();
                if is_recorded {
                    others.notify_waiters();
                }
            }
            Changed::Written => clients.notify_waiters(),
        }
    }

    /// Completes at the next change that concerns the watcher. To be enabled before the session is inspected.
    pub(super) fn changed(&self, watch: Watch) -> Notified<'_> {
        let Watchers { input, room, clients, others } = &self.watchers;
        let notify = match watch {
            Watch::Input => input,
            Watch::Room => room,
            Watch::Clients => clients,
            Watch::Others => others,
        };
        notify.notified()
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

    /// Removes the session's descriptors from the store, because the session is over.
    pub(super) fn forget(&self) {
        let left = self.lock().saved.leave();
        if let Some((store, name)) = left {
            store.forget(&name);
        }
    }

    /// Inspects the session after each change that concerns the watcher, until the function finds something.
    pub(super) async fn until<T>(
        &self,
        watch: Watch,
        mut look: impl FnMut(&mut Session, Instant) -> Found<T>,
    ) -> T {
        loop {
            let mut changed = pin!(self.changed(watch));
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

    /// Returns what a connection has to do now, or when to ask again if nothing changes before.
    pub(super) fn to_do(&self, id: ConnectionId) -> Found<ToDo> {
        let (found, wants_redraw) = {
            let session = &mut self.lock().session;
            (collect(session, id, Instant::now()), session.wants_redraw())
        };
        if wants_redraw {
            // A snapshot that is not exact asks for it.
            self.watchers.others.notify_waiters();
        }
        found
    }

    /// Waits until a connection must be closed even if output for its client is pending.
    pub async fn closing(&self, id: ConnectionId) {
        self.until(Watch::Others, |session, _| {
            if session.is_closing(id) { Found::This(()) } else { Found::Nothing(None) }
        })
        .await;
    }

    /// Waits until the access of a connection's client is revoked.
    pub async fn revoked(&self, id: ConnectionId) {
        self.until(Watch::Others, |session, _| {
            if session.is_revoked(id) { Found::This(()) } else { Found::Nothing(None) }
        })
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
