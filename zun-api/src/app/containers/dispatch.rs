//! Sends the create command of a container to its host. If the bus is unavailable, retries until the command's
//! deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use zun_common::bus::CallError;
use zun_common::chain;
use zun_common::rpc::container::CreateContainer;
use zun_common::rpc::envelope::CallContext;

use crate::app::App;
use crate::db::DbError;
use crate::db::container::{self, Record};

/// How long a create request waits until its command is sent. After that, it responds with status `Creating`
/// while the dispatch continues.
const DISPATCH_WAIT: Duration = Duration::from_secs(1);

impl App {
    /// Sends the command. If the bus does not accept it at once, keeps trying after the response.
    pub(super) async fn dispatch_or_defer(
        self: &Arc<Self>,
        record: Record,
        context: CallContext,
    ) -> Record {
        let (done, outcome) = oneshot::channel();
        let (app, sent) = (Arc::clone(self), record.clone());
        self.tasks.spawn(async move {
            if let Err(record) = done.send(app.dispatch(sent, context).await) {
                tracing::trace!(container.id = %record.id, "finished the dispatch after the response");
            }
        });
        match tokio::time::timeout(DISPATCH_WAIT, outcome).await {
            Ok(Ok(record)) => record,
            Ok(Err(_)) | Err(_) => record,
        }
    }

    /// Resends the create commands that may not have been sent before zun-api last stopped. Agents create each
    /// container only once.
    pub(crate) async fn redispatch_pending(self: &Arc<Self>) -> Result<(), DbError> {
        for record in self.db.read(container::undispatched).await? {
            tracing::info!(container.id = %record.id, "sending the create command of container {} again", record.id);
            let app = Arc::clone(self);
            self.tasks.spawn(async move {
                app.dispatch(record, CallContext::internal()).await;
            });
        }
        Ok(())
    }

    /// Sends the command and returns the updated row. At shutdown the row stays as it is, and zun-api sends the
    /// command again after its next start.
    async fn dispatch(&self, record: Record, mut context: CallContext) -> Record {
        let Some(host) = record.host.clone() else { return record };
        context.project = Some(record.project.clone());
        let (id, spec, start) = (record.id, record.spec.clone(), record.start_wanted);
        let call = CreateContainer { container: id, spec, start };
        let sent = tokio::select! {
            sent = self.bus.cast(&host, &call, &context) => sent,
            () = self.tasks.cancelled() => return record,
        };
        let updated = match sent {
            Ok(()) => {
                self.db.fact(move |conn| container::mark_dispatched(conn, id)).await.map(|()| None)
            }
            Err(error) => {
                warn(&record, &context, &error);
                let reason = failure_reason(&error);
                self.db.promise(move |conn| container::give_up(conn, id, &reason)).await
            }
        };
        self.publish_change(record, updated)
    }

    fn publish_change(&self, record: Record, updated: Result<Option<Record>, DbError>) -> Record {
        match updated {
            Ok(Some(changed)) => {
                self.hub.publish(&changed);
                changed
            }
            Ok(None) => record,
            Err(error) => {
                let id = record.id;
                tracing::error!(container.id = %id, error = %chain(&error), "cannot update the row of container {id}; it is out of date");
                record
            }
        }
    }
}

fn warn(record: &Record, context: &CallContext, error: &CallError) {
    tracing::warn!(
        container.id = %record.id, request.id = %context.request, error = %chain(error),
        "cannot send the create command of container {} to its host", record.id
    );
}

fn failure_reason(error: &CallError) -> String {
    match error {
        CallError::NoSuchHost { .. } => {
            "The container's host has never connected to the message bus.".to_owned()
        }
        CallError::NoReply { .. } | CallError::Bus { .. } => {
            "zun-api could not reach the message bus in time.".to_owned()
        }
        CallError::Refused { problem, .. } => problem.message.clone(),
        CallError::Malformed { .. } => "zun-api could not encode the create command.".to_owned(),
    }
}
