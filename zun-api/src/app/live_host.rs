//! Hosts that are up, and calls to their agents.

use std::time::Duration;

use chrono::NaiveDateTime;
use zun_common::bus::CallError;
use zun_common::id::{Epoch, HostName};
use zun_common::rpc::{Call, Code, Problem};

use super::hosts::state_reason;
use super::{App, AppError, Caller};
use crate::db::host::{self, Liveness, Record};

/// Maximum number of calls while a host's agent is replaced.
const EPOCH_ATTEMPTS: u32 = 5;
/// The pause between two of them.
const EPOCH_PAUSE: Duration = Duration::from_millis(100);

/// A host that was up when it was read from the database.
#[derive(Debug, Clone)]
pub(super) struct LiveHost {
    pub(super) name: HostName,
    epoch: Epoch,
}

impl LiveHost {
    /// Takes a host as the database has it, and the database's time. Returns an error if the host is down.
    pub(super) fn of(
        name: &HostName,
        known: Option<(Record, NaiveDateTime)>,
    ) -> Result<Self, AppError> {
        let down = |why| AppError::HostDown { host: name.clone(), why };
        let Some((host, now)) = known else {
            return Err(down("its agent has never reported".to_owned()));
        };
        let liveness = host.liveness(now);
        // A refused agent is shown in `state_reason`, but does not limit the host.
        let works = liveness == Liveness::Up && !host.is_recovering();
        match state_reason(&host, liveness).filter(|_| !works) {
            Some(why) => Err(down(why)),
            None => Ok(Self { name: name.clone(), epoch: host.epoch }),
        }
    }
}

impl App {
    /// Looks up a host. Returns an error if it is down.
    pub(super) async fn live_host(&self, name: &HostName) -> Result<LiveHost, AppError> {
        let wanted = name.clone();
        let known = self.db.read(move |conn| host::by_name_now(conn, &wanted)).await?;
        LiveHost::of(name, known)
    }

    /// Calls the agent on a host: that of the host's epoch. Repeats the call if an agent refuses it because the epoch
    /// has changed, or because it is a second agent of the same name. A call that is not idempotent is not repeated:
    /// the bus can deliver it to the next agent although the former one has carried it out.
    pub(super) async fn call_agent<C: Call>(
        &self,
        caller: &Caller,
        host: &LiveHost,
        call: &C,
    ) -> Result<C::Reply, AppError> {
        let (name, mut epoch) = (&host.name, host.epoch);
        let mut attempts = 0;
        loop {
            let answer = self.bus.call_in_epoch((name, epoch), call, &caller.context).await;
            attempts += 1;
            let Err(CallError::Refused { problem, method, route }) = answer else {
                return answer.map_err(|cause| AppError::Agent { host: name.clone(), cause });
            };
            let is_stale = problem.code == Code::StaleEpoch;
            if is_stale && !C::ONCE && attempts < EPOCH_ATTEMPTS {
                tokio::time::sleep(EPOCH_PAUSE).await;
                epoch = self.live_host(name).await?.epoch;
                continue;
            }
            let words =
                "The agent of the host was replaced; the request may have been carried out.";
            let problem =
                if is_stale && C::ONCE { Problem::new(Code::Uncertain, words) } else { problem };
            let cause = CallError::Refused { method, route, problem };
            return Err(AppError::Agent { host: name.clone(), cause });
        }
    }
}
