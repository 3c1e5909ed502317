//! Docker's calls about a container's files.

use std::io;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use zun_common::grant::ArchiveCall;

use super::super::{ArchiveAnswer, ArchiveError, ArchiveRequest, Bytestream, EngineError, Target};
use super::Docker;
use super::http::{Call, message};

/// What Docker reports about a path.
const STAT: &str = "x-docker-container-path-stat";

impl Docker {
    /// Copies files of a container.
    pub(super) async fn copy(
        &self,
        request: ArchiveRequest,
    ) -> Result<ArchiveAnswer, ArchiveError> {
        let ArchiveRequest { container, call, path, body } = request;
        let target = Target::Container(container);
        let tail = format!("/archive{}", call.query(&path));
        let method = match call {
            ArchiveCall::Stat => Method::HEAD,
            ArchiveCall::Read => Method::GET,
            ArchiveCall::Write => Method::PUT,
        };
        let path = self.path(&target, &tail);
        let doing = "copy files";
        let call = Call { doing, method, path, body: None, target: Some(&target) };
        let response = self.http.exchange(&call, build(&call, body)?).await?;
        let status = response.status();
        if status.is_success() {
            let stat = response.headers().get(STAT).and_then(|value| value.to_str().ok());
            let stat = stat.map(str::to_owned);
            let body = response.into_body().map_err(io::Error::other).boxed_unsync();
            return Ok(ArchiveAnswer { stat, body });
        }
        Err(refused(&call, status, response).await)
    }
}

fn build(call: &Call<'_>, body: Bytestream) -> Result<Request<Bytestream>, EngineError> {
    let request = Request::builder()
        .method(call.method.clone())
        .uri(&call.path)
        .header(HOST, "docker")
        .header(CONTENT_TYPE, "application/x-tar");
    // The others have no body, and Docker expects none.
    let body = if call.method == Method::PUT {
        body
    } else {
        Full::default().map_err(|never| match never {}).boxed_unsync()
    };
    request.body(body).map_err(|cause| call.failed(cause.to_string()))
}

/// Docker answers 404 both without the container and without the path. A response to HEAD has no message.
async fn refused(
    call: &Call<'_>,
    status: StatusCode,
    response: Response<Incoming>,
) -> ArchiveError {
    let message = match message(call, status, response).await {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    match (status, call.target) {
        (StatusCode::NOT_FOUND, Some(target)) if message.contains("No such container") => {
            EngineError::NotFound(target.clone()).into()
        }
        (StatusCode::NOT_FOUND, _) => ArchiveError::NoFile,
        _ if status.is_client_error() => ArchiveError::Refused { status: status.as_u16(), message },
        _ => call.failed(message).into(),
    }
}
