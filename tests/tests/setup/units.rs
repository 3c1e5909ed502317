//! The units docker.service and zun-authz of a small host, as plain processes.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixStream;
use zun_compute::docker_setup::{ServiceError, Services, UnitAction};
use zun_standalone::engine::Layout;
use zun_tests::zun_cli::binary;

const TIMEOUT: Duration = Duration::from_secs(40);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// A process that holds a mount namespace with private `/run/docker` and `/run/containerd`.
const HOLD: &str =
    r#"mount --bind "$1" /run/docker && mount --bind "$2" /run/containerd && exec sleep 1000000"#;

/// The stand-in for systemd.
pub(super) struct Units {
    pub(super) directory: PathBuf,
    layout: Layout,
    holder: Child,
    dockerd: Mutex<Option<Child>>,
    plugin: Mutex<Option<Child>>,
}

impl Units {
    pub(super) fn new(directory: &Path, layout: Layout) -> Self {
        let holder = Command::new("unshare")
            .args(["--mount", "--propagation", "slave", "--", "/bin/sh", "-c", HOLD, "hold"])
            .arg(layout.run_docker())
            .arg(layout.run_containerd())
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare runs");
        let mounts = format!("/proc/{}/mountinfo", holder.id());
        let begun = Instant::now();
        // Both are mounted when the second one is.
        while !std::fs::read_to_string(&mounts).unwrap_or_default().contains(" /run/containerd ") {
            assert!(begun.elapsed() < TIMEOUT, "the mount namespace is not ready");
            std::thread::park_timeout(POLL_INTERVAL);
        }
        let directory = directory.to_owned();
        Self { directory, layout, holder, dockerd: Mutex::default(), plugin: Mutex::default() }
    }

    /// Returns the pid of dockerd.
    pub(super) fn dockerd(&self) -> Option<u32> {
        locked(&self.dockerd).as_ref().map(Child::id)
    }

    /// Stops dockerd. Its containers keep running.
    pub(super) fn end_docker(&self) {
        end(&self.dockerd);
    }

    fn drop_in(&self) -> PathBuf {
        self.directory.join("docker.service.d/zun.conf")
    }

    /// Returns the command of the last `ExecStart`.
    fn command(&self) -> Vec<String> {
        let main = std::fs::read_to_string(self.directory.join("docker.service")).expect("a unit");
        let all = main + &std::fs::read_to_string(self.drop_in()).unwrap_or_default();
        let last = all.lines().filter_map(|line| line.strip_prefix("ExecStart=")).next_back();
        last.expect("a command").split_whitespace().map(str::to_owned).collect()
    }

    async fn restart_docker(&self) -> Result<(), ServiceError> {
        end(&self.dockerd);
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.layout.log("dockerd"))
            .expect("a log");
        let mut command = Command::new("nsenter");
        command
            .args(["--mount", "--target", &self.holder.id().to_string(), "--"])
            .args(self.command())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0);
        let child = command.spawn().map_err(ServiceError::Unusable)?;
        *locked(&self.dockerd) = Some(child);
        self.until_it_answers().await
    }

    async fn until_it_answers(&self) -> Result<(), ServiceError> {
        let begun = Instant::now();
        loop {
            if UnixStream::connect(self.layout.socket()).await.is_ok() {
                return Ok(());
            }
            let ended = locked(&self.dockerd)
                .as_mut()
                .and_then(|child| child.try_wait().expect("a child"))
                .is_some();
            if ended || begun.elapsed() > TIMEOUT {
                let words = std::fs::read_to_string(self.layout.log("dockerd")).unwrap_or_default();
                let words = words.lines().last().unwrap_or_default().to_owned();
                return Err(ServiceError::Failed {
                    command: "restart docker".to_owned(),
                    stderr: words,
                });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn reload_docker(&self) {
        let pid = self.dockerd().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        kill_process(pid.expect("dockerd runs"), Signal::HUP).expect("a signal");
    }

    async fn start_plugin(&self) -> Result<(), ServiceError> {
        let text = std::fs::read_to_string(self.directory.join("zun-authz.service.d/host.conf"))
            .expect("the plugin's drop-in");
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
            line.trim_end_matches('"').to_owned()
        };
        let options = value("Environment=\"ZUN_AUTHZ_OPTIONS=");
        let child = Command::new(binary("zun-authz"))
            .arg("--socket")
            .arg(self.layout.plugin_socket())
            .args(options.split_whitespace())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(ServiceError::Unusable)?;
        *locked(&self.plugin) = Some(child);
        let begun = Instant::now();
        while UnixStream::connect(self.layout.plugin_socket()).await.is_err() {
            assert!(begun.elapsed() < TIMEOUT, "the plugin does not listen");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends SIGTERM and waits for the end.
fn end(process: &Mutex<Option<Child>>) {
    let child = locked(process).take();
    if let Some(mut child) = child {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, Signal::TERM).unwrap_or_default();
        child.wait().expect("its end");
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        for process in [&self.dockerd, &self.plugin] {
            end(process);
        }
        self.holder.kill().unwrap_or_default();
        self.holder.wait().expect("its end");
    }
}

#[async_trait]
impl Services for Units {
    async fn files(&self, unit: &str) -> Result<Vec<PathBuf>, ServiceError> {
        let mut files = vec![self.directory.join(unit)];
        files.retain(|file| file.exists());
        let entries = std::fs::read_dir(self.directory.join(format!("{unit}.d")));
        let mut others: Vec<_> =
            entries.into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
        others.sort();
        files.extend(others);
        Ok(files)
    }

    async fn is_active(&self, unit: &str) -> Result<bool, ServiceError> {
        Ok(unit.starts_with("zun-authz") && locked(&self.plugin).is_some())
    }

    async fn daemon_reload(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    async fn control(&self, action: UnitAction, unit: &str) -> Result<(), ServiceError> {
        match (action, unit) {
            (UnitAction::Restart, "docker.service") => self.restart_docker().await,
            (UnitAction::Reload, "docker.service") => {
                self.reload_docker();
                Ok(())
            }
            (UnitAction::Start, "zun-authz.socket") if locked(&self.plugin).is_some() => Ok(()),
            (UnitAction::Start, "zun-authz.socket") => self.start_plugin().await,
            (UnitAction::Restart, "zun-authz.service") => {
                end(&self.plugin);
                self.start_plugin().await
            }
            (UnitAction::Stop, "zun-authz.service" | "zun-authz.socket") => {
                end(&self.plugin);
                Ok(())
            }
            (action, unit) => panic!("{action:?} {unit}"),
        }
    }
}
