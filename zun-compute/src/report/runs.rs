//! Numbers the runs of one container, and keeps those that zun-api has not acknowledged. Pure.
//!
//! zun-api's database is where the numbers are kept. An agent learns the number of a container's newest run from
//! zun-api once in each epoch, and counts on from there. Until then it counts nothing and its reports of the container
//! wait, so that no two agents give different runs the same number:
//!
//! - If the agent crashes, the next one gets what zun-api has stored. Runs that began and ended in between were never
//!   reported, so nobody knows their numbers.
//! - If zun-api crashes, the agent keeps the runs and reports them again. A run is written by its number, so a repeated
//!   report changes nothing.
//! - If the engine crashes, its events end. The first inspection after that shows whether another run has begun.
//!
//! A run begins with the engine's event, or if an inspection shows another start than the last known one. An inspection
//! may be ahead of the event of the same start, which then counts only once. Starts are compared for equality only:
//! clocks step.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use zun_common::environment;
use zun_common::rpc::report::{LastRun, RunEnd, RunReport};
use zun_common::status::{EndReason, Status, TaskState};

use super::facts::{Failure, ObservationSequence};
use crate::driver::{ContainerInfo, ProcessExit};

/// Maximum number of runs that are kept. Older ones are not reported.
const MAX_RUNS: usize = 20;
/// Exit codes above it stand for signals: 128 + the signal's number.
const SIGNAL_BASE: i64 = 128;
/// The largest number of a signal.
const MAX_SIGNAL: i64 = 64;

/// The newest runs of a container.
#[derive(Debug, Default)]
pub(super) struct RunLog {
    /// The number of the run before the first one in `runs`; `None` until it is known.
    before: Option<i64>,
    runs: VecDeque<Run>,
    /// The sequence of the newest event or inspection that was counted.
    sequence: ObservationSequence,
}

#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
struct Run {
    raw_started: Option<String>,
    started_at: Option<DateTime<Utc>>,
    /// Whether the event of its start has arrived, or can no longer arrive.
    start_event: bool,
    /// Its exit by the engine's event.
    exit: Option<ProcessExit>,
    /// Whether it has ended. The end of a run from before this epoch is not in `end`.
    has_ended: bool,
    end: Option<RunEnd>,
    /// Whether the engine has shown it since events were last lost.
    is_confirmed: bool,
    acknowledged: bool,
}

impl RunLog {
    /// Whether the number of the newest run is known.
    pub(super) const fn is_numbered(&self) -> bool {
        self.before.is_some()
    }

    /// Sets the newest run that zun-api knows, unless the runs are numbered already. Only inspections after `sequence`
    /// count.
    pub(super) fn number_from(&mut self, sequence: ObservationSequence, last: Option<LastRun>) {
        if self.is_numbered() {
            return;
        }
        self.sequence = sequence;
        self.runs.clear();
        self.before = Some(last.as_ref().map_or(0, |last| last.number - 1));
        self.runs.extend(last.map(|LastRun { number: _, raw_started, has_ended }| Run {
            raw_started,
            start_event: true,
            has_ended,
            acknowledged: true,
            ..Run::default()
        }));
    }

    /// The next epoch begins: another agent may have numbered runs.
    pub(super) fn forget(&mut self) {
        *self = Self { sequence: self.sequence, ..Self::default() };
    }

    /// The number of the current run, or else of the next, and whether it has begun; `None` if that is not known.
    pub(super) fn current(&self) -> Option<(i64, bool)> {
        let last = self.last_number()?;
        let is_open = self.runs.back().is_some_and(|run| !run.has_ended && run.exit.is_none());
        Some(if is_open { (last, true) } else { (last + 1, false) })
    }

    /// The number of the newest run, or 0; `None` if that is not known.
    pub(super) fn last_number(&self) -> Option<i64> {
        Some(self.before? + i64::try_from(self.runs.len()).unwrap_or_default())
    }

    /// The exit code of the newest run that has ended.
    pub(super) fn last_exit_code(&self) -> Option<i64> {
        self.runs.iter().rev().find_map(|run| run.end.as_ref())?.exit_code
    }

    /// The engine's event of a start.
    pub(super) fn started(&mut self, sequence: ObservationSequence) {
        if !self.is_numbered() {
            return;
        }
        self.sequence = self.sequence.max(sequence);
        match self.runs.back_mut() {
            // An inspection was ahead of the event.
            Some(run) if !run.start_event => run.start_event = true,
            Some(_) | None => {
                self.begin(Run { start_event: true, is_confirmed: true, ..Run::default() });
            }
        }
    }

    /// The engine's event of an exit. The next inspection shows what it means for the container.
    pub(super) fn exited(&mut self, sequence: ObservationSequence, exit: ProcessExit) {
        self.sequence = self.sequence.max(sequence);
        if let Some(run) = self.runs.back_mut()
            && run.exit.is_none()
            && run.is_confirmed
        {
            run.exit = Some(exit);
            run.start_event = true;
        }
    }

    /// Applies an inspection. `task` is what the agent is doing to the container.
    pub(super) fn observe(
        &mut self,
        sequence: ObservationSequence,
        info: &ContainerInfo,
        task: Option<TaskState>,
    ) {
        if !self.is_numbered() || sequence < self.sequence {
            return;
        }
        self.sequence = sequence;
        let Some(raw) = &info.raw_started else { return };
        let is_raw = |run: &Run| run.raw_started.as_ref() == Some(raw);
        if self.runs.iter().rev().skip(1).any(is_raw) {
            // A late inspection, or an engine that crashed and shows the former start.
            if let Some(run) = self.runs.back_mut().filter(|run| run.exit.is_some()) {
                run.end_as_shown(info, task);
            }
            return;
        }
        if !self.runs.back().is_some_and(|run| run.may_be(info)) {
            self.begin(Run::default());
        }
        let Some(run) = self.runs.back_mut() else { return };
        run.show(info);
        if info.finished_at.is_some() {
            run.end_as_shown(info, task);
        }
    }

    /// Events may have been lost: exits cannot be assigned to the newest run until an inspection has shown it again.
    pub(super) fn events_ended(&mut self) {
        if let Some(run) = self.runs.back_mut() {
            run.is_confirmed = false;
        }
    }

    /// The engine no longer has the container.
    pub(super) fn removed(&mut self) {
        if let Some(run) = self.runs.back_mut() {
            run.end_without_inspection(EndReason::Removed);
        }
    }

    /// The engine could not start the container: this counts as a run that never began. `last` is the number of the
    /// newest run before the attempt.
    pub(super) fn not_started(&mut self, last: Option<i64>, failure: &Failure) {
        if last.is_none() || self.last_number() != last {
            return;
        }
        if self.runs.back().is_some_and(|run| !run.has_ended) {
            return;
        }
        let end = RunEnd {
            at: Some(environment::now()),
            exit_code: failure.exit_code,
            reason: EndReason::NotStarted,
            message: Some(failure.reason.clone()),
        };
        // The engine still shows the start of the run before.
        let raw_started = self.runs.back().and_then(|run| run.raw_started.clone());
        self.begin(Run {
            raw_started,
            start_event: true,
            has_ended: true,
            end: Some(end),
            ..Run::default()
        });
    }

    /// The runs that zun-api has not acknowledged.
    pub(super) fn unacknowledged(&self) -> Vec<RunReport> {
        let first = self.before.map_or(0, |before| before + 1);
        let numbered = (first..).zip(&self.runs).filter(|(_, run)| !run.acknowledged);
        numbered.map(|(number, run)| run.report(number)).collect()
    }

    /// zun-api has stored these runs.
    pub(super) fn acknowledge(&mut self, stored: &[RunReport]) {
        let Some(before) = self.before else { return };
        for (number, run) in (before + 1..).zip(&mut self.runs) {
            run.acknowledged |= stored.contains(&run.report(number));
        }
        while self.runs.len() > 2 && self.runs.front().is_some_and(|run| run.acknowledged) {
            self.drop_first();
        }
    }

    /// zun-api may have lost what was acknowledged: the runs that this agent has seen are reported again.
    pub(super) fn repeat(&mut self) {
        for run in &mut self.runs {
            run.acknowledged &= run.has_ended && run.end.is_none();
        }
    }

    fn begin(&mut self, run: Run) {
        if let Some(last) = self.runs.back_mut() {
            last.end_without_inspection(EndReason::Restarted);
        }
        self.runs.push_back(run);
        if self.runs.len() > MAX_RUNS {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        self.runs.pop_front();
        self.before = self.before.map(|before| before + 1);
    }
}

impl Run {
    /// Whether an inspection shows this run. One that zun-api knows to be over cannot run again.
    fn may_be(&self, info: &ContainerInfo) -> bool {
        let was_over = self.has_ended && self.end.is_none();
        match &self.raw_started {
            None => !self.has_ended,
            Some(known) => {
                Some(known) == info.raw_started.as_ref()
                    && (!was_over || info.finished_at.is_some())
            }
        }
    }

    /// Sets what an inspection shows of the start.
    fn show(&mut self, info: &ContainerInfo) {
        self.is_confirmed = true;
        if self.raw_started.is_none() {
            self.raw_started.clone_from(&info.raw_started);
            self.acknowledged = false;
        }
        self.started_at = self.started_at.or(info.started_at);
    }

    /// Ends the run with what an inspection shows. The engine may report later that the memory was exhausted.
    fn end_as_shown(&mut self, info: &ContainerInfo, task: Option<TaskState>) {
        let shows_oom =
            info.oom_killed && self.end.as_ref().is_some_and(|end| end.reason == EndReason::Signal);
        if self.has_ended && !shows_oom {
            return;
        }
        let exit_code = self.exit.map(|exit| exit.code).or(info.exit_code);
        let restarts = task == Some(TaskState::Rebooting) || info.status == Status::Restarting;
        let reason = match exit_code {
            _ if task == Some(TaskState::Deleting) => EndReason::Removed,
            _ if restarts => EndReason::Restarted,
            Some(1..) if info.oom_killed => EndReason::OutOfMemory,
            Some(code) if (1..=MAX_SIGNAL).contains(&(code - SIGNAL_BASE)) => EndReason::Signal,
            Some(_) => EndReason::Exited,
            None => EndReason::Unseen,
        };
        let at = self.exit.map(|exit| exit.at).or(info.finished_at);
        self.set_end(RunEnd { at, exit_code, reason, message: None });
    }

    /// Ends the run, unless it has ended. If the exit was not observed, the reason is [`EndReason::Unseen`].
    fn end_without_inspection(&mut self, reason: EndReason) {
        if self.has_ended {
            return;
        }
        let reason = match (self.exit, reason) {
            (None, EndReason::Restarted) => EndReason::Unseen,
            (_, reason) => reason,
        };
        let (at, exit_code) = (self.exit.map(|exit| exit.at), self.exit.map(|exit| exit.code));
        self.set_end(RunEnd { at, exit_code, reason, message: None });
    }

    fn set_end(&mut self, end: RunEnd) {
        self.has_ended = true;
        self.end = Some(end);
        self.acknowledged = false;
    }

    fn report(&self, number: i64) -> RunReport {
        RunReport {
            number,
            raw_started: self.raw_started.clone(),
            started_at: self.started_at,
            end: self.end.clone(),
        }
    }
}
