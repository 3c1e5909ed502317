//! The console gate of the standalone service: the program `zun-console`. This process keeps its descriptors, as
//! systemd does on other hosts, and starts it again whenever it ends: sessions continue.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};
use zun_common::id::HostName;
use zun_common::shutdown::Tasks;
use zun_compute::certificate::CertificateFiles;
use zun_gate::holder::Holder;
use zun_gate::settings::PREFIX;

/// How long the program may take until it serves clients.
const READY: Duration = Duration::from_secs(20);
/// How long it may take to close its connections and end.
const END: Duration = Duration::from_secs(8);
/// The shortest time between two starts, so that a program that fails at once is no busy loop.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after its socket has failed.
const SOCKET_PAUSE: Duration = Duration::from_secs(1);

/// Why the gate cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The program cannot be started.
    #[error("cannot start `{}`: put it in the directory of zun-standalone, or pass its path with --console", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The socket for its descriptors cannot be used.
    #[error("cannot use the socket {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The program ended.
    #[error("`zun-console` ended ({0}); its log says why")]
    Ended(ExitStatus),
    /// The program does not become ready.
    #[error("`zun-console` did not serve clients within {} s; its log says why", READY.as_secs())]
    NotReady,
}

/// The server name for clients with tickets. The host's certificate has it too.
const PUBLIC_NAME: &str = "localhost";

/// How the program is run.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The program.
    pub(crate) program: PathBuf,
    pub(crate) host: HostName,
    /// The socket of the engine.
    pub(crate) engine: PathBuf,
    /// The certificate of the engine's TLS listener.
    pub(crate) files: CertificateFiles,
    /// The agent's socket for session events.
    pub(crate) notify: PathBuf,
    /// The gate's socket for the agent.
    pub(crate) control: PathBuf,
    /// The socket at which the program stores its descriptors.
    pub(crate) store: PathBuf,
    /// The directory of its recordings.
    pub(crate) data: PathBuf,
    /// What it logs.
    pub(crate) log: String,
}

/// The gate. It is started again until [`ConsoleGate::stop`].
pub(crate) struct ConsoleGate {
    address: SocketAddr,
    tasks: Tasks,
}

/// The program, and what it has stored.
struct Supervised {
    settings: Settings,
    holder: Holder,
    child: Child,
    /// The program ends when this does. A wait for the child would drop its own one.
    stdin: Option<ChildStdin>,
    started: Instant,
}

impl ConsoleGate {
    /// Starts the gate on a free port, and waits until it serves clients.
    pub(crate) async fn start(settings: Settings) -> Result<Self, Failure> {
        let path = settings.store.clone();
        let socket = |cause| Failure::Socket { path: path.clone(), cause };
        let holder = Holder::at(path.clone()).map_err(socket)?;
        allow_many_files();
        let mut child = spawn(&settings, &holder)
            .map_err(|cause| Failure::Start { program: settings.program.clone(), cause })?;
        let (stdin, started) = (child.stdin.take(), Instant::now());
        let mut supervised = Supervised { settings, holder, child, stdin, started };
        let ready = timeout(READY, supervised.ready()).await;
        ready.unwrap_or(Err(Failure::NotReady))?;
        let missing = || socket(io::Error::other("the listening socket is missing"));
        let address = supervised.holder.address().ok_or_else(missing)?;
        let tasks = Tasks::new();
        let own = tasks.clone();
        tasks.spawn(async move { supervised.run(&own).await });
        Ok(Self { address, tasks })
    }

    /// The address on which it listens, also after it was started again.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the gate with all sessions.
    pub(crate) async fn stop(self) {
        if !self.tasks.finish(END + PAUSE).await {
            warn!("the console gate did not end in time");
        }
    }
}

impl Drop for ConsoleGate {
    fn drop(&mut self) {
        // The service may fail to start after the gate has.
        self.tasks.cancel();
    }
}

impl Supervised {
    async fn ready(&mut self) -> Result<(), Failure> {
        loop {
            let cause = tokio::select! {
                handled = self.holder.handle() => match handled {
                    Ok(true) => return Ok(()),
                    Ok(false) => continue,
                    Err(cause) => cause,
                },
                ended = self.child.wait() => match ended {
                    Ok(status) => return Err(Failure::Ended(status)),
                    Err(cause) => cause,
                },
            };
            return Err(Failure::Socket { path: self.settings.store.clone(), cause });
        }
    }

    /// Keeps the program running until the tasks are cancelled, and then ends it.
    async fn run(mut self, tasks: &Tasks) {
        loop {
            let ended = tokio::select! {
                () = tasks.cancelled() => return self.end().await,
                ended = self.ended() => ended,
            };
            warn!("zun-console exited ({ended}): starting it again; its sessions continue");
            while let Err(error) = self.restart() {
                warn!(%error, "cannot start the console gate again: trying again");
                tokio::select! {
                    () = tasks.cancelled() => return,
                    () = sleep(PAUSE) => {}
                }
            }
        }
    }

    /// Stores descriptors until the program has ended, and the next one may be started.
    async fn ended(&mut self) -> String {
        let status = loop {
            tokio::select! {
                handled = self.holder.handle() => if let Err(error) = handled {
                    warn!(%error, "cannot store the descriptors of the console gate's sessions: its next restart may end them");
                    sleep(SOCKET_PAUSE).await;
                },
                ended = self.child.wait() => break ended,
            }
        };
        tokio::time::sleep_until(self.started + PAUSE).await;
        status.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.holder.handle_rest()?;
        self.child = spawn(&self.settings, &self.holder)?;
        self.stdin = self.child.stdin.take();
        self.started = Instant::now();
        Ok(())
    }

    /// Lets the program close its connections.
    async fn end(mut self) {
        drop(self.stdin.take());
        if timeout(END, self.ended()).await.is_err()
            && let Err(error) = self.child.kill().await
        {
            warn!(%error, "cannot end the console gate");
        }
        info!("the console gate has ended");
    }
}

fn spawn(settings: &Settings, holder: &Holder) -> io::Result<Child> {
    let Settings { program, host, engine, files, notify, control, store: _, data, log } = settings;
    let CertificateFiles { ca, certificate, key } = files;
    holder.start(program, |command: &mut Command| {
        let mut set = |name: &str, value: &std::ffi::OsStr| {
            command.env(format!("{PREFIX}__{name}"), value);
        };
        set("HOST", host.as_str().as_ref());
        set("LISTEN", "127.0.0.1:0".as_ref());
        set("NOTIFY_SOCKET", notify.as_ref());
        set("CONTROL_SOCKET", control.as_ref());
        set("STATE_DIRECTORY", data.as_ref());
        set("DOCKER__SOCKET", engine.as_ref());
        set("TLS__CA", ca.as_ref());
        set("PUBLIC__NAME", PUBLIC_NAME.as_ref());
        for section in ["TLS", "PUBLIC"] {
            set(&format!("{section}__CERTIFICATE"), certificate.as_ref());
            set(&format!("{section}__KEY"), key.as_ref());
        }
        set("LOG__FILTER", log.as_ref());
        // If a service manager watches this process, it does not watch that one.
        command.env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
        // Ctrl-C in this process's terminal must not end it: this process does, in its order.
        command.stdout(std::process::Stdio::null()).process_group(0);
    })
}

/// This process and the gate hold about ten descriptors of each session.
fn allow_many_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err()
    {
        warn!(
            "cannot raise the limit of open files: the console gate may have too few for many sessions"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::process::{Pid, getpgid};

    use super::*;

    fn settings(directory: &Path, program: &str) -> Settings {
        let path = |name: &str| directory.join(name);
        Settings {
            program: program.into(),
            host: "here".parse().expect("a name"),
            engine: path("docker.sock"),
            files: CertificateFiles { ca: path("ca"), certificate: path("cert"), key: path("key") },
            notify: path("notify"),
            control: path("control"),
            store: path("store"),
            data: path("data"),
            log: "info".to_owned(),
        }
    }

    #[tokio::test]
    async fn ctrl_c_in_the_terminal_of_the_service_does_not_reach_the_gate() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(directory.path(), "/bin/true");
        let holder = Holder::at(settings.store.clone()).expect("a holder");
        let mut child = spawn(&settings, &holder).expect("started");
        let id = i32::try_from(child.id().expect("it was not waited for")).expect("a number");
        let group = getpgid(Pid::from_raw(id)).expect("a group");
        assert_eq!(Some(group), Pid::from_raw(id));
        child.wait().await.expect("ended");
    }

    #[tokio::test]
    async fn a_missing_program_is_an_error_that_says_where_it_belongs() {
        let directory = tempfile::tempdir().expect("a directory");
        let missing = directory.path().join("missing");
        let settings = settings(directory.path(), missing.to_str().expect("UTF-8"));
        let failed = ConsoleGate::start(settings).await.err().expect("it cannot be started");
        assert!(failed.to_string().contains("--console"), "{failed}");
    }

    #[test]
    fn the_gate_ends_with_what_has_started_it() {
        let (address, tasks) = ("127.0.0.1:1".parse().expect("an address"), Tasks::new());
        drop(ConsoleGate { address, tasks: tasks.clone() });
        assert!(tasks.is_cancelled());
    }
}
