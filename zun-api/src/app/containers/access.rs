//! Records in the ledger who connected to a container or ran a command in it.

use std::sync::Arc;

use zun_common::bus::CallError;
use zun_common::chain;
use zun_common::rpc::Code;
use zun_common::rpc::operation::Outcome;

use crate::app::{App, AppError, Caller};
use crate::db::container::Record;
use crate::db::operation::{Access, Kind, record_access};

/// How many accesses may wait for the database. Those beyond are only in the audit log.
const MAX_WAITING: usize = 256;

/// The room for accesses that wait for the database.
#[derive(Debug, Clone)]
pub(crate) struct WaitingAccesses(Arc<tokio::sync::Semaphore>);

impl Default for WaitingAccesses {
    fn default() -> Self {
        Self(Arc::new(tokio::sync::Semaphore::new(MAX_WAITING)))
    }
}

impl App {
    /// Records an access, after the response. It is lost if this zun-api dies before.
    pub(super) fn record_access(
        &self,
        caller: &Caller,
        record: &Record,
        (kind, outcome): (Kind, Outcome),
    ) {
        let access = Access {
            container: record.id,
            project: record.project.clone(),
            user: caller.identity.user.clone(),
            request: caller.context.request.clone(),
            kind,
            outcome,
        };
        let Ok(permit) = Arc::clone(&self.waiting_accesses.0).try_acquire_owned() else {
            tracing::warn!(
                container.id = %record.id, request.id = %caller.context.request,
                "cannot record an access to container {}: the database is too slow", record.id
            );
            return;
        };
        let db = self.db.clone();
        self.tasks.spawn(async move {
            let _permit = permit;
            let container = access.container;
            let written = db.write_relaxed(move |conn| record_access(conn, &access)).await;
            if let Err(error) = written {
                tracing::warn!(
                    container.id = %container, error = %chain(&error),
                    "cannot record an access to container {container}"
                );
            }
        });
    }
}

/// The outcome of a command that ran to its end. `None` if it certainly did not run, because the agent did not receive
/// it.
pub(super) fn outcome_of_run<T>(ran: &Result<T, AppError>) -> Option<Outcome> {
    match ran {
        Ok(_) => Some(Outcome::Succeeded),
        Err(AppError::Agent { cause: CallError::Refused { problem, .. }, .. }) => {
            let is_uncertain = problem.code == Code::Uncertain;
            Some(if is_uncertain { Outcome::Unknown } else { Outcome::Failed(problem.clone()) })
        }
        Err(AppError::Agent { cause: CallError::NoReply { .. }, .. }) => Some(Outcome::Unknown),
        Err(_) => None,
    }
}
