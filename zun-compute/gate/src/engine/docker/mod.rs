//! Docker over its unix socket.

mod answers;
mod archive;
mod exec_signal;
mod exit;
mod exit_after_restart;
mod failed_start;
mod http;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use zun_common::grant::{ApiVersion, NO_DETACH_KEYS};
use zun_common::pty::Size;
use zun_common::shutdown::Tasks;

use super::{
    ArchiveAnswer, ArchiveError, ArchiveRequest, Engine, EngineError, Exit, Inspected, Opened, Run,
    Signal, Start, Target,
};
use crate::session::Process;
use answers::{ContainerAnswer, ExecAnswer};
use http::{Call, Http};

/// The oldest version of Docker's API that the gate speaks: Docker 20.10.
const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 41 };
/// The newest one.
const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 45 };
/// From this version on, an exec's terminal has its size from the start.
const EXEC_SIZE: ApiVersion = ApiVersion { major: 1, minor: 42 };

/// A Docker engine. Clones share the negotiated version.
#[derive(Debug, Clone)]
pub struct Docker {
    http: Http,
    /// `None` until Docker has been asked, and after it has failed, because it may have been replaced.
    version: Arc<Mutex<Option<ApiVersion>>>,
}

impl Docker {
    /// Uses the engine at this socket. Connections belong to `tasks`.
    pub fn at(socket: PathBuf, tasks: Tasks) -> Self {
        Self { http: Http::new(socket, tasks), version: Arc::default() }
    }

    /// Asks Docker for the newest version of its API, and uses it if the gate speaks it.
    async fn negotiate(&self) -> Result<(), EngineError> {
        const DOING: &str = "ask Docker for its version";
        let path = "/_ping".to_owned();
        let call = Call { doing: DOING, method: Method::GET, path, body: None, target: None };
        let response = self.http.send(&call).await?;
        let newest = response.headers().get("Api-Version").and_then(|value| value.to_str().ok());
        let newest = newest.and_then(|text| text.parse::<ApiVersion>().ok()).unwrap_or(OLDEST);
        if newest < OLDEST {
            let message = format!(
                "Docker supports API {newest} at most, and the gate needs at least {OLDEST}: upgrade Docker"
            );
            return Err(EngineError::Failed { doing: DOING, message });
        }
        *self.negotiated() = Some(newest.min(NEWEST));
        Ok(())
    }

    fn negotiated(&self) -> MutexGuard<'_, Option<ApiVersion>> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self) -> ApiVersion {
        self.negotiated().unwrap_or(OLDEST)
    }

    /// The path of a target's call.
    fn path(&self, target: &Target, tail: &str) -> String {
        let version = self.version();
        match target {
            Target::Container(id) => format!("/v{version}/containers/{id}{tail}"),
            Target::Exec(id) => format!("/v{version}/exec/{id}{tail}"),
        }
    }

    async fn inspect_container(&self, target: &Target) -> Result<ContainerAnswer, EngineError> {
        self.http
            .json(&Call::get("inspect the container", self.path(target, "/json"), target))
            .await
    }

    async fn inspect_exec(&self, target: &Target) -> Result<ExecAnswer, EngineError> {
        self.http.json(&Call::get("inspect the exec", self.path(target, "/json"), target)).await
    }

    async fn attach(&self, target: &Target) -> Result<Opened, EngineError> {
        // The wait for the exit begins before the process can start.
        let exit = self.wait(target).await?;
        let tail = format!("/attach?logs=0&stream=1&stdin=1&stdout=1&stderr=1&{NO_DETACH_KEYS}");
        let call = Call::post("attach to the container", self.path(target, &tail), target);
        let (stream, early) = self.http.hijack(&call).await?;
        Ok(Opened { stream, early, output_ended: Arc::default(), exit })
    }

    async fn start_exec(
        &self,
        target: &Target,
        inspected: &Inspected,
        size: Option<Size>,
    ) -> Result<Opened, EngineError> {
        let Process { tty, running, .. } = inspected.process;
        let mut call = Call::post("start the exec", self.path(target, "/start"), target);
        if running || inspected.ended {
            // Docker would report this only in the stream.
            let message = "it was started already".to_owned();
            return Err(EngineError::Conflict { doing: call.doing, message });
        }
        let sized = size.filter(|_| tty && self.version() >= EXEC_SIZE);
        let mut body = json!({ "Detach": false, "Tty": tty });
        if let (Some(Size { width, height }), Some(body)) = (sized, body.as_object_mut()) {
            body.insert("ConsoleSize".to_owned(), json!([height, width]));
        }
        call.body = Some(body);
        let (stream, early) = self.http.hijack(&call).await?;
        let output_ended = Arc::<Notify>::default();
        let (docker, target, ended) = (self.clone(), target.clone(), Arc::clone(&output_ended));
        let exit = Box::pin(async move { docker.exit_of_exec(&target, None, &ended).await });
        Ok(Opened { stream, early, output_ended, exit })
    }
}

#[async_trait]
impl Engine for Docker {
    async fn inspect(&self, target: &Target) -> Result<Inspected, EngineError> {
        let known = self.negotiated().is_some();
        if !known {
            self.negotiate().await?;
        }
        let inspected = match target {
            Target::Container(_) => self.inspect_container(target).await.map(Into::into),
            Target::Exec(_) => self.inspect_exec(target).await.map(Into::into),
        };
        if let Err(EngineError::Failed { .. } | EngineError::Unreachable { .. }) = inspected {
            *self.negotiated() = None;
        }
        inspected
    }

    async fn open(
        &self,
        target: &Target,
        inspected: &Inspected,
        size: Option<Size>,
    ) -> Result<Opened, EngineError> {
        match target {
            Target::Container(_) => self.attach(target).await,
            Target::Exec(_) => self.start_exec(target, inspected, size).await,
        }
    }

    async fn start_of_exec(
        &self,
        target: &Target,
        stream: &UnixStream,
        (early, tty): (&[u8], bool),
    ) -> Result<Start, EngineError> {
        self.failed_start(target, stream, (early, tty)).await
    }

    async fn exit_after_restart(
        &self,
        target: &Target,
        run: &Run,
        output_ended: &Notify,
    ) -> Result<Exit, EngineError> {
        self.exit_of_run(target, run, output_ended).await
    }

    async fn started(&self, target: &Target) -> Result<Inspected, EngineError> {
        let Target::Container(id) = target else { return self.inspect(target).await };
        let filters =
            json!({ "container": [id.as_str()], "event": ["start", "destroy"] }).to_string();
        let encoded = utf8_percent_encode(&filters, NON_ALPHANUMERIC);
        let path = format!("/v{}/events?filters={encoded}", self.version());
        let call = Call::get("watch the container's start", path, target);
        // Events are watched before the container is inspected, so that none is missed. After its removal, the inspection
        // fails.
        let mut events = self.http.send(&call).await?;
        loop {
            let inspected = self.inspect(target).await?;
            if inspected.process.running {
                return Ok(inspected);
            }
            if events.frame().await.is_none_or(|frame| frame.is_err()) {
                let message = "the stream of events has ended".to_owned();
                return Err(EngineError::Failed { doing: call.doing, message });
            }
        }
    }

    async fn resize(&self, target: &Target, size: Size) -> Result<(), EngineError> {
        let Size { width, height } = size;
        let path = self.path(target, &format!("/resize?h={height}&w={width}"));
        self.http.send(&Call::post("resize the terminal", path, target)).await.map(drop)
    }

    async fn signal(&self, target: &Target, signal: Signal<'_>) -> Result<(), EngineError> {
        if matches!(target, Target::Exec(_)) {
            return self.signal_exec(target, signal).await;
        }
        let path = self.path(target, &format!("/kill?signal={}", signal.name));
        self.http.send(&Call::post("send the signal", path, target)).await.map(drop)
    }

    async fn archive(&self, request: ArchiveRequest) -> Result<ArchiveAnswer, ArchiveError> {
        self.copy(request).await
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.negotiate().await
    }
}

/// The body of Docker's answer to a wait request.
fn exit_code(answer: &Value) -> Option<i64> {
    answer.get("StatusCode").and_then(Value::as_i64)
}
