//! The calling side of the bus: typed calls.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::transport::{MAX_BODY, Outgoing, RequestError, Route, Transport};
use crate::environment::{self, random_uuid};
use crate::id::{Epoch, HostName};
use crate::rpc::code::Problem;
use crate::rpc::envelope::{CallContext, Envelope, Outcome, Reply};
use crate::rpc::{Call, PROTOCOL};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The receiver refused the call.
    #[error("{route} refused {method}")]
    Refused {
        /// The call's method.
        method: &'static str,
        /// The queue of the receiver.
        route: Route,
        /// The reason.
        #[source]
        problem: Problem,
    },
    /// The queue does not exist: its consumer has never connected, or the queue expired without one.
    #[error(
        "cannot send {method}: the queue {route} does not exist; its consumer is not connected"
    )]
    NoSuchHost {
        /// The call's method.
        method: &'static str,
        /// The queue.
        route: Route,
    },
    /// The message was sent, but no reply came before the deadline. The receiver may still carry out the call.
    #[error("no reply to {method} from {route} in time; the receiver may still carry out the call")]
    NoReply {
        /// The call's method.
        method: &'static str,
        /// The queue.
        route: Route,
    },
    /// The message was not sent.
    #[error("cannot send {method} to {route}")]
    Bus {
        /// The call's method.
        method: &'static str,
        /// The queue.
        route: Route,
        /// The cause.
        #[source]
        cause: RequestError,
    },
    /// The request or the reply cannot be encoded or decoded.
    #[error("cannot encode {method} for {route}, or decode its reply")]
    Malformed {
        /// The call's method.
        method: &'static str,
        /// The queue.
        route: Route,
        /// Where and why.
        #[source]
        cause: serde_json::Error,
    },
}

/// A service's handle to the bus. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    transport: Arc<dyn Transport>,
    sender: Arc<str>,
}

impl Bus {
    /// Creates a bus over a transport. `sender` is `zun-api` or an agent's host name.
    pub fn new(transport: Arc<dyn Transport>, sender: &str) -> Self {
        Self { transport, sender: sender.into() }
    }

    /// Returns the same bus with another sender, for another service in this process.
    #[must_use]
    pub fn with_sender(&self, sender: &str) -> Self {
        Self { transport: Arc::clone(&self.transport), sender: sender.into() }
    }

    /// The transport.
    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }

    /// Calls a host and waits for the reply.
    pub async fn call<C: Call>(
        &self,
        host: &HostName,
        call: &C,
        context: &CallContext,
    ) -> Result<C::Reply, CallError> {
        self.call_route((Route::Host(host.clone()), None), call, context).await
    }

    /// Like [`Bus::call`], for the agent of this epoch only. Any other refuses with
    /// [`Code::StaleEpoch`](crate::rpc::Code::StaleEpoch) and does nothing.
    pub async fn call_in_epoch<C: Call>(
        &self,
        (host, epoch): (&HostName, Epoch),
        call: &C,
        context: &CallContext,
    ) -> Result<C::Reply, CallError> {
        self.call_route((Route::Host(host.clone()), Some(epoch)), call, context).await
    }

    /// Calls one of the running zun-api processes.
    pub async fn call_controller<C: Call>(
        &self,
        call: &C,
        context: &CallContext,
    ) -> Result<C::Reply, CallError> {
        self.call_route((Route::Controller, None), call, context).await
    }

    async fn call_route<C: Call>(
        &self,
        (route, epoch): (Route, Option<Epoch>),
        call: &C,
        context: &CallContext,
    ) -> Result<C::Reply, CallError> {
        let message = self.encode((route.clone(), epoch), call, context)?;
        let response =
            self.transport.request(message).await.map_err(|cause| failed::<C>(&route, cause))?;
        let malformed =
            |cause| CallError::Malformed { method: C::METHOD, route: route.clone(), cause };
        let reply: Reply = serde_json::from_slice(&response).map_err(malformed)?;
        match reply.outcome {
            Outcome::Ok(value) => serde_json::from_value(value).map_err(malformed),
            Outcome::Problem(problem) => {
                Err(CallError::Refused { method: C::METHOD, route, problem })
            }
        }
    }

    fn encode<C: Call>(
        &self,
        (route, epoch): (Route, Option<Epoch>),
        call: &C,
        context: &CallContext,
    ) -> Result<Outgoing, CallError> {
        let malformed =
            |cause| CallError::Malformed { method: C::METHOD, route: route.clone(), cause };
        let id = random_uuid();
        let envelope = Envelope {
            v: PROTOCOL,
            id,
            method: C::METHOD.to_owned(),
            request_id: context.request.clone(),
            project: context.project.clone(),
            sender: self.sender.to_string(),
            deadline: environment::now() + C::DEADLINE,
            traceparent: context.traceparent.clone(),
            epoch,
            body: serde_json::to_value(call).map_err(malformed)?,
        };
        let body = Bytes::from(serde_json::to_vec(&envelope).map_err(malformed)?);
        if body.len() > MAX_BODY {
            return Err(failed::<C>(&route, RequestError::TooLarge(body.len())));
        }
        Ok(Outgoing {
            route,
            id,
            body,
            deadline: (Instant::now() + C::DEADLINE.max(Duration::from_millis(1))).into_std(),
        })
    }
}

fn failed<C: Call>(route: &Route, cause: RequestError) -> CallError {
    let (method, route) = (C::METHOD, route.clone());
    match cause {
        RequestError::Unroutable(_) => CallError::NoSuchHost { method, route },
        RequestError::NoReply => CallError::NoReply { method, route },
        RequestError::Unreachable | RequestError::TooLarge(_) | RequestError::Closed => {
            CallError::Bus { method, route, cause }
        }
    }
}
