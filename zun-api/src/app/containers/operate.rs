//! Accepts operations into the ledger, and nudges their hosts to carry them out.
//!
//! ```text
//!  accept: one transaction ──> nudge ──> begun: 202 | refused: the outcome is stored, and is the response
//!                               └── no answer: 202; the host receives the operation with its next heartbeat
//! ```

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::Value;
use zun_common::chain;
use zun_common::id::{HostName, OperationId};
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::operation::{Change, Outcome, PerformOperation};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Action;

use super::once::{Asked, Once, is_transient};
use super::{Ident, Placed};
use crate::app::{App, AppError, Caller};
use crate::db::container::{self, Record, Scope};
use crate::db::operation::{self, Accepted, Kind, NewOperation, RequestKey, Settled};
use crate::db::{Conn, DbError, lock, transaction, transaction_with_retry};

/// How long an agent may take to begin an operation on a container.
pub(crate) const BEGIN_LIMIT: TimeDelta = TimeDelta::seconds(60);

impl App {
    /// Accepts an operation on an existing container. Returns when its host has begun it.
    pub(super) async fn operate(
        &self,
        caller: &Caller,
        ident: &Ident,
        (action, asked, change): (Action, (Kind, Value), impl FnOnce(&Record) -> Change),
    ) -> Result<(), AppError> {
        let (kind, arguments) = asked;
        let key = caller.request_key(&Asked { kind, container: &ident.0, arguments })?;
        let attempt = self.attempt(caller, ident, (action, key.clone(), change));
        match self.once(key, attempt).await? {
            Once::Done(()) => Ok(()),
            Once::Repeated(first) => self.answer_again(&caller.context, *first).await,
        }
    }

    async fn attempt(
        &self,
        caller: &Caller,
        ident: &Ident,
        (action, key, change): (Action, Option<RequestKey>, impl FnOnce(&Record) -> Change),
    ) -> Result<(), AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, action).await?;
        let (id, change) = (record.id, change(&record));
        let (user, request) = (caller.identity.user.clone(), caller.context.request.clone());
        let accept = move |conn: &mut Conn| {
            lock::container(conn, id)?;
            let Some(container) = container::by_id(conn, &Scope::All, id)? else { return Ok(None) };
            let (container, user, request) = (&container, &user, &request);
            let limit = Some(BEGIN_LIMIT);
            let new = NewOperation {
                subject: container.into(),
                user,
                request,
                key: key.as_ref(),
                change: change.clone(),
                limit,
            };
            operation::accept(conn, &host.name, new).map(Some)
        };
        let accepted =
            self.db.write_durable(move |conn| transaction_with_retry(conn, accept)).await?;
        let accepted = accepted.ok_or_else(|| AppError::ContainerNotFound(id.to_string()))?;
        tracing::debug!(
            container.id = %id, host.name = %accepted.host, request.id = %caller.context.request,
            "accepted {action} of container {id}"
        );
        self.nudge(&caller.context, accepted).await
    }

    /// Asks the host to carry out an accepted operation. If the host does not answer, the operation stays open. If the
    /// host refuses, returns its refusal, which is the operation's outcome.
    pub(super) async fn nudge(
        &self,
        context: &CallContext,
        accepted: Accepted,
    ) -> Result<(), AppError> {
        let Accepted { host, epoch, operation, is_held } = accepted;
        if is_held {
            return Ok(());
        }
        let (id, container) = (operation.id, operation.container);
        let call = PerformOperation { epoch, operation };
        let outcome = match self.bus.call(&host, &call, context).await {
            Ok(performing) => performing.outcome,
            Err(error) => {
                tracing::info!(
                    container.id = %container, host.name = %host, request.id = %context.request,
                    error = %chain(&error), "host {host} receives an operation with its next heartbeat"
                );
                return Ok(());
            }
        };
        match outcome {
            None | Some(Outcome::Succeeded | Outcome::Unknown) => Ok(()),
            Some(Outcome::Failed(problem)) => self.refused(host, (id, problem)).await,
            Some(Outcome::Expired) => {
                let words = "The host was too busy to begin the operation in time.";
                let problem = Problem::new(Code::Expired, words);
                self.refused(host, (id, problem)).await
            }
        }
    }

    /// Like [`App::nudge`], after the response.
    pub(crate) fn nudge_later(self: &Arc<Self>, context: CallContext, accepted: Accepted) {
        let app = Arc::clone(self);
        self.tasks.spawn(async move {
            let container = accepted.operation.container;
            let nudging = app.nudge(&context, accepted);
            let nudged = tokio::select! {
                biased;
                nudged = nudging => nudged,
                // The host receives it with its next heartbeat.
                () = app.tasks.cancelled() => return,
            };
            if let Err(error) = nudged {
                tracing::info!(
                    container.id = %container, request.id = %context.request,
                    error = %chain(&error), "an operation on container {container} failed"
                );
            }
        });
    }

    /// Stores a refusal before the response, so that no later agent carries out the operation.
    async fn refused(
        &self,
        host: HostName,
        (id, problem): (OperationId, Problem),
    ) -> Result<(), AppError> {
        let (outcome, passes) = (Outcome::Failed(problem.clone()), is_transient(problem.code));
        let Settled { record, ended } = self
            .db
            .write_durable(move |conn| {
                transaction(conn, |conn| refuse(conn, id, (&outcome, passes)))
            })
            .await?;
        self.metrics.count_operations(ended);
        if let Some(record) = record {
            self.hub.publish(&record);
        }
        Err(AppError::Refused { host, problem })
    }
}

/// Stores a refusal. If a later attempt may succeed, a repeat of the request is such an attempt.
fn refuse(
    conn: &mut Conn,
    id: OperationId,
    (outcome, passes): (&Outcome, bool),
) -> Result<Settled, DbError> {
    let settled = operation::settle(conn, id, outcome)?;
    if passes {
        operation::release_key(conn, id)?;
    }
    Ok(settled)
}
