//! The serving side of the bus: dispatches messages to handlers and decides when each is acknowledged.
//!
//! | message | reply | acknowledged |
//! |---|---|---|
//! | a call whose handler ends | its result or problem | after the handler |
//! | an accepted command | at once | when its work ends |
//! | unreadable, too new, expired, too large, unknown method | a code | yes, but dead-lettered if no reply is expected |
//! | refused as busy or closing, without an expected reply | | no: requeued after a pause |
//! | a call that may only be done once, delivered again | `Uncertain` | yes, but dead-lettered if no reply is expected |
//! | its handler panics | `Internal` | yes, but dead-lettered if no reply is expected |

mod parse;

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use tracing::Instrument;

use self::parse::{parse_envelope, time_until};
use super::transport::{Deliveries, Delivery, Disposition, MAX_BODY};
use crate::id::HostName;
use crate::rpc::code::{Code, Problem};
use crate::rpc::envelope::{CallContext, Envelope, Outcome, Reply};
use crate::rpc::{Call, Done, Kind, PROTOCOL};
use crate::shutdown::Tasks;

/// Pause before a message that was refused as busy is requeued.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// An accepted command. The router replies at once and acknowledges the message when `work` ends.
pub struct Accepted {
    /// Ends when the work has succeeded or failed. A report carries its result.
    pub work: BoxFuture<'static, ()>,
}

/// The metadata of a call, for its handler.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The client's request, project and trace.
    pub context: CallContext,
    /// The service that sent the call.
    pub sender: String,
    /// Whether the message was delivered before, so the work may be partly done.
    pub redelivered: bool,
    /// The call's deadline, by the sender's clock.
    pub deadline: DateTime<Utc>,
}

/// The outcome of a handler.
enum Handled {
    Replied(Result<Value, Problem>),
    Accepted(BoxFuture<'static, ()>),
    /// No retry can succeed.
    Rejected(Problem),
}

type Handler = Box<dyn Fn(Value, Incoming) -> BoxFuture<'static, Handled> + Send + Sync>;

struct Method {
    kind: Kind,
    once: bool,
    handler: Handler,
}

/// The methods that a service serves.
#[derive(Default)]
pub struct Router {
    methods: HashMap<&'static str, Method>,
}

impl Router {
    /// Creates a router without methods.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves a call. The router sends the reply when the handler ends, then acknowledges the message. It drops
    /// the handler of a query at the deadline, but never the handler of a command.
    #[must_use]
    pub fn on<C, H, F>(self, handler: H) -> Self
    where
        C: Call,
        H: Fn(C, Incoming) -> F + Send + Sync + 'static,
        F: Future<Output = Result<C::Reply, Problem>> + Send + 'static,
    {
        self.add::<C>(Box::new(move |body, incoming| match decode::<C>(body) {
            Ok(call) => {
                let reply = handler(call, incoming);
                Box::pin(async move { Handled::Replied(reply.await.and_then(encode)) })
            }
            Err(problem) => Box::pin(std::future::ready(Handled::Rejected(problem))),
        }))
    }

    /// Accepts a command. The router sends the reply when the handler ends, and acknowledges the message when
    /// the accepted work ends.
    #[must_use]
    pub fn accept<C, H, F>(self, handler: H) -> Self
    where
        C: Call<Reply = Done>,
        H: Fn(C, Incoming) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Accepted, Problem>> + Send + 'static,
    {
        self.add::<C>(Box::new(move |body, incoming| match decode::<C>(body) {
            Ok(call) => {
                let accepted = handler(call, incoming);
                Box::pin(async move {
                    match accepted.await {
                        Ok(accepted) => Handled::Accepted(accepted.work),
                        Err(problem) => Handled::Replied(Err(problem)),
                    }
                })
            }
            Err(problem) => Box::pin(std::future::ready(Handled::Rejected(problem))),
        }))
    }

    fn add<C: Call>(mut self, handler: Handler) -> Self {
        self.methods.insert(C::METHOD, Method { kind: C::KIND, once: C::ONCE, handler });
        self
    }

    /// Serves until the deliveries end or shutdown begins. Each message has its own task. The prefetch of
    /// the deliveries limits how many run at a time.
    pub fn serve(self: &Arc<Self>, deliveries: Deliveries, tasks: &Tasks) {
        tasks.spawn(Arc::clone(self).dispatch(deliveries, tasks.clone()));
    }

    async fn dispatch(self: Arc<Self>, mut deliveries: Deliveries, tasks: Tasks) {
        while let Some(Some(delivery)) = tasks.token().run_until_cancelled(deliveries.recv()).await
        {
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
                refuse(delivery, None, problem);
            }
        }
    }

    async fn handle(&self, mut delivery: Delivery, envelope: Envelope) {
        let (begun, sender) = (Instant::now(), envelope.sender.clone());
        let id = Some(envelope.id);
        let handled = self.call_handler(envelope, delivery.redelivered).await;
        let duration_ms = begun.elapsed().as_millis();
        match handled {
            Some(Handled::Accepted(work)) => {
                tracing::debug!(duration_ms, "accepted a command from {sender}");
                send_reply(&mut delivery, id, encode(Done {}));
                if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                    tracing::error!("a command from {sender} panicked");
                }
                let duration_ms = begun.elapsed().as_millis();
                tracing::debug!(duration_ms, "finished a command from {sender}");
                delivery.settle(Disposition::Ack);
            }
            Some(Handled::Replied(Ok(reply))) => {
                tracing::debug!(duration_ms, "replied to {sender}");
                send_reply(&mut delivery, id, Ok(reply));
                delivery.settle(Disposition::Ack);
            }
            Some(Handled::Replied(Err(problem))) => {
                tracing::info!(duration_ms, code = ?problem.code, "refused a call from {sender}: {problem}");
                refuse_or_requeue(delivery, id, problem).await;
            }
            Some(Handled::Rejected(problem)) => {
                tracing::warn!(duration_ms, code = ?problem.code, "refused a call from {sender}: {problem}");
                refuse(delivery, id, problem);
            }
            None => {
                tracing::info!(duration_ms, "dropped a query from {sender}: its deadline passed");
                delivery.settle(Disposition::Ack);
            }
        }
    }

    /// Returns `None` if a query's deadline passed first.
    async fn call_handler(&self, envelope: Envelope, redelivered: bool) -> Option<Handled> {
        let Some(method) = self.methods.get(envelope.method.as_str()) else {
            let words = format!("unknown method `{}`", envelope.method);
            return Some(Handled::Rejected(Problem::new(Code::UnknownMethod, words)));
        };
        if method.once && redelivered {
            let words = format!(
                "the link to the host was lost while it worked on {}; it may have been done",
                envelope.method
            );
            return Some(Handled::Rejected(Problem::new(Code::Uncertain, words)));
        }
        let left = time_until(envelope.deadline, Utc::now());
        let context = CallContext {
            request: envelope.request_id,
            project: envelope.project,
            traceparent: envelope.traceparent,
        };
        let incoming =
            Incoming { context, sender: envelope.sender, redelivered, deadline: envelope.deadline };
        // The handler may also panic before it returns a future, so the call itself is inside `catch_unwind`.
        let handled = async move { (method.handler)(envelope.body, incoming).await };
        let handled = AssertUnwindSafe(handled).catch_unwind().map(|handled| {
            handled.unwrap_or_else(|_panic| {
                Handled::Rejected(Problem::new(Code::Internal, "the handler panicked"))
            })
        });
        match method.kind {
            Kind::Command => Some(handled.await),
            Kind::Query => tokio::time::timeout(left, handled).await.ok(),
        }
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

fn encode<T: Serialize>(reply: T) -> Result<Value, Problem> {
    serde_json::to_value(reply)
        .map_err(|cause| Problem::new(Code::Internal, format!("cannot encode the reply: {cause}")))
}

/// Refuses a message that no retry can fix: acknowledges it if a reply was sent, dead-letters it otherwise.
fn refuse(mut delivery: Delivery, to: Option<uuid::Uuid>, problem: Problem) {
    let answered = send_reply(&mut delivery, to, Err(problem));
    delivery.settle(if answered { Disposition::Ack } else { Disposition::DeadLetter });
}

/// Refuses a message whose handler returned a problem. Requeues it if a retry may succeed and no reply was sent.
async fn refuse_or_requeue(mut delivery: Delivery, to: Option<uuid::Uuid>, problem: Problem) {
    let is_retryable = matches!(problem.code, Code::Busy | Code::Closing);
    if send_reply(&mut delivery, to, Err(problem)) || !is_retryable {
        delivery.settle(Disposition::Ack);
    } else {
        tokio::time::sleep(BUSY_PAUSE).await;
        delivery.settle(Disposition::Requeue);
    }
}

/// Sends the reply. Returns whether the caller was waiting for one.
fn send_reply(
    delivery: &mut Delivery,
    to: Option<uuid::Uuid>,
    outcome: Result<Value, Problem>,
) -> bool {
    let Some(waiting) = delivery.reply.take() else { return false };
    let bytes = match encode_reply(to, outcome) {
        Ok(bytes) if bytes.len() > MAX_BODY => {
            let words = format!("the reply of {} bytes is larger than 16 MiB", bytes.len());
            tracing::warn!("{words}");
            encode_reply(to, Err(Problem::new(Code::TooLarge, words)))
        }
        other => other,
    };
    match bytes {
        Ok(bytes) => waiting.send(bytes.into()).is_ok(),
        Err(cause) => {
            tracing::error!(error = %cause, "cannot encode a reply");
            false
        }
    }
}

fn encode_reply(
    in_reply_to: Option<uuid::Uuid>,
    outcome: Result<Value, Problem>,
) -> serde_json::Result<Vec<u8>> {
    let outcome = match outcome {
        Ok(value) => Outcome::Ok(value),
        Err(problem) => Outcome::Problem(problem),
    };
    serde_json::to_vec(&Reply { v: PROTOCOL, in_reply_to, outcome })
}

#[cfg(test)]
mod tests;
