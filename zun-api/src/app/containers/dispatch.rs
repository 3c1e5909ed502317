//! Bringing the command to make a container to its host, also when the bus is away for a while.

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

/// How long a client waits for the bus to take its command, before it is answered `Creating`.
const DISPATCH_WAIT: Duration = Duration::from_secs(1);

impl App {
    /// Sends the command, and goes on trying behind the answer where the bus does not take it at once.
    pub(super) async fn dispatch_or_defer(
        self: &Arc<Self>,
        record: Record,
        context: CallContext,
    ) -> Record {
        let (done, outcome) = oneshot::channel();
        let (app, sent) = (Arc::clone(self), record.clone());
        self.tasks.spawn(async move {
            if let Err(unheard) = done.send(app.dispatch(sent, context).await) {
                tracing::trace!(container.id = %unheard.id, "dispatched after the answer");
            }
        });
        match tokio::time::timeout(DISPATCH_WAIT, outcome).await {
            Ok(Ok(record)) => record,
            Ok(Err(_)) | Err(_) => record,
        }
    }

    /// Sends again what may never have gone out before the last end of zun-api. Agents make each
    /// container once, however often they are told.
    pub(crate) async fn redispatch_pending(self: &Arc<Self>) -> Result<(), DbError> {
        for record in self.db.run(container::undispatched).await? {
            tracing::info!(container.id = %record.id, "container {} is sent again", record.id);
            let app = Arc::clone(self);
            self.tasks.spawn(async move {
                app.dispatch(record, CallContext::internal()).await;
            });
        }
        Ok(())
    }

    /// Sends the command; says how the row is then. Left as it is at shutdown: the next start sends it.
    async fn dispatch(&self, record: Record, mut context: CallContext) -> Record {
        let Some(host) = record.host.clone() else { return record };
        context.project = Some(record.project.clone());
        let (id, spec, start) = (record.id, record.spec.clone(), record.start_wanted);
        let call = CreateContainer { container: id, spec, start };
        let sent = tokio::select! {
            sent = self.bus.cast(&host, &call, &context) => sent,
            () = self.tasks.cancelled() => return record,
        };
        let noted = match sent {
            Ok(()) => {
                self.db.run(move |conn| container::mark_dispatched(conn, id)).await.map(|()| None)
            }
            Err(error) => {
                warn(&record, &context, &error);
                let reason = failure_reason(&error);
                self.db.run(move |conn| container::give_up(conn, id, &reason)).await
            }
        };
        self.publish_change(record, noted)
    }

    fn publish_change(&self, record: Record, noted: Result<Option<Record>, DbError>) -> Record {
        match noted {
            Ok(Some(changed)) => {
                self.hub.tell(&changed);
                changed
            }
            Ok(None) => record,
            Err(error) => {
                let id = record.id;
                tracing::error!(container.id = %id, error = %chain(&error), "the row of {id} is behind");
                record
            }
        }
    }
}

fn warn(record: &Record, context: &CallContext, error: &CallError) {
    tracing::warn!(
        container.id = %record.id, request.id = %context.request, error = %chain(error),
        "container {} could not be sent to its host", record.id
    );
}

fn failure_reason(error: &CallError) -> String {
    match error {
        CallError::NoSuchHost { .. } => "The host of the container takes no messages.".to_owned(),
        CallError::NoReply { .. } | CallError::Bus { .. } => {
            "The message bus could not be reached in time.".to_owned()
        }
        CallError::Refused { problem, .. } => problem.message.clone(),
        CallError::Malformed { .. } => "The command could not be written.".to_owned(),
    }
}
