//! Calls beside the stream of a session. Each call has its own connection, so a stalled stream never delays it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use tokio::time::timeout;
use zun_common::shutdown::Tasks;

use super::address::Address;
use super::call::{body, call, no_answer};
use super::grants::Grants;
use super::stream::Stream;
use crate::console::ConsoleError;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends the control calls of one session.
#[derive(Clone)]
pub struct ControlCalls {
    grants: Grants,
    tasks: Tasks,
}

impl ControlCalls {
    /// Creates it for a grant. The connections run on `tasks`.
    pub const fn new(grants: Grants, tasks: Tasks) -> Self {
        Self { grants, tasks }
    }

    /// Sends a call and returns as soon as the headers of a successful answer have arrived.
    pub async fn send(
        &self,
        method: Method,
        address: &Address,
    ) -> Result<Response<Incoming>, ConsoleError> {
        let outcome = match self.grants.dialer().await?.dial(address).await {
            Ok(stream) => self.call(stream, &method, address).await,
            Err(error) => Err(error),
        };
        match outcome {
            // The grant should still be valid, but the host refuses it: try once with a new one.
            Err(ConsoleError::Handshake { .. }) => {
                let stream = self.grants.another().await?.dial(address).await?;
                self.call(stream, &method, address).await
            }
            outcome => outcome,
        }
    }

    async fn call(
        &self,
        stream: Stream,
        method: &Method,
        address: &Address,
    ) -> Result<Response<Incoming>, ConsoleError> {
        let request = Request::builder().method(method.clone());
        let call = call(stream, &self.tasks, address, request, Empty::<Bytes>::new());
        timeout(ANSWER_TIMEOUT, call).await.unwrap_or_else(|_elapsed| Err(no_answer(address)))
    }

    /// Sends a call and returns the whole body of its answer.
    pub async fn fetch(&self, method: Method, address: &Address) -> Result<Bytes, ConsoleError> {
        let answer = self.send(method, address).await?;
        let bad_answer = || ConsoleError::BadAnswer {
            address: address.authority(),
            problem: "the answer ends early",
        };
        match timeout(ANSWER_TIMEOUT, body(answer)).await {
            Ok(body) => body.ok_or_else(bad_answer),
            Err(_elapsed) => Err(no_answer(address)),
        }
    }
}
