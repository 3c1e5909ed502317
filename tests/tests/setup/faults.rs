//! Failures and interruptions at each systemd action on docker.service.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::Notify;
use zun_api::Service;
use zun_common::chain;
use zun_compute::docker_setup::{
    Machine, Outcome, ServiceError, Services, SetupError, UnitAction, undo,
};

use super::host::{Host, SIGNALS};
use super::units::Units;

const SETTINGS: &str = "{\n  \"debug\": true\n}\n";

/// A fault during an action on docker.service.
enum Fault {
    /// Docker stops and fails to start this number of times.
    DoesNotStart(usize),
    /// The action fails.
    Refused,
    /// docker-setup gets a signal during the action.
    Terminated,
    /// docker-setup is killed before the action.
    KilledBefore,
    /// docker-setup is killed after the action.
    KilledAfter,
    /// zun-api stops after the action.
    LosesApi(Mutex<Option<Box<Service>>>),
}

struct Faulty {
    units: Arc<Units>,
    at: UnitAction,
    fault: Fault,
    seen: AtomicUsize,
    /// Notified when docker-setup must be killed.
    killed: Notify,
}

impl Faulty {
    fn on(host: &Host, at: UnitAction, fault: Fault) -> (Machine, Arc<Self>) {
        let units = Arc::clone(&host.units);
        let faulty =
            Arc::new(Self { units, at, fault, seen: AtomicUsize::new(0), killed: Notify::new() });
        let services = Arc::clone(&faulty) as Arc<dyn Services>;
        (Machine { services, ..host.machine.clone() }, faulty)
    }

    async fn control_with_fault(&self, action: UnitAction, unit: &str) -> Result<(), ServiceError> {
        let failed = |words: &str| {
            let (command, stderr) = (format!("{action:?} {unit}"), words.to_owned());
            Err(ServiceError::Failed { command, stderr })
        };
        let before = self.seen.fetch_add(1, Ordering::Relaxed);
        match &self.fault {
            Fault::DoesNotStart(times) if before < *times => {
                self.units.end_docker();
                failed("it does not start")
            }
            Fault::Refused if before == 0 => failed("the action failed"),
            Fault::Terminated if before == 0 => {
                kill_process(getpid(), Signal::TERM).expect("a signal");
                self.units.control(action, unit).await
            }
            Fault::KilledBefore => self.wait_to_be_killed().await,
            Fault::KilledAfter => {
                self.units.control(action, unit).await?;
                self.wait_to_be_killed().await
            }
            Fault::LosesApi(api) => {
                self.units.control(action, unit).await?;
                let api = api.lock().expect("no panic").take();
                if let Some(api) = api {
                    api.stop().await;
                }
                Ok(())
            }
            Fault::DoesNotStart(_) | Fault::Refused | Fault::Terminated => {
                self.units.control(action, unit).await
            }
        }
    }

    async fn wait_to_be_killed(&self) -> Result<(), ServiceError> {
        self.killed.notify_one();
        std::future::pending().await
    }
}

#[async_trait]
impl Services for Faulty {
    async fn files(&self, unit: &str) -> Result<Vec<PathBuf>, ServiceError> {
        self.units.files(unit).await
    }
    async fn is_active(&self, unit: &str) -> Result<bool, ServiceError> {
        self.units.is_active(unit).await
    }
    async fn daemon_reload(&self) -> Result<(), ServiceError> {
        Ok(())
    }
    async fn control(&self, action: UnitAction, unit: &str) -> Result<(), ServiceError> {
        if action == self.at && unit == "docker.service" {
            return self.control_with_fault(action, unit).await;
        }
        self.units.control(action, unit).await
    }
}

/// Runs a setup that fails, checks that everything was rolled back, and returns the error.
async fn rolled_back(host: &Host, machine: &Machine, expected: &str) {
    let container = host.container();
    let (pid, files) = (host.pid(&container), host.files());
    let error = host.set_up_on(machine).await.expect_err("it fails");
    assert!(matches!(&error, SetupError::RolledBack(_)), "{error:?}");
    let message = chain(&error);
    assert!(
        message.contains("every change was rolled back") && message.contains(expected),
        "{message}"
    );
    assert_eq!(host.files(), files, "all files must be restored byte for byte");
    assert_eq!(host.pid(&container), pid, "{expected}");
    let shown = host.docker(&["info", "-f", "{{.LiveRestoreEnabled}} {{.Plugins.Authorization}}"]);
    assert_eq!(shown, "false []");
    assert!(std::net::TcpStream::connect(host.address()).is_err(), "nothing may listen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_starts_with_its_former_settings_if_the_new_ones_fail() {
    let host = Host::start(SETTINGS).await;
    let _no_signal = SIGNALS.read().await;
    let (machine, _) = Faulty::on(&host, UnitAction::Restart, Fault::DoesNotStart(1));
    rolled_back(&host, &machine, "it does not start").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_is_not_restarted_with_new_settings_if_its_reload_fails() {
    let host = Host::start(SETTINGS).await;
    let _no_signal = SIGNALS.read().await;
    let (machine, _) = Faulty::on(&host, UnitAction::Reload, Fault::Refused);
    rolled_back(&host, &machine, "the action failed").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_run_rolls_back() {
    let host = Host::start(SETTINGS).await;
    let _alone = SIGNALS.write().await;
    for at in [UnitAction::Reload, UnitAction::Restart] {
        let (machine, _) = Faulty::on(&host, at, Fault::Terminated);
        rolled_back(&host, &machine, "interrupted").await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_zun_api_for_the_probe_the_setup_is_rolled_back() {
    let mut host = Host::start(SETTINGS).await;
    let _no_signal = SIGNALS.read().await;
    let api = Mutex::new(Some(Box::new(host.take_api())));
    let (machine, _) = Faulty::on(&host, UnitAction::Restart, Fault::LosesApi(api));
    rolled_back(&host, &machine, "zun-api did not sign the probe grant").await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_killed_run_the_next_one_completes_and_undo_restores_the_original() {
    let host = Host::start(SETTINGS).await;
    let _no_signal = SIGNALS.read().await;
    let container = host.container();
    let (pid, files) = (host.pid(&container), host.files());
    let mut completes = true;
    for at in [UnitAction::Reload, UnitAction::Restart] {
        for fault in [Fault::KilledBefore, Fault::KilledAfter] {
            let (machine, faulty) = Faulty::on(&host, at, fault);
            tokio::select! {
                outcome = host.set_up_on(&machine) => panic!("{outcome:?}"),
                () = faulty.killed.notified() => {}
            }
            if completes {
                let done = host.set_up_on(&host.machine).await.expect("the next run");
                assert!(matches!(&done, Outcome::Done(summary) if summary.restarted), "{done:?}");
                let nothing = host.set_up_on(&host.machine).await.expect("once more");
                assert_eq!(nothing, Outcome::Unchanged);
            }
            undo(&host.machine).await.expect("undone");
            assert_eq!(host.files(), files, "{at:?}: all files must be restored byte for byte");
            assert_eq!(host.pid(&container), pid, "{at:?}: the container must keep running");
            completes = !completes;
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_rollback_names_the_saved_files_and_undo_completes_it() {
    let host = Host::start(SETTINGS).await;
    let _no_signal = SIGNALS.read().await;
    let container = host.container();
    let (pid, files) = (host.pid(&container), host.files());
    let (machine, _) = Faulty::on(&host, UnitAction::Restart, Fault::DoesNotStart(2));
    let error = host.set_up_on(&machine).await.expect_err("it fails");
    assert!(matches!(&error, SetupError::Stuck { .. }), "{error:?}");
    let message = chain(&error);
    let record = host.machine.paths.record.display().to_string();
    for expected in [record.as_str(), "it does not start", "the rollback failed too"] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    assert!(std::net::TcpStream::connect(host.address()).is_err(), "nothing may listen");
    // The operator makes it start again.
    host.units.control(UnitAction::Restart, "docker.service").await.expect("started");
    undo(&host.machine).await.expect("undone");
    assert_eq!(host.files(), files, "all files must be restored byte for byte");
    assert_eq!(host.pid(&container), pid);
    host.stop().await;
}
