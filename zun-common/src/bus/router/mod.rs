//! The serving side: which method is answered by what, and when a message is acknowledged.
//!
//! | message | answered | acknowledged |
//! |---|---|---|
//! | a call whose handler ends | with its reply or problem | then |
//! | an accepted command | at once | when the work ends |
//! | unreadable, too new, expired, too large, unknown method | with a code | yes, or dead-lettered where nobody waits for an answer |
//! | refused as busy or closing, and nobody waits for an answer | | no: it comes again after a pause |
//! | its handler panics | `Internal` | yes, or dead-lettered where nobody waits for an answer |

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

/// Before a message that nobody waits for is given back as busy.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// A command that was accepted. The reply goes out at once, the message is acknowledged when `work` ends.
pub struct Accepted {
    /// Ends when the work is done, well or badly; what came of it is reported elsewhere.
    pub work: BoxFuture<'static, ()>,
}

/// A call as a handler is given it: who sent it, on whose behalf, and whether it came before.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The client's request, project and trace.
    pub context: CallContext,
    /// The sending service.
    pub sender: String,
    /// It may have been worked on before.
    pub redelivered: bool,
    /// By the sender's clock.
    pub deadline: DateTime<Utc>,
}

/// What a handler made of a call.
enum Handled {
    Replied(Result<Value, Problem>),
    Accepted(BoxFuture<'static, ()>),
    /// No handler can make anything of it, now or later.
    Rejected(Problem),
}

type Handler = Box<dyn Fn(Value, Incoming) -> BoxFuture<'static, Handled> + Send + Sync>;

struct Method {
    kind: Kind,
    handler: Handler,
}

/// The methods that a service answers.
#[derive(Default)]
pub struct Router {
    methods: HashMap<&'static str, Method>,
}

impl Router {
    /// Answers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers a call: the reply goes out when the handler ends, and then the message is acknowledged.
    /// The handler of a question is dropped at the deadline; that of a command never is.
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

    /// Accepts a command: the reply goes out when the handler ends, and the message is acknowledged when
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
        self.methods.insert(C::METHOD, Method { kind: C::KIND, handler });
        self
    }

    /// Serves until the deliveries end or shutdown begins. Each message is worked on in a task of its own;
    /// how many at a time is bounded by the prefetch that the deliveries were asked for with.
    pub fn serve(self: &Arc<Self>, deliveries: Deliveries, tasks: &Tasks) {
        tasks.spawn(Arc::clone(self).take(deliveries, tasks.clone()));
    }

    async fn take(self: Arc<Self>, mut deliveries: Deliveries, tasks: Tasks) {
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
                tracing::warn!(code = ?problem.code, "a message was refused: {problem}");
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
                tracing::debug!(duration_ms, "accepted from {sender}");
                send_reply(&mut delivery, id, encode(Done {}));
                if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                    tracing::error!("the work of a command from {sender} panicked");
                }
                let duration_ms = begun.elapsed().as_millis();
                tracing::debug!(duration_ms, "done for {sender}");
                delivery.settle(Disposition::Ack);
            }
            Some(Handled::Replied(Ok(reply))) => {
                tracing::debug!(duration_ms, "answered {sender}");
                send_reply(&mut delivery, id, Ok(reply));
                delivery.settle(Disposition::Ack);
            }
            Some(Handled::Replied(Err(problem))) => {
                tracing::info!(duration_ms, code = ?problem.code, "refused {sender}: {problem}");
                refuse_or_requeue(delivery, id, problem).await;
            }
            Some(Handled::Rejected(problem)) => {
                tracing::warn!(duration_ms, code = ?problem.code, "refused {sender}: {problem}");
                refuse(delivery, id, problem);
            }
            None => {
                tracing::info!(duration_ms, "the deadline of {sender} came before the answer");
                delivery.settle(Disposition::Ack);
            }
        }
    }

    /// `None` where a question's deadline came first.
    async fn call_handler(&self, envelope: Envelope, redelivered: bool) -> Option<Handled> {
        let Some(method) = self.methods.get(envelope.method.as_str()) else {
            let words = format!("the method `{}` is not known here", envelope.method);
            return Some(Handled::Rejected(Problem::new(Code::UnknownMethod, words)));
        };
        let left = time_until(envelope.deadline, Utc::now());
        let context = CallContext {
            request: envelope.request_id,
            project: envelope.project,
            traceparent: envelope.traceparent,
        };
        let incoming =
            Incoming { context, sender: envelope.sender, redelivered, deadline: envelope.deadline };
        // The handler itself may panic before it gives a future, so it is called inside.
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

/// A sender that the carrier vouches for must be the one that the envelope names.
fn check_sender(envelope: Envelope, from: Option<&HostName>) -> Result<Envelope, Problem> {
    match from {
        Some(host) if envelope.sender != host.as_str() => {
            let words = format!("`{host}` may not speak as `{}`", envelope.sender);
            Err(Problem::new(Code::Forbidden, words))
        }
        Some(_) | None => Ok(envelope),
    }
}

fn decode<C: Call>(body: Value) -> Result<C, Problem> {
    serde_json::from_value(body)
        .map_err(|cause| Problem::new(Code::BadRequest, format!("{}: {cause}", C::METHOD)))
}

fn encode<T: Serialize>(reply: T) -> Result<Value, Problem> {
    serde_json::to_value(reply)
        .map_err(|cause| Problem::new(Code::Internal, format!("the reply: {cause}")))
}

/// What cannot be used, now or later: gone if it could be answered, else kept aside.
fn refuse(mut delivery: Delivery, to: Option<uuid::Uuid>, problem: Problem) {
    let answered = send_reply(&mut delivery, to, Err(problem));
    delivery.settle(if answered { Disposition::Ack } else { Disposition::DeadLetter });
}

/// What a handler says no to: gone, unless it is worth another try and nobody was told to make one.
async fn refuse_or_requeue(mut delivery: Delivery, to: Option<uuid::Uuid>, problem: Problem) {
    let again = matches!(problem.code, Code::Busy | Code::Closing);
    if send_reply(&mut delivery, to, Err(problem)) || !again {
        delivery.settle(Disposition::Ack);
    } else {
        tokio::time::sleep(BUSY_PAUSE).await;
        delivery.settle(Disposition::Requeue);
    }
}

/// Whether somebody waited for the answer.
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
            tracing::error!(error = %cause, "a reply cannot be encoded");
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
