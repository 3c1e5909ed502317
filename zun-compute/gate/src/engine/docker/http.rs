//! Requests to Docker's unix socket. Each has its own connection, because a hijacked connection cannot be reused.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;
use zun_common::shutdown::Tasks;

use super::super::{EngineError, Target};

/// How long Docker may take to answer.
const QUICK: Duration = Duration::from_secs(20);
/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 4 << 20;

/// A client of Docker's unix socket.
#[derive(Debug, Clone)]
pub(super) struct Http {
    socket: PathBuf,
    tasks: Tasks,
}

/// A request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) doing: &'static str,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// What the path names, for errors.
    pub(super) target: Option<&'a Target>,
}

impl<'a> Call<'a> {
    pub(super) const fn get(doing: &'static str, path: String, target: &'a Target) -> Self {
        Self { doing, method: Method::GET, path, body: None, target: Some(target) }
    }

    pub(super) const fn post(doing: &'static str, path: String, target: &'a Target) -> Self {
        Self { doing, method: Method::POST, path, body: None, target: Some(target) }
    }

    pub(super) fn failed(&self, message: impl Into<String>) -> EngineError {
        EngineError::Failed { doing: self.doing, message: message.into() }
    }
}

impl Http {
    pub(super) const fn new(socket: PathBuf, tasks: Tasks) -> Self {
        Self { socket, tasks }
    }

    /// Sends a request, and returns the head of a successful answer.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Response<Incoming>, EngineError> {
        self.within(call, self.request(call, false)).await
    }

    /// Sends a request, and reads the answer's JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
    ) -> Result<T, EngineError> {
        let answered = async { body(call, self.request(call, false).await?).await };
        let answer = self.within(call, answered).await?;
        serde_json::from_slice(&answer)
            .map_err(|cause| call.failed(format!("the answer cannot be read: {cause}")))
    }

    /// Sends a request that hijacks its connection. Returns the connection, and the bytes that were already read from
    /// it.
    pub(super) async fn hijack(&self, call: &Call<'_>) -> Result<(UnixStream, Bytes), EngineError> {
        let answered = async {
            let response = self.request(call, true).await?;
            let upgraded = hyper::upgrade::on(response)
                .await
                .map_err(|cause| call.failed(zun_common::chain(&cause)))?;
            let parts = upgraded
                .downcast::<TokioIo<UnixStream>>()
                .map_err(|_other| call.failed("the connection has another type"))?;
            Ok((parts.io.into_inner(), parts.read_buf))
        };
        self.within(call, answered).await
    }

    /// Sends a request with a body of its own, and returns the answer, whatever its status. The caller limits the time.
    pub(super) async fn exchange<B>(
        &self,
        call: &Call<'_>,
        request: Request<B>,
    ) -> Result<Response<Incoming>, EngineError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.send_with(call, request, false).await
    }

    async fn within<T>(
        &self,
        call: &Call<'_>,
        answered: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let late = || Err(call.failed(format!("no answer within {} s", QUICK.as_secs())));
        timeout(QUICK, answered).await.unwrap_or_else(|_elapsed| late())
    }

    async fn request(
        &self,
        call: &Call<'_>,
        hijacks: bool,
    ) -> Result<Response<Incoming>, EngineError> {
        let response = self.send_with(call, build(call, hijacks)?, hijacks).await?;
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS if hijacks => Ok(response),
            status if status.is_success() && !hijacks => Ok(response),
            status => Err(refused(call, status, response).await),
        }
    }

    async fn send_with<B>(
        &self,
        call: &Call<'_>,
        request: Request<B>,
        hijacks: bool,
    ) -> Result<Response<Incoming>, EngineError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let unreachable = |cause| EngineError::Unreachable { doing: call.doing, cause };
        let broken = |cause| unreachable(io::Error::other(cause));
        let stream = UnixStream::connect(&self.socket).await.map_err(unreachable)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let tasks = self.tasks.clone();
        self.tasks.spawn(async move {
            // Docker may already have started an exec, so the answer is still read after the caller has given up. The
            // caller waits at most `QUICK`.
            tokio::select! {
                // The caller sees the error in its answer.
                ended = connection.with_upgrades() => drop(ended),
                () = tasks.cancelled(), if !hijacks => {}
            }
        });
        // Docker may have received the request. Only a hijack has an effect that cannot be repeated.
        sender.send_request(request).await.map_err(|cause| {
            if hijacks { call.failed(zun_common::chain(&cause)) } else { broken(cause) }
        })
    }
}

fn build(call: &Call<'_>, hijacks: bool) -> Result<Request<Full<Bytes>>, EngineError> {
    let mut request =
        Request::builder().method(call.method.clone()).uri(&call.path).header(HOST, "docker");
    if hijacks {
        request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp");
    }
    if call.body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = call.body.as_ref().map(ToString::to_string).unwrap_or_default();
    request.body(Full::new(body.into())).map_err(|cause| call.failed(cause.to_string()))
}

async fn body(call: &Call<'_>, response: Response<Incoming>) -> Result<Bytes, EngineError> {
    let collected = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
    Ok(collected.map_err(|cause| call.failed(cause.to_string()))?.to_bytes())
}

/// Returns why Docker refuses a request.
pub(super) async fn message(
    call: &Call<'_>,
    status: StatusCode,
    response: Response<Incoming>,
) -> Result<String, EngineError> {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    let text = body(call, response).await?;
    Ok(serde_json::from_slice(&text)
        .map_or_else(|_not_json| status.to_string(), |Message { message }| message))
}

async fn refused(call: &Call<'_>, status: StatusCode, response: Response<Incoming>) -> EngineError {
    let message = match message(call, status, response).await {
        Ok(message) => message,
        Err(error) => return error,
    };
    match (status, call.target) {
        (StatusCode::NOT_FOUND, Some(target)) => EngineError::NotFound(target.clone()),
        (StatusCode::CONFLICT, _) => EngineError::Conflict { doing: call.doing, message },
        _ => EngineError::Failed { doing: call.doing, message },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn the_stream_of_an_exec_that_docker_has_started_is_taken_also_while_the_gate_stops() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let tasks = Tasks::new();
        let http = Http::new(path, tasks.clone());
        let target = Target::Exec("ab".repeat(32).parse().expect("an id"));
        let call = Call::post("start the exec", "/start".to_owned(), &target);
        let docker = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.expect("a request") > 0);
            tasks.cancel();
            // The connection's task runs before this one continues.
            tokio::task::yield_now().await;
            let answer = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.expect("written");
            stream
        };
        let (hijacked, _docker) = tokio::join!(http.hijack(&call), docker);
        assert!(hijacked.is_ok(), "{hijacked:?}");
        assert!(tasks.finish(QUICK).await, "the connection is the caller's now");
    }
}
