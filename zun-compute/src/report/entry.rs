//! One container's page: its facts, what is being done to it, and its reports.

use zun_common::api::v1::container::ImagePull;
use zun_common::id::{ContainerId, HostName};
use zun_common::rpc::host::AssignedContainer;
use zun_common::rpc::report::ContainerReport;
use zun_common::status::{Status, TaskState};

use super::facts::{Ending, Facts, Failure, Held, Sight, Ticket};
use super::slot::Slot;
use crate::driver::{ContainerInfo, ProcessExit};

/// What an observation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heed {
    /// It is taken, or it was known, or it was too old.
    Taken,
    /// It is gone, and only zun-api knows whether it should be.
    Unsure,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) facts: Facts,
    pub(super) slot: Slot,
    task: Option<TaskState>,
    pull: Option<ImagePull>,
    held: Option<Held>,
    auto_remove: Option<bool>,
    /// Its making was ordered from this agent since it began.
    pub(super) ordered: bool,
    gone_in_task: bool,
    /// The last exit of its process, by the engine's events.
    pub(super) exit: Option<ProcessExit>,
    /// The newest look at the engine that was taken.
    ticket: Ticket,
}

impl Entry {
    pub(super) fn new() -> Self {
        Self {
            facts: Facts::unknown(),
            slot: Slot::default(),
            task: None,
            pull: None,
            held: None,
            auto_remove: None,
            ordered: false,
            gone_in_task: false,
            exit: None,
            ticket: Ticket::default(),
        }
    }

    /// What zun-api knows of it; what was seen here is newer.
    pub(super) fn learn(&mut self, assigned: &AssignedContainer) {
        self.auto_remove = Some(assigned.auto_remove);
        if self.facts.status == Status::Unknown && self.facts.engine.is_none() {
            self.facts.status = assigned.status;
            self.facts.engine.clone_from(&assigned.engine);
        }
    }

    pub(super) const fn ordered(&mut self, auto_remove: bool) {
        self.ordered = true;
        self.auto_remove = Some(auto_remove);
    }

    pub(super) fn begin(&mut self, task: TaskState) {
        self.task = Some(task);
        self.pull = None;
        self.held = None;
        self.facts.reason = None;
        let making = matches!(task, TaskState::ImagePulling | TaskState::Creating);
        if making && self.facts.engine.is_none() {
            self.facts.status = Status::Creating;
        }
    }

    /// Its image comes along so far.
    pub(super) fn pulling(&mut self, pull: ImagePull) {
        self.pull = Some(pull).filter(|_| self.task == Some(TaskState::ImagePulling));
    }

    /// A look at the engine, begun at `ticket`. An older one than the newest changes nothing.
    pub(super) fn observe(&mut self, ticket: Ticket, sight: Sight) -> Heed {
        if ticket < self.ticket {
            return Heed::Taken;
        }
        self.ticket = ticket;
        match sight {
            Sight::Seen(seen) => self.settle(*seen),
            Sight::Gone if self.task.is_some() && !self.is_removing() => self.gone_in_task = true,
            Sight::Gone => return self.gone(self.is_removing()),
        }
        Heed::Taken
    }

    /// The work ended. Where the engine did not answer, the facts stay as they were.
    pub(super) fn finish(&mut self, ending: Ending) -> Finish {
        let Ending { ticket, sight, failure } = ending;
        let gone = sight.as_ref().map_or(self.gone_in_task, |sight| *sight == Sight::Gone);
        let removing = self.is_removing();
        self.task = None;
        self.pull = None;
        self.gone_in_task = false;
        self.ticket = self.ticket.max(ticket);
        match (sight, failure) {
            (_, failure) if gone => return self.finish_gone(removing, failure.as_ref()),
            (Some(Sight::Seen(seen)), Some(failure)) => {
                self.held = Some(Held::new(failure, &seen));
                self.settle(*seen);
            }
            (Some(Sight::Seen(seen)), None) => self.settle(*seen),
            (_, Some(failure)) => failure.mark(&mut self.facts),
            (_, None) => {}
        }
        Finish { error_first: false, heed: Heed::Taken }
    }

    fn finish_gone(&mut self, removing: bool, failure: Option<&Failure>) -> Finish {
        let Some(failure) = failure.filter(|_| !removing) else {
            return Finish { error_first: false, heed: self.gone(removing) };
        };
        failure.mark(&mut self.facts);
        self.facts.status = Status::Error;
        let made = self.facts.engine.is_some();
        let heed = if made && self.auto_remove.is_none() { Heed::Unsure } else { Heed::Taken };
        Finish { error_first: made && self.auto_remove == Some(true), heed }
    }

    /// Whether a look that was begun at `ticket` may still say that it is absent.
    pub(super) fn may_be_absent(&self, ticket: Ticket) -> bool {
        ticket >= self.ticket
            && self.task.is_none()
            && !matches!(self.facts.status, Status::Deleted)
    }

    /// It is gone, and that is right.
    pub(super) fn deleted(&mut self) {
        self.task = None;
        self.pull = None;
        self.held = None;
        if is_active(self.facts.status) {
            let exit = self.exit.filter(|exit| Some(exit.at) >= self.facts.started_at);
            self.facts.exit_code = exit.map(|exit| exit.code);
        }
        self.facts.status = Status::Deleted;
    }

    /// It is gone, and should be there. An error that was known before says more.
    pub(super) fn vanished(&mut self, container: ContainerId) {
        self.held = None;
        if self.facts.status != Status::Error || self.facts.reason.is_none() {
            self.facts.status = Status::Error;
            self.facts.reason = Some(format!("No such container: {container}"));
        }
    }

    fn gone(&mut self, removing: bool) -> Heed {
        let known = self.facts.engine.is_some();
        if removing || (known && self.auto_remove == Some(true)) {
            self.deleted();
            return Heed::Taken;
        }
        let settled = matches!(self.facts.status, Status::Deleted | Status::Error);
        if settled || !known { Heed::Taken } else { Heed::Unsure }
    }

    fn is_removing(&self) -> bool {
        self.task == Some(TaskState::Deleting)
    }

    fn settle(&mut self, seen: ContainerInfo) {
        let held = self.held.take().filter(|held| held.still(&seen));
        let exit_code = seen.exit_code.or_else(|| self.code_of_last_run(&seen));
        self.facts = Facts { exit_code, ..Facts::of(seen) };
        let ran_not = matches!(self.facts.status, Status::Created | Status::Stopped);
        if ran_not && self.facts.reason.is_some() {
            self.facts.status = Status::Error;
        }
        if let Some(held) = &held {
            held.mark(&mut self.facts);
        }
        self.held = held;
        self.gone_in_task = false;
    }

    /// The exit code of the run before this one. No look may have seen its end: Docker 26 answers a look only when the
    /// next run has begun.
    fn code_of_last_run(&self, seen: &ContainerInfo) -> Option<i64> {
        if !is_active(seen.status) {
            return None;
        }
        let began = self.facts.started_at;
        let of_run = |exit: &ProcessExit| {
            began.is_some() && Some(exit.at) >= began && Some(exit.at) <= seen.started_at
        };
        let unseen = self.exit.filter(of_run).map(|exit| exit.code);
        let known = matches!(self.facts.status, Status::Stopped | Status::Restarting);
        let carried = self.facts.exit_code.filter(|_| known || is_active(self.facts.status));
        unseen.or(carried)
    }

    pub(super) fn is_removed(&self) -> bool {
        self.facts.status == Status::Deleted
    }

    /// Nothing is done to it and everything was told.
    pub(super) const fn is_idle(&self) -> bool {
        self.task.is_none() && self.slot.is_idle()
    }

    pub(super) fn report(
        &self,
        container: ContainerId,
        host: &HostName,
        attached: u32,
    ) -> ContainerReport {
        let Facts { status, reason, engine, exit_code, oom_killed, started_at, finished_at } =
            self.facts.clone();
        let status = if self.is_removing() { Status::Deleting } else { status };
        ContainerReport {
            container,
            host: host.clone(),
            generation: 0,
            status,
            task_state: self.task,
            status_reason: reason,
            engine,
            exit_code,
            oom_killed,
            started_at,
            finished_at,
            attached,
            image_pull: self.pull.clone(),
        }
    }
}

const fn is_active(status: Status) -> bool {
    matches!(status, Status::Running | Status::Paused)
}

/// How a piece of work ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish {
    pub(super) error_first: bool,
    pub(super) heed: Heed,
}
