//! The serving side: which method is answered by what, and when a message is acknowledged.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use chrono::Utc;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use super::transport::{Deliveries, Delivery, Disposal, LARGEST_BODY};
use crate::rpc::code::{Code, Problem};
use crate::rpc::envelope::{CallContext, Envelope, Outcome, Reply};
use crate::rpc::{Call, Done, PROTOCOL};
use crate::shutdown::Tasks;

/// A command that was accepted. The reply goes out at once, the message is acknowledged when `work` ends.
pub struct Accepted {
    /// Ends when the work is done, well or badly; what came of it is reported elsewhere.
    pub work: BoxFuture<'static, ()>,
}

struct Handled {
    reply: Result<Value, Problem>,
    work: Option<BoxFuture<'static, ()>>,
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
}

type Answer = BoxFuture<'static, Handled>;
type Method = Box<dyn Fn(Value, Incoming) -> Answer + Send + Sync>;

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
    #[must_use]
    pub fn on<C, H, F>(mut self, handler: H) -> Self
    where
        C: Call,
        H: Fn(C, Incoming) -> F + Send + Sync + 'static,
        F: Future<Output = Result<C::Reply, Problem>> + Send + 'static,
    {
        let method: Method = Box::new(move |body, incoming| match decode::<C>(body) {
            Ok(call) => {
                let answer = handler(call, incoming);
                Box::pin(
                    async move { Handled { reply: answer.await.and_then(encode), work: None } },
                )
            }
            Err(problem) => refused(problem),
        });
        self.methods.insert(C::METHOD, method);
        self
    }

    /// Accepts a command: the reply goes out when the handler ends, and the message is acknowledged when
    /// the accepted work ends.
    #[must_use]
    pub fn accept<C, H, F>(mut self, handler: H) -> Self
    where
        C: Call<Reply = Done>,
        H: Fn(C, Incoming) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Accepted, Problem>> + Send + 'static,
    {
        let method: Method = Box::new(move |body, incoming| match decode::<C>(body) {
            Ok(call) => {
                let answer = handler(call, incoming);
                Box::pin(async move {
                    match answer.await {
                        Ok(accepted) => {
                            Handled { reply: encode(Done {}), work: Some(accepted.work) }
                        }
                        Err(problem) => Handled { reply: Err(problem), work: None },
                    }
                })
            }
            Err(problem) => refused(problem),
        });
        self.methods.insert(C::METHOD, method);
        self
    }

    /// Serves until the deliveries end or shutdown begins. Each message is worked on in a task of its own;
    /// how many at a time is bounded by the prefetch that the deliveries were asked for with.
    pub fn serve(self: &Arc<Self>, mut deliveries: Deliveries, tasks: &Tasks) {
        let (router, own) = (Arc::clone(self), tasks.clone());
        tasks.spawn(async move {
            loop {
                let delivery = tokio::select! {
                    () = own.cancelled() => return,
                    delivery = deliveries.recv() => delivery,
                };
                let Some(delivery) = delivery else { return };
                let router = Arc::clone(&router);
                own.spawn(async move { router.work_on(delivery).await });
            }
        });
    }

    async fn work_on(&self, mut delivery: Delivery) {
        let envelope = match open(&delivery) {
            Ok(envelope) => envelope,
            Err(problem) => {
                tracing::warn!(code = ?problem.code, "refused a message: {problem}");
                let answered = answer(&mut delivery, None, Err(problem));
                delivery.dispose(if answered { Disposal::Done } else { Disposal::DeadLetter });
                return;
            }
        };
        let handled = self.handle(&envelope, delivery.redelivered).await;
        if let Err(problem) = &handled.reply {
            tracing::info!(
                request.id = %envelope.request_id, code = ?problem.code,
                "refused {} of {}: {problem}", envelope.method, envelope.sender
            );
        }
        let unanswerable =
            matches!(&handled.reply, Err(problem) if problem.code == Code::UnknownMethod);
        let answered = answer(&mut delivery, Some(&envelope), handled.reply);
        if let Some(work) = handled.work {
            work.await;
        }
        delivery.dispose(if unanswerable && !answered {
            Disposal::DeadLetter
        } else {
            Disposal::Done
        });
    }

    async fn handle(&self, envelope: &Envelope, redelivered: bool) -> Handled {
        let Some(method) = self.methods.get(envelope.method.as_str()) else {
            let words = format!("the method `{}` is not known here", envelope.method);
            return Handled { reply: Err(Problem::new(Code::UnknownMethod, words)), work: None };
        };
        let context = CallContext {
            request: envelope.request_id.clone(),
            project: envelope.project.clone(),
            traceparent: envelope.traceparent.clone(),
        };
        method(
            envelope.body.clone(),
            Incoming { context, sender: envelope.sender.clone(), redelivered },
        )
        .await
    }
}

fn refused(problem: Problem) -> Answer {
    Box::pin(std::future::ready(Handled { reply: Err(problem), work: None }))
}

fn decode<C: Call>(body: Value) -> Result<C, Problem> {
    serde_json::from_value(body)
        .map_err(|cause| Problem::new(Code::BadRequest, format!("{}: {cause}", C::METHOD)))
}

fn encode<T: Serialize>(reply: T) -> Result<Value, Problem> {
    serde_json::to_value(reply)
        .map_err(|cause| Problem::new(Code::Internal, format!("the reply: {cause}")))
}

fn open(delivery: &Delivery) -> Result<Envelope, Problem> {
    if delivery.body.len() > LARGEST_BODY {
        let words = format!("a message of {} bytes is larger than 16 MiB", delivery.body.len());
        return Err(Problem::new(Code::TooLarge, words));
    }
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u32,
    }
    let unreadable =
        |cause| Problem::new(Code::BadRequest, format!("the message cannot be read: {cause}"));
    let Versioned { v } = serde_json::from_slice(&delivery.body).map_err(unreadable)?;
    if v > PROTOCOL {
        let words = format!("protocol version {v} is newer than {PROTOCOL}, the newest known here");
        return Err(Problem::new(Code::Unsupported, words));
    }
    let envelope: Envelope = serde_json::from_slice(&delivery.body).map_err(unreadable)?;
    if envelope.deadline < Utc::now() {
        return Err(Problem::new(
            Code::Expired,
            format!("the deadline of {} has passed", envelope.method),
        ));
    }
    Ok(envelope)
}

fn answer(delivery: &mut Delivery, to: Option<&Envelope>, outcome: Result<Value, Problem>) -> bool {
    let Some(reply) = delivery.reply.take() else { return false };
    let outcome = match outcome {
        Ok(value) => Outcome::Ok(value),
        Err(problem) => Outcome::Problem(problem),
    };
    let body = Reply { v: PROTOCOL, in_reply_to: to.map(|envelope| envelope.id), outcome };
    match serde_json::to_vec(&body) {
        Ok(bytes) => reply.send(bytes.into()).is_ok(),
        Err(cause) => {
            tracing::error!(error = %cause, "a reply cannot be encoded");
            false
        }
    }
}
