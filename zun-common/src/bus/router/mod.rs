//! The serving side of the bus: dispatches messages to handlers, and sends their replies.
//!
//! | message | reply |
//! |---|---|
//! | a call whose handler ends in time | its result or problem |
//! | a call whose deadline passes first | none |
//! | unreadable, too new, expired, too large, unknown method | a code |
//! | a call that may only be done once, delivered again | `Uncertain` |
//! | its handler panics | `Internal` |

mod handled;
mod parse;

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use self::handled::BegunCalls;
use self::parse::{parse_envelope, time_until};
use super::transport::{Deliveries, Delivery, MAX_BODY};
use crate::environment;
use crate::id::{Epoch, HostName};
use crate::rpc::code::{Code, Problem};
use crate::rpc::envelope::{CallContext, Envelope, Outcome, Reply};
use crate::rpc::{Call, PROTOCOL};
use crate::shutdown::Tasks;

/// The metadata of a call, for its handler.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The client's request, project and trace.
    pub context: CallContext,
    /// The service that sent the call.
    pub sender: String,
    /// The call's deadline, by the sender's clock.
    pub deadline: DateTime<Utc>,
    /// The epoch of the agent that may answer the call, if the sender named one.
    pub epoch: Option<Epoch>,
}

type Handled = Result<Value, Problem>;
type Handler = Box<dyn Fn(Value, Incoming) -> BoxFuture<'static, Handled> + Send + Sync>;

struct Method {
    once: bool,
    handler: Handler,
}

/// The methods that a service serves.
#[derive(Default)]
pub struct Router {
    methods: HashMap<&'static str, Method>,
    handled: BegunCalls,
}

impl Router {
    /// Creates a router without methods.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves a call. The router sends the reply when the handler ends, and drops the handler at the deadline.
    #[must_use]
    pub fn on<C, H, F>(mut self, handler: H) -> Self
    where
        C: Call,
        H: Fn(C, Incoming) -> F + Send + Sync + 'static,
        F: Future<Output = Result<C::Reply, Problem>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |body, incoming| match decode::<C>(body) {
            Ok(call) => {
                let reply = handler(call, incoming);
                Box::pin(async move { reply.await.and_then(encode) })
            }
            Err(problem) => Box::pin(std::future::ready(Err(problem))),
        });
        self.methods.insert(C::METHOD, Method { once: C::ONCE, handler });
        self
    }

    /// Serves until the deliveries end or shutdown begins. Each message has its own task. The prefetch of
    /// the deliveries limits how many run at a time.
    pub fn serve(self: &Arc<Self>, deliveries: Deliveries, tasks: &Tasks) {
        self.serve_until(tasks.token().clone(), deliveries, tasks);
    }

    /// Like [`Router::serve`], or until this token is cancelled. Calls that have begun are completed.
    pub fn serve_until(
        self: &Arc<Self>,
        stop: CancellationToken,
        deliveries: Deliveries,
        tasks: &Tasks,
    ) {
        tasks.spawn(Arc::clone(self).dispatch(stop, deliveries, tasks.clone()));
    }

    async fn dispatch(
        self: Arc<Self>,
        stop: CancellationToken,
        mut deliveries: Deliveries,
        tasks: Tasks,
    ) {
        while let Some(Some(delivery)) = stop.run_until_cancelled(deliveries.recv()).await {
            tasks.spawn(Arc::clone(&self).process(delivery));
        }
    }

    async fn process(self: Arc<Self>, delivery: Delivery) {
        match parse_envelope(&delivery.body)
            .and_then(|envelope| check_sender(envelope, delivery.from.as_ref()))
        {
            Ok(envelope) => {
                let span = tracing::info_span!(
                    "call", method = %envelope.method, request.id = %envelope.request_id,
                    project.id = envelope.project.as_ref().map(tracing::field::display)
                );
                self.handle(delivery, envelope).instrument(span).await;
            }
            Err(problem) => {
                tracing::warn!(code = ?problem.code, "refused a message: {problem}");
                send_reply(delivery, None, Err(problem));
            }
        }
    }

    async fn handle(&self, delivery: Delivery, envelope: Envelope) {
        let (begun, sender) = (Instant::now(), envelope.sender.clone());
        let id = Some(envelope.id);
        let handled = self.call_handler(envelope, delivery.redelivered).await;
        let duration_ms = begun.elapsed().as_millis();
        match &handled {
            Some(Ok(_)) => tracing::debug!(duration_ms, "replied to {sender}"),
            Some(Err(problem)) => {
                tracing::info!(duration_ms, code = ?problem.code, "refused a call from {sender}: {problem}");
            }
            None => {
                tracing::info!(duration_ms, "dropped a call from {sender}: its deadline passed");
            }
        }
        if let Some(handled) = handled {
            send_reply(delivery, id, handled);
        }
    }

    /// Returns `None` if the deadline passed first.
    async fn call_handler(&self, envelope: Envelope, redelivered: bool) -> Option<Handled> {
        let Some(method) = self.methods.get(envelope.method.as_str()) else {
            let words = format!("unknown method `{}`", envelope.method);
            return Some(Err(Problem::new(Code::UnknownMethod, words)));
        };
        let left = time_until(envelope.deadline, environment::now());
        if method.once && (redelivered || !self.handled.begin(envelope.id, left)) {
            let words = format!(
                "the link to the host was lost while it worked on {}; it may have been done",
                envelope.method
            );
            return Some(Err(Problem::new(Code::Uncertain, words)));
        }
        let context = CallContext {
            request: envelope.request_id,
            project: envelope.project,
            traceparent: envelope.traceparent,
        };
        let Envelope { sender, deadline, epoch, .. } = envelope;
        let incoming = Incoming { context, sender, deadline, epoch };
        // The handler may also panic before it returns a future, so the call itself is inside `catch_unwind`.
        let handled = async move { (method.handler)(envelope.body, incoming).await };
        let handled = AssertUnwindSafe(handled).catch_unwind().map(|handled| {
            handled
                .unwrap_or_else(|_panic| Err(Problem::new(Code::Internal, "the handler panicked")))
        });
        tokio::time::timeout(left, handled).await.ok()
    }
}

/// Checks that the envelope's sender is the host that the transport verified.
fn check_sender(envelope: Envelope, from: Option<&HostName>) -> Result<Envelope, Problem> {
    match from {
        Some(host) if envelope.sender != host.as_str() => {
            let words = format!("host `{host}` may not send messages as `{}`", envelope.sender);
            Err(Problem::new(Code::Forbidden, words))
        }
        Some(_) | None => Ok(envelope),
    }
}

fn decode<C: Call>(body: Value) -> Result<C, Problem> {
    serde_json::from_value(body).map_err(|cause| {
        Problem::new(Code::BadRequest, format!("cannot decode {}: {cause}", C::METHOD))
    })
}

fn encode<T: Serialize>(reply: T) -> Handled {
    serde_json::to_value(reply)
        .map_err(|cause| Problem::new(Code::Internal, format!("cannot encode the reply: {cause}")))
}

/// Sends the reply, which also acknowledges the message.
fn send_reply(delivery: Delivery, to: Option<uuid::Uuid>, outcome: Handled) {
    let bytes = match encode_reply(to, outcome) {
        Ok(bytes) if bytes.len() > MAX_BODY => {
            let words = format!("the reply of {} bytes is larger than 16 MiB", bytes.len());
            tracing::warn!("{words}");
            encode_reply(to, Err(Problem::new(Code::TooLarge, words)))
        }
        other => other,
    };
    match bytes {
        Ok(bytes) => {
            if delivery.reply.send(bytes.into()).is_err() {
                tracing::debug!("dropped a reply: the transport is closed");
            }
        }
        Err(cause) => tracing::error!(error = %cause, "cannot encode a reply"),
    }
}

fn encode_reply(in_reply_to: Option<uuid::Uuid>, outcome: Handled) -> serde_json::Result<Vec<u8>> {
    let outcome = match outcome {
        Ok(value) => Outcome::Ok(value),
        Err(problem) => Outcome::Problem(problem),
    };
    serde_json::to_vec(&Reply { v: PROTOCOL, in_reply_to, outcome })
}

#[cfg(test)]
mod tests;
