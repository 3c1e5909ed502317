//! The program `zun-console` on a host of the cluster. It keeps its sessions while it restarts, as under systemd.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};
use zun_common::shutdown::Tasks;
use zun_gate::holder::Holder;
use zun_tests::cluster::Cluster;
use zun_tests::zun_cli::binary;

const TIMEOUT: Duration = Duration::from_secs(30);
/// How often the descriptors are taken that the program stores. The program waits for this only if many are left.
const TAKE_EVERY: Duration = Duration::from_millis(50);

/// The running program.
pub struct Program {
    holder: Arc<Mutex<Holder>>,
    tasks: Tasks,
    child: Child,
    environment: Vec<(&'static str, String)>,
    _directory: TempDir,
}

impl Program {
    /// Starts the program with the certificates of the cluster's first host, and waits until it listens.
    pub async fn start(cluster: &Cluster) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut holder = Holder::at(directory.path().join("store.sock")).expect("a socket");
        let ca = cluster.ca_file();
        let file = |name: &str| ca.with_file_name(name).display().to_string();
        let environment = vec![
            ("ZUN_CONSOLE__HOST", cluster.host(0).to_owned()),
            ("ZUN_CONSOLE__LISTEN", "127.0.0.1:0".to_owned()),
            ("ZUN_CONSOLE__DOCKER__SOCKET", cluster.engine_socket(0).display().to_string()),
            ("ZUN_CONSOLE__STATE_DIRECTORY", directory.path().display().to_string()),
            ("ZUN_CONSOLE__TLS__CA", file("ca.pem")),
            ("ZUN_CONSOLE__TLS__CERTIFICATE", file("cert.pem")),
            ("ZUN_CONSOLE__TLS__KEY", file("key.pem")),
            ("ZUN_CONSOLE__LOG__FILTER", "warn".to_owned()),
        ];
        let child = spawn(&holder, &environment);
        let listening = async { while !holder.handle().await.expect("a message") {} };
        timeout(TIMEOUT, listening).await.expect("it listens");
        let (holder, tasks) = (Arc::new(Mutex::new(holder)), Tasks::new());
        let (taken, stop) = (Arc::clone(&holder), tasks.token().clone());
        tasks.spawn(async move {
            let mut ticks = interval(TAKE_EVERY);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                lock(&taken).handle_rest().expect("handled");
            }
        });
        Self { holder, tasks, child, environment, _directory: directory }
    }

    /// The address on which it listens, also after a restart.
    pub fn address(&self) -> SocketAddr {
        lock(&self.holder).address().expect("it listens")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Ends the program with a signal, and starts the next one.
    pub async fn restart(&mut self, signal: Signal) {
        self.end(signal).await;
        self.child = spawn(&lock(&self.holder), &self.environment);
    }

    /// Ends the program for good.
    pub async fn stop(mut self) {
        self.end(Signal::KILL).await;
        self.tasks.finish(TIMEOUT).await;
    }

    async fn end(&mut self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("sent");
        timeout(TIMEOUT, self.child.wait()).await.expect("in time").expect("ended");
        lock(&self.holder).handle_rest().expect("handled");
    }
}

fn lock(holder: &Mutex<Holder>) -> MutexGuard<'_, Holder> {
    holder.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(holder: &Holder, environment: &[(&'static str, String)]) -> Child {
    let set_up = |command: &mut Command| {
        command.envs(environment.iter().cloned());
    };
    holder.start(&binary("zun-console"), set_up).expect("it runs")
}
