//! A proxy for an engine's unix socket that a test can disconnect.

use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use zun_common::shutdown::Tasks;

/// The proxy.
pub(crate) struct Proxy {
    directory: tempfile::TempDir,
    tasks: Tasks,
}

impl Proxy {
    pub(crate) fn new(engine: &Path) -> Self {
        let proxy =
            Self { directory: tempfile::tempdir().expect("a directory"), tasks: Tasks::new() };
        proxy.serve(engine);
        proxy
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("engine.sock")
    }

    fn serve(&self, engine: &Path) {
        let listener = UnixListener::bind(self.socket()).expect("a socket");
        self.tasks.spawn(accept(listener, engine.to_owned(), self.tasks.clone()));
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

async fn accept(listener: UnixListener, engine: PathBuf, tasks: Tasks) {
    loop {
        let client = tokio::select! {
            () = tasks.cancelled() => return,
            accepted = listener.accept() => accepted.expect("a client").0,
        };
        tasks.spawn(relay(client, engine.clone(), tasks.clone()));
    }
}

async fn relay(mut client: UnixStream, engine: PathBuf, tasks: Tasks) {
    let mut engine = UnixStream::connect(engine).await.expect("the engine listens");
    tokio::select! {
        () = tasks.cancelled() => {}
        _ended = tokio::io::copy_bidirectional(&mut client, &mut engine) => {}
    }
}
