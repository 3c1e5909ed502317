//! A proxy for an engine's unix socket that a test can disconnect, and that can break the inspection or the stop of single
//! containers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use zun_common::id::ContainerId;
use zun_common::shutdown::Tasks;

/// What the engine does when it is asked to inspect a container, or to stop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never answers.
    Stalled,
    /// It answers with a state that the driver does not know.
    Unreadable,
    /// It closes the connection.
    LinkLost,
    /// It answers with status 500.
    Refused,
    /// It can be inspected, but a stop is answered with status 500.
    StopRefused,
}

type Faults = Arc<Mutex<HashMap<ContainerId, Fault>>>;

/// A fault, which ends on drop.
pub(crate) struct Broken {
    container: ContainerId,
    faults: Faults,
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.faults.lock().expect("a lock").remove(&self.container);
    }
}

/// The proxy.
pub(crate) struct Proxy {
    directory: tempfile::TempDir,
    tasks: Tasks,
    faults: Faults,
}

impl Proxy {
    pub(crate) fn new(engine: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let proxy = Self { directory, tasks: Tasks::new(), faults: Faults::default() };
        proxy.serve(engine);
        proxy
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("engine.sock")
    }

    /// Answers every stop of this container with status 500 until the returned value is dropped.
    pub(crate) fn refuse_stop(&self, container: ContainerId) -> Broken {
        self.break_inspection(container, Fault::StopRefused)
    }

    /// Breaks every inspection of this container until the returned value is dropped.
    pub(crate) fn break_inspection(&self, container: ContainerId, fault: Fault) -> Broken {
        self.faults.lock().expect("a lock").insert(container, fault);
        Broken { container, faults: Arc::clone(&self.faults) }
    }

    fn serve(&self, engine: &Path) {
        let listener = UnixListener::bind(self.socket()).expect("a socket");
        let relay = Relay { engine: engine.to_owned(), faults: Arc::clone(&self.faults) };
        self.tasks.spawn(accept(listener, relay, self.tasks.clone()));
    }

    /// Closes every connection and removes the socket, as if the engine had stopped.
    pub(crate) async fn disconnect(&mut self) {
        assert!(self.tasks.finish(std::time::Duration::from_secs(10)).await);
        std::fs::remove_file(self.socket()).expect("the socket is there");
    }

    /// Serves again.
    pub(crate) fn reconnect(&mut self, engine: &Path) {
        self.tasks = Tasks::new();
        self.serve(engine);
    }
}

async fn accept(listener: UnixListener, relay: Relay, tasks: Tasks) {
    loop {
        let client = tokio::select! {
            () = tasks.cancelled() => return,
            accepted = listener.accept() => accepted.expect("a client").0,
        };
        let (relay, stop) = (relay.clone(), tasks.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = relay.serve(client) => {}
            }
        });
    }
}

#[derive(Clone)]
struct Relay {
    engine: PathBuf,
    faults: Faults,
}

impl Relay {
    /// Serves a connection. The driver sends one request on each.
    async fn serve(self, mut client: UnixStream) {
        let Some(head) = head(&mut client).await else { return };
        if let Some(fault) = self.fault(&head) {
            return answer(client, fault).await;
        }
        let mut engine = UnixStream::connect(self.engine).await.expect("the engine listens");
        engine.write_all(&head).await.expect("the engine reads");
        let _ended = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
    }

    fn fault(&self, head: &[u8]) -> Option<Fault> {
        let head = String::from_utf8_lossy(head);
        let (method, rest) = head.lines().next()?.split_once(' ')?;
        let (path, request) = rest.split([' ', '?']).next()?.rsplit_once('/')?;
        let container = ContainerId::from_engine_name(path.rsplit('/').next()?)?;
        let stops = match (method, request) {
            ("GET", "json") => false,
            ("POST", "stop") => true,
            _ => return None,
        };
        let fault = self.faults.lock().expect("a lock").get(&container).copied();
        fault.filter(|fault| stops == (*fault == Fault::StopRefused))
    }
}

async fn head(client: &mut UnixStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    Some(head)
}

async fn answer(mut client: UnixStream, fault: Fault) {
    let (status, body) = match fault {
        Fault::Stalled => return std::future::pending().await,
        Fault::LinkLost => return,
        Fault::Unreadable => ("200 OK", r#"{"State":{"Status":"superposed"}}"#),
        Fault::Refused | Fault::StopRefused => {
            ("500 Internal Server Error", r#"{"message":"input/output error"}"#)
        }
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    let _written = client.write_all(format!("{head}{body}").as_bytes()).await;
}
