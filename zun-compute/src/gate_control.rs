//! Sends requests to the control socket of the host's console gate.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;
use zun_common::chain;
use zun_common::gate_control::{
    Closed, Deleted, GateRecordings, GateSessions, IssuedTicket, RecordingTicketRequest,
    RecordingsRequest, Refusal, SizeRequest, TicketRequest,
};
use zun_common::id::{GrantId, RecordingId};
use zun_common::rpc::{Code, Problem};

/// How long the gate may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 16 << 20;

/// The body of a request without one.
const NOTHING: Option<&()> = None;

/// A client of the gate's control socket.
#[derive(Debug, Clone)]
pub(crate) struct GateControl {
    socket: PathBuf,
}

/// Why the gate did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    #[error("the console gate cannot be reached at {}", socket.display())]
    Unreachable {
        socket: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the console gate refuses the request: {words}")]
    Refused { status: StatusCode, words: String },
}

impl GateError {
    /// The error for the caller of this agent.
    pub(crate) fn problem(&self) -> Problem {
        let Self::Refused { status, words } = self else {
            return Problem::new(Code::NoConsole, chain(self));
        };
        let code = match *status {
            StatusCode::BAD_REQUEST => Code::BadRequest,
            StatusCode::CONFLICT => Code::Conflict,
            // An older gate does not know the request.
            StatusCode::NOT_FOUND => Code::Unsupported,
            StatusCode::GONE => Code::NotFound,
            StatusCode::NOT_IMPLEMENTED => Code::NotOffered,
            StatusCode::SERVICE_UNAVAILABLE => Code::Busy,
            _ => Code::Internal,
        };
        Problem::new(code, words.clone())
    }
}

impl GateControl {
    pub(crate) const fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks for a ticket.
    pub(crate) async fn issue(&self, request: &TicketRequest) -> Result<IssuedTicket, GateError> {
        self.send(Method::POST, "/tickets", Some(request)).await
    }

    /// Lists sessions, and tickets that can be used.
    pub(crate) async fn sessions(&self) -> Result<GateSessions, GateError> {
        self.send(Method::GET, "/sessions", NOTHING).await
    }

    /// Revokes a grant or ticket. Returns how many sessions it has ended.
    pub(crate) async fn revoke(&self, grant: &GrantId) -> Result<usize, GateError> {
        let path = format!("/grants/{grant}");
        let Closed { sessions } = self.send(Method::DELETE, &path, NOTHING).await?;
        Ok(sessions)
    }

    /// Lists recordings.
    pub(crate) async fn recordings(
        &self,
        request: &RecordingsRequest,
    ) -> Result<GateRecordings, GateError> {
        match self.send(Method::POST, "/recordings", Some(request)).await {
            // An older gate has none.
            Err(GateError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                Ok(GateRecordings::default())
            }
            listed => listed,
        }
    }

    /// Deletes a recording that has ended.
    pub(crate) async fn delete_recording(&self, id: RecordingId) -> Result<Deleted, GateError> {
        self.send(Method::DELETE, &format!("/recordings/{id}"), NOTHING).await
    }

    /// Asks for a ticket with which a recording can be read.
    pub(crate) async fn issue_for_recording(
        &self,
        id: RecordingId,
        request: &RecordingTicketRequest,
    ) -> Result<IssuedTicket, GateError> {
        self.send(Method::POST, &format!("/recordings/{id}/ticket"), Some(request)).await
    }

    /// Sets the size of a terminal. Returns whether the gate has its session.
    pub(crate) async fn resize(&self, request: &SizeRequest) -> Result<bool, GateError> {
        let Closed { sessions } = self.send(Method::POST, "/size", Some(request)).await?;
        Ok(sessions > 0)
    }

    async fn send<A: Serialize, R: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&A>,
    ) -> Result<R, GateError> {
        let body = body.map(serde_json::to_vec).transpose();
        let body = body.map_err(|cause| self.unreachable(cause.into()))?.unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(HOST, "zun-console");
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|cause| self.unreachable(io::Error::other(cause)))?;
        let answered = timeout(ANSWER, self.answer(request)).await;
        let late = |_elapsed| self.unreachable(io::ErrorKind::TimedOut.into());
        let (status, answer) = answered.map_err(late)?.map_err(|cause| self.unreachable(cause))?;
        if !status.is_success() {
            let words = serde_json::from_slice(&answer)
                .map_or_else(|_not_json| status.to_string(), |Refusal { message }| message);
            return Err(GateError::Refused { status, words });
        }
        serde_json::from_slice(&answer).map_err(|cause| self.unreachable(cause.into()))
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> io::Result<(StatusCode, Bytes)> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let answered = async {
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
            Ok((status, body.map_err(io::Error::other)?.to_bytes()))
        };
        let mut connection = std::pin::pin!(connection);
        let mut answered = std::pin::pin!(answered);
        tokio::select! {
            answer = &mut answered => answer,
            // The answer may have arrived together with the end.
            _ended = &mut connection => answered.await,
        }
    }

    fn unreachable(&self, cause: io::Error) -> GateError {
        GateError::Unreachable { socket: self.socket.clone(), cause }
    }
}
