//! Opens the session of a target for its first client, and lets further clients join it.
//!
//! Each opening is a task of its own: it continues if its client disconnects. An exec that the engine was
//! asked to start cannot be started again, so its stream is kept for the next client, and for the next process of the gate.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot};
use tracing::info;
use zun_common::id::ProjectId;
use zun_common::pty::SessionKind;

use super::live::Live;
use super::projects::ProjectPlace;
use super::recorder::Recorder;
use super::run::Awaited;
use super::saved::Saved;
use super::streams::Streams;
use super::{Client, ConnectError, Connected, Hub};
use crate::engine::{Opened, Run, Target};
use crate::rights::Rights;
use crate::session::{ConnectionId, Files, Join, JoinRefused, Left, Newcomer, Session, Token};
use crate::stats::Limit;

/// The most openings, including those whose clients have disconnected.
const MOST: usize = 512;

/// Held while a target's session is being opened.
#[derive(Default)]
pub(super) struct Opening {
    gate: Arc<AsyncMutex<()>>,
    /// How many tasks hold the gate or wait for it.
    tasks: usize,
}

/// A client's place in the queue of an opening.
struct Turn {
    hub: Arc<Hub>,
    target: Target,
    gate: Arc<AsyncMutex<()>>,
    /// Shows whether the client's grant was revoked while the session was being opened.
    rights: Arc<Rights>,
}

/// A connection on its way to the task that serves its client. If that task has ended, the drop disconnects it.
struct Handoff(Option<Connected>);

/// Connects a client to the present session of the target, or to a new one.
pub(super) async fn connect(
    hub: &Arc<Hub>,
    target: &Target,
    client: Client,
    rights: &Arc<Rights>,
) -> Result<Connected, ConnectError> {
    let turn = Turn::take(hub, target, rights).map_err(|limit| refused(hub, limit))?;
    let (sender, mut connected) = oneshot::channel();
    hub.tasks.spawn(turn.connect(client, sender));
    match (&mut connected).await {
        Ok(Ok(handoff)) => handoff.accept().ok_or(ConnectError::Stopping),
        Ok(Err(error)) => Err(error),
        Err(_dropped) => Err(ConnectError::Stopping),
    }
}

/// Connects a client again that was disconnected before it could know of its attachment, which is not older than `since`.
pub(super) fn connect_again(
    hub: &Hub,
    target: &Target,
    client: Client,
    since: Instant,
) -> Result<Connected, ConnectError> {
    let (number, live) = hub.present(target).ok_or(JoinRefused::Unknown)?;
    let Joining(join) = Joining::of(number, client)?;
    let (name, grant) = (join.name.clone(), join.grant.clone());
    let id = live.change(|session, now| session.join_again(join, since, now))?;
    info!(session.id = %name, grant.id = %grant, %target, "session opened again: the client was disconnected before it knew of the first one");
    Ok(Connected::new(live, id))
}

impl Turn {
    fn take(hub: &Arc<Hub>, target: &Target, rights: &Arc<Rights>) -> Result<Self, Limit> {
        let mut sessions = hub.sessions();
        let waiting: usize = sessions.opening.values().map(|opening| opening.tasks).sum();
        if waiting >= MOST {
            return Err(Limit::Openings);
        }
        // One more than the limit: the client of the task that holds the lock may have disconnected and reconnected.
        let of_target = sessions.opening.get(target).map_or(0, |opening| opening.tasks);
        if of_target > hub.limits.attachments {
            return Err(Limit::Attachments);
        }
        let opening = sessions.opening.entry(target.clone()).or_default();
        opening.tasks += 1;
        let gate = Arc::clone(&opening.gate);
        drop(sessions);
        let (hub, rights) = (Arc::clone(hub), Arc::clone(rights));
        Ok(Self { hub, target: target.clone(), gate, rights })
    }

    async fn connect(
        self,
        client: Client,
        mut sender: oneshot::Sender<Result<Handoff, ConnectError>>,
    ) {
        let Some(_gate) = self.wait(&mut sender).await else { return };
        let grant = client.grant.clone();
        let connected = self.join_or_open(client).await;
        if self.is_revoked(&grant) {
            self.hub.revoke(&grant);
        }
        // If the client has disconnected, its attachment waits for it to resume.
        drop(sender.send(connected.map(|connected| Handoff(Some(connected)))));
    }

    /// Waits for its turn, unless the client disconnects.
    async fn wait(
        &self,
        sender: &mut oneshot::Sender<Result<Handoff, ConnectError>>,
    ) -> Option<OwnedMutexGuard<()>> {
        tokio::select! {
            () = sender.closed() => None,
            gate = Arc::clone(&self.gate).lock_owned() => Some(gate),
        }
    }

    fn is_revoked(&self, grant: &str) -> bool {
        self.rights.is_revoked(grant, Instant::now())
    }

    async fn join_or_open(&self, client: Client) -> Result<Connected, ConnectError> {
        if let Some((number, live)) = self.hub.present(&self.target) {
            let _place = self.place(live.project(), (&client, false))?;
            let join = Joining::of(number, client.clone())?;
            match live.change(|session, now| join.join(session, &self.target, now)) {
                Err(JoinRefused::Closed) => {}
                Err(JoinRefused::Full) => return Err(refused(&self.hub, Limit::Attachments)),
                Err(JoinRefused::FullForGrant) => {
                    return Err(refused(&self.hub, Limit::GrantAttachments));
                }
                joined => {
                    let id = joined?;
                    return Ok(Connected::new(live, id));
                }
            }
        }
        self.open(client).await
    }

    /// Takes a place among the sessions and clients of a project.
    fn place(
        &self,
        project: Option<&ProjectId>,
        (client, opens): (&Client, bool),
    ) -> Result<Option<ProjectPlace<'_>>, ConnectError> {
        let newcomer = Newcomer { grant: &client.grant, may_write: client.may_write };
        ProjectPlace::take(&self.hub, project, (newcomer, opens))
            .map_err(|limit| refused(&self.hub, limit))
    }

    async fn open(&self, client: Client) -> Result<Connected, ConnectError> {
        let Self { hub, target, .. } = self;
        let _place = Place::take(hub).ok_or_else(|| refused(hub, Limit::Sessions))?;
        let inspected = hub.engine.inspect(target).await?;
        let owner = hub.engine.owner(&inspected).await?;
        if self.is_revoked(&client.grant) {
            return Err(ConnectError::Revoked);
        }
        let project = owner.as_ref().map(|owner| owner.project.clone());
        let _place_of_project = self.place(project.as_ref(), (&client, true))?;
        let limits = hub.limits_of(project.as_ref());
        let (window, size) = (client.hello.size, client.hello.size.filter(|_| client.may_write));
        let number = hub.next_number();
        let join = Joining::of(number, client)?;
        let files = Files::create(inspected.process, &limits.spill).map_err(ConnectError::Files)?;
        let recorder = Recorder::begin(hub, (target, &inspected, owner), window).await?;
        let opened = hub.engine.open(target, &inspected, size).await?;
        // There is no await from here on until the stream is in the store.
        let Opened { stream, early, output_ended, exit } = opened;
        let memory = limits.memory.clone();
        let mut session = Session::new(inspected.process, limits, files);
        let mut run = Run { project, ..inspected.run() };
        if inspected.process.kind == SessionKind::Exec {
            session.started();
            run = run.starting();
        }
        let recording = recorder.info().cloned();
        if let Some(info) = &recording {
            session.begin_recording(info.policy, (0, 0));
        }
        // The client's attachment is part of the record, so that the next gate process also waits for it.
        let id = join.join(&mut session, target, Instant::now())?;
        let [_, _, spool] = session.files();
        let streams =
            Streams::begin(stream, &early, (spool, memory)).map_err(ConnectError::StreamLost)?;
        let saved =
            Saved::begin((&hub.store, number), (target, run, recording), &session, &streams)
                .map_err(ConnectError::StreamLost)?;
        let live = Arc::new(Live::new(session, saved));
        let awaited = Awaited { output_ended, exit, again: false };
        hub.serve(number, Arc::clone(&live), (streams, recorder.begun()), awaited);
        Ok(Connected::new(live, id))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut sessions = self.hub.sessions();
        if let Some(opening) = sessions.opening.get_mut(&self.target) {
            opening.tasks = opening.tasks.saturating_sub(1);
            if opening.tasks == 0 {
                sessions.opening.remove(&self.target);
            }
        }
    }
}

/// A place among the sessions, for one that is being opened.
struct Place<'a>(&'a Hub);

impl<'a> Place<'a> {
    /// Takes a place, unless all are taken.
    fn take(hub: &'a Hub) -> Option<Self> {
        let mut sessions = hub.sessions();
        let is_free = sessions.live.len() + sessions.reserved < hub.most.sessions;
        sessions.reserved += usize::from(is_free);
        drop(sessions);
        is_free.then(|| Self(hub))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut sessions = self.0.sessions();
        sessions.reserved = sessions.reserved.saturating_sub(1);
    }
}

impl Handoff {
    fn accept(mut self) -> Option<Connected> {
        self.0.take()
    }
}

impl Drop for Handoff {
    fn drop(&mut self) {
        if let Some(Connected { live, id, .. }) = self.0.take() {
            live.disconnect(id, Left::Lost);
        }
    }
}

fn refused(hub: &Hub, limit: Limit) -> ConnectError {
    hub.stats().refused(limit);
    ConnectError::Limit(limit)
}

/// A client that gets an attachment.
struct Joining(Join);

impl Joining {
    fn of(number: u64, client: Client) -> Result<Self, ConnectError> {
        let token = || Token::random().map_err(|_none| ConnectError::NoRandomness);
        let Client { grant, key, may_write, files, hello } = client;
        let name = format!("{number}-{}", token()?.into_text());
        Ok(Self(Join { name, token: token()?, key, grant, may_write, files, hello }))
    }

    fn join(
        self,
        session: &mut Session,
        target: &Target,
        now: Instant,
    ) -> Result<ConnectionId, JoinRefused> {
        let Join { name, grant, .. } = &self.0;
        let (name, grant) = (name.clone(), grant.clone());
        let writes = self.0.may_write && self.0.hello.writes;
        let id = session.join(self.0, now)?;
        info!(session.id = %name, grant.id = %grant, %target, writes, "session begins");
        Ok(id)
    }
}

#[cfg(test)]
mod tests;
