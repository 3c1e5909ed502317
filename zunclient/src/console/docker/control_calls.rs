//! Calls outside of a session's stream. Each call has its own connection, so a stalled stream never delays it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use zun_common::shutdown::Tasks;

use super::address::Address;
use super::call::{body, call, no_answer};
use super::grants::Grants;
use super::stream::Stream;
use crate::console::ConsoleError;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection that was opened in advance stays open without a call.
const AHEAD: Duration = Duration::from_secs(5);

/// Sends the control calls of one session.
#[derive(Clone)]
pub struct ControlCalls {
    grants: Grants,
    tasks: Tasks,
    /// A connection for the next call. It is locked while the connection opens.
    ahead: Arc<Mutex<Option<Stream>>>,
}

impl ControlCalls {
    /// Creates it for a grant. The connections run on `tasks`.
    pub fn new(grants: Grants, tasks: Tasks) -> Self {
        Self { grants, tasks, ahead: Arc::default() }
    }

    /// Opens a connection in advance for the next call to this host, which then takes one round trip. The connection
    /// closes if there is no call within five seconds. If it fails, the next call opens its own.
    pub fn connect_ahead(&self, address: &Address) {
        let Ok(mut ahead) = Arc::clone(&self.ahead).try_lock_owned() else { return };
        let (this, address) = (self.clone(), address.clone());
        self.tasks.spawn(async move {
            let dial = async { this.grants.dialer().await?.dial(&address).await };
            *ahead = tokio::select! {
                dialled = dial => dialled.ok(),
                () = this.tasks.cancelled() => None,
            };
            drop(ahead);
            tokio::select! {
                () = sleep(AHEAD) => {}
                () = this.tasks.cancelled() => {}
            }
            drop(this.ahead.lock().await.take());
        });
    }

    /// Sends a call and returns as soon as the headers of a successful answer have arrived.
    pub async fn send(
        &self,
        method: Method,
        address: &Address,
    ) -> Result<Response<Incoming>, ConsoleError> {
        let ahead = self.ahead.lock().await.take();
        if let Some(stream) = ahead {
            match self.call(stream, &method, address).await {
                Ok(answer) => return Ok(answer),
                Err(refused @ ConsoleError::Refused { .. }) => return Err(refused),
                // The connection may have been lost meanwhile. All of these calls can be repeated.
                Err(_lost) => {}
            }
        }
        let outcome = match self.grants.dialer().await?.dial(address).await {
            Ok(stream) => self.call(stream, &method, address).await,
            Err(error) => Err(error),
        };
        match outcome {
            // The grant should still be valid, but the host refuses it: try once with a new one.
            Err(ConsoleError::Handshake { .. }) if self.grants.can_renew() => {
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
