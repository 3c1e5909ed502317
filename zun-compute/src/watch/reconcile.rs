//! Asking zun-api what should be here, and setting right what is not. Serving does not wait for it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zun_common::bus::Bus;
use zun_common::chain;
use zun_common::id::{ContainerId, EngineId, RequestId};
use zun_common::rpc::container::CreateContainer;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::host::{Assigned, AssignedContainers};
use zun_common::rpc::report::UnknownContainer;
use zun_common::shutdown::Tasks;

use super::plan::{Step, plan};
use crate::backoff::Backoff;
use crate::driver::DriverError;
use crate::host::{Host, within};
use crate::report::{Sight, Ticket};
use crate::worker::{Command, Origin, Workers};

const LISTS_WITHIN: Duration = Duration::from_mins(1);
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// Reconciles each time there is a doubt, until shutdown.
pub(crate) async fn reconcile(workers: Workers, host: Arc<Host>, bus: Bus, tasks: Tasks) {
    loop {
        tokio::select! {
            () = tasks.cancelled() => return,
            () = host.reconcile_needed.notified() => {}
        }
        let round = Round { workers: &workers, host: &host, bus: &bus, tasks: &tasks };
        tokio::select! {
            () = tasks.cancelled() => return,
            () = round.until_done() => {}
        }
    }
}

struct Round<'a> {
    workers: &'a Workers,
    host: &'a Host,
    bus: &'a Bus,
    tasks: &'a Tasks,
}

impl Round<'_> {
    async fn until_done(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        let mut waiting = false;
        loop {
            let ticket = self.host.reports.ticket();
            let why = match self.ask().await {
                Ok(assigned) => match self.set_right(ticket, &assigned).await {
                    Ok(()) => return,
                    Err(error) => chain(&error),
                },
                Err(why) => why,
            };
            if !std::mem::replace(&mut waiting, true) {
                tracing::warn!(host.name = %self.host.name, error = %why, "cannot reconcile yet");
            }
            backoff.wait().await;
        }
    }

    async fn ask(&self) -> Result<Assigned, String> {
        let question = AssignedContainers { host: self.host.name.clone() };
        let answer = self.bus.call_controller(&question, &CallContext::internal()).await;
        answer.map_err(|error| chain(&error))
    }

    /// `ticket` was drawn before zun-api was asked, so nothing that was done since is undone.
    async fn set_right(&self, ticket: Ticket, assigned: &Assigned) -> Result<(), DriverError> {
        let host = self.host;
        let looked = host.reports.ticket();
        let seen = within(LISTS_WITHIN, "list the containers", host.driver.list()).await?;
        let steps = plan(&assigned.containers, &seen);
        let ours: HashSet<ContainerId> =
            assigned.containers.iter().map(|one| one.container).collect();
        let there: HashSet<ContainerId> = seen.iter().map(|seen| seen.container).collect();
        for one in &assigned.containers {
            host.reports.learn(one);
        }
        tracing::info!(
            host.name = %host.name, assigned = ours.len(), found = there.len(), "reconciling"
        );
        for step in steps {
            match step {
                Step::Tell(seen) => {
                    host.reports.observe(looked, seen.container, Sight::Seen(seen));
                }
                Step::Make(create) => self.make(*create).await,
                Step::Vanished(container) => self.absent(ticket, container, false),
                Step::Removed(container) => self.absent(ticket, container, true),
                Step::Unknown(container, engine) => self.unknown(container, engine).await,
            }
        }
        host.reports.forget_all_but(|container| {
            ours.contains(container)
                || there.contains(container)
                || self.workers.is_busy(*container)
        });
        Ok(())
    }

    fn absent(&self, ticket: Ticket, container: ContainerId, rightly: bool) {
        if self.workers.is_busy(container) {
            return;
        }
        if !rightly {
            tracing::warn!(container.id = %container, "container {container} vanished from the engine");
        }
        self.host.reports.absent(ticket, container, rightly);
    }

    /// The order itself may still come, and then finds the container made. If it came before, what
    /// came of it was told.
    async fn make(&self, create: CreateContainer) {
        let container = create.container;
        if self.workers.is_busy(container) || self.host.reports.was_ordered(container) {
            return;
        }
        tracing::info!(container.id = %container, "container {container} was ordered and is not there: it is made");
        let origin = Origin { request: RequestId::random(), again: true };
        match self.workers.accept(container, Command::Create(Box::new(create)), origin).await {
            Ok(accepted) => self.tasks.spawn({
                let tasks = self.tasks.clone();
                async move {
                    tokio::select! {
                        () = tasks.cancelled() => {}
                        () = accepted.work => {}
                    }
                }
            }),
            Err(problem) => {
                tracing::warn!(container.id = %container, error = %problem, "container {container} is not made");
            }
        }
    }

    /// One that was assigned after zun-api answered has come here meanwhile, and is no stranger.
    async fn unknown(&self, container: ContainerId, engine: EngineId) {
        let host = self.host;
        if self.workers.is_busy(container) || host.reports.was_ordered(container) {
            return;
        }
        tracing::warn!(
            container.id = %container, host.name = %host.name,
            "container {container} carries our label, and zun-api does not know it: it is left alone"
        );
        let report = UnknownContainer { container, host: host.name.clone(), engine };
        let context = CallContext::internal();
        let told = self.bus.report(&report, &context);
        match timeout(TOLD_WITHIN, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(container.id = %container, error = %chain(&error), "could not tell of a stranger");
            }
            Err(_elapsed) => {
                tracing::warn!(container.id = %container, "could not tell of a stranger in time");
            }
        }
    }
}
