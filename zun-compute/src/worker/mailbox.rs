//! The mailboxes of all containers. A mailbox, and with it a worker, is there as long as there is work:
//! the last look into the queue and the end of the worker are one step under one lock, so no command
//! falls between them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use zun_common::id::ContainerId;

use super::accept::{Kind, Known, Presence, Refusal, decide};
use super::command::Job;

#[derive(Debug)]
struct Mailbox {
    /// As the container is when the next command begins.
    presence: Presence,
    running: Option<(Kind, CancellationToken)>,
    queue: VecDeque<Job>,
}

/// What became of a job that was posted.
#[derive(Debug)]
pub(super) enum Posted {
    /// It is accepted, and a worker must be begun for it.
    Begin,
    /// It is accepted and waits behind others.
    Behind,
    /// The queue that would have said how the container will be is worked off: look at the container.
    LookFirst(Job),
}

/// The mailboxes.
#[derive(Debug)]
pub(super) struct Mailboxes {
    capacity: usize,
    boxes: Mutex<HashMap<ContainerId, Mailbox>>,
}

impl Mailboxes {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, boxes: Mutex::default() }
    }

    /// Something is done to it or waits.
    pub(super) fn is_busy(&self, container: ContainerId) -> bool {
        self.lock().contains_key(&container)
    }

    /// Accepts a job or refuses it. `found` is how the container was found while nothing was queued.
    pub(super) fn post(
        &self,
        container: ContainerId,
        found: Option<Presence>,
        job: Job,
    ) -> Result<Posted, Refusal> {
        let mut boxes = self.lock();
        let Some(mailbox) = boxes.get_mut(&container) else {
            let Some(presence) = found else { return Ok(Posted::LookFirst(job)) };
            let known = Known { presence, queued: &[], capacity: self.capacity };
            decide(&known, job.command.kind(), job.origin.again)?;
            boxes.insert(
                container,
                Mailbox { presence, running: None, queue: VecDeque::from([job]) },
            );
            return Ok(Posted::Begin);
        };
        let queued: Vec<Kind> = mailbox.kinds().collect();
        let known = Known { presence: mailbox.presence, queued: &queued, capacity: self.capacity };
        decide(&known, job.command.kind(), job.origin.again)?;
        if matches!(job.command.kind(), Kind::Remove(_)) {
            mailbox.give_up();
        }
        mailbox.queue.push_back(job);
        Ok(Posted::Behind)
    }

    /// The next job; `presence` is how the last one left the container. Where there is none the mailbox
    /// is gone, and the worker must end.
    pub(super) fn next(&self, container: ContainerId, presence: Option<Presence>) -> Option<Job> {
        let mut boxes = self.lock();
        let mailbox = boxes.get_mut(&container)?;
        mailbox.presence = presence.unwrap_or(mailbox.presence);
        let Some(job) = mailbox.queue.pop_front() else {
            boxes.remove(&container);
            return None;
        };
        mailbox.running = Some((job.command.kind(), job.given_up.clone()));
        Some(job)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Mailbox>> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    fn kinds(&self) -> impl Iterator<Item = Kind> {
        let running = self.running.iter().map(|(kind, _)| *kind);
        running.chain(self.queue.iter().map(|job| job.command.kind()))
    }

    fn give_up(&self) {
        if let Some((_, given_up)) = &self.running {
            given_up.cancel();
        }
        for job in &self.queue {
            job.given_up.cancel();
        }
    }
}
