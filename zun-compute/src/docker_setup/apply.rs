//! Applies a plan and verifies the result. If a step fails, everything is rolled back.
//!
//! ```text
//!  save the undo record ─> certificate ─> units ─> start and check zun-authz ─> live-restore on (reload)
//!     ─> settings ─> restart Docker ─> verify ─> done
//!                                        └─ on failure ─> roll back, restart Docker
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use zun_common::bus::Bus;
use zun_common::{chain, shutdown};

use super::certificates;
use super::daemon_json::with_live_restore;
use super::docker_api;
use super::error::SetupError;
use super::files::{self, SavedFile};
use super::plan::{Change, Found, Plan, Wanted};
use super::rollback::{self, Snapshot, until_live_restore};
use super::services::UnitAction;
use super::undo_record::{RecordStore, UndoRecord};
use super::units::{DOCKER_UNIT, PLUGIN_UNIT, SOCKET_UNIT};
use super::verify;
use super::{Machine, Summary};
use crate::certificate::{CertificateFiles, CertificateSettings, Flaw};
use crate::probe::Listener;

/// One attempt to set the host up.
pub(super) struct Attempt<'a> {
    pub(super) machine: &'a Machine,
    pub(super) bus: &'a Bus,
    pub(super) found: Found,
    pub(super) plan: Plan,
    pub(super) wanted: Wanted,
    pub(super) certificate: CertificateSettings,
    /// Why the host needs a new certificate; `None` if it needs none.
    pub(super) flaw: Option<Flaw>,
    pub(super) docker_has_new_settings: AtomicBool,
    pub(super) interrupted: AtomicBool,
}

impl Attempt<'_> {
    /// Applies the plan, or rolls everything back.
    pub(super) async fn run(self, store: &RecordStore) -> Result<Summary, SetupError> {
        let services = self.machine.services.as_ref();
        let plugin_was_active = services.is_active(SOCKET_UNIT).await?;
        let before = self.before()?;
        let mut record = self.found.record.clone().unwrap_or_default();
        if self.found.record.is_none() {
            record.plugin_was_active = plugin_was_active;
        }
        let outcome = self.apply_unless_signalled(store, &mut record, &before).await;
        let why = match outcome {
            Ok(summary) => return Ok(summary),
            Err(why) => why,
        };
        tracing::warn!(error = %chain(&why), "cannot set Docker up; rolling back");
        let former = Snapshot {
            files: &before,
            daemon_json: &self.found.targets.daemon_json,
            drop_in: &self.found.targets.drop_in,
            plugin_was_active,
            docker_has_new_settings: self.docker_has_new_settings.load(Ordering::Relaxed),
        };
        if let Err(cause) = rollback::roll_back(self.machine, &former).await {
            let (why, cause) = (chain(&why), Box::new(cause));
            return Err(SetupError::Stuck {
                why,
                record: self.machine.paths.record.clone(),
                cause,
            });
        }
        self.restore_record(store, &record)?;
        Err(SetupError::RolledBack(Box::new(why)))
    }

    /// Reads every file that may be written, as it is now.
    fn before(&self) -> Result<BTreeMap<PathBuf, Option<SavedFile>>, SetupError> {
        let mut before = self.found.files.clone();
        for path in self.certificate_files() {
            before.insert(path.clone(), files::read(path)?);
        }
        Ok(before)
    }

    fn certificate_files(&self) -> [&PathBuf; 3] {
        let CertificateFiles { ca, certificate, key } = &self.wanted.certificates;
        [ca, certificate, key]
    }

    /// Applies the plan. A signal takes effect only between two steps: an interrupted step cannot be rolled back.
    /// For example, systemd would complete a restart of Docker anyway.
    async fn apply_unless_signalled(
        &self,
        store: &RecordStore,
        record: &mut UndoRecord,
        before: &BTreeMap<PathBuf, Option<SavedFile>>,
    ) -> Result<Summary, SetupError> {
        let mut work = pin!(self.apply(store, record, before));
        tokio::select! {
            outcome = &mut work => return outcome,
            _signal = shutdown::signal() => self.interrupted.store(true, Ordering::Relaxed),
        }
        work.await
    }

    /// Whether Docker must load the new certificate now.
    fn needs_restart_now(&self) -> bool {
        self.flaw.as_ref().is_some_and(|flaw| !flaw.can_wait())
    }

    fn check_interrupted(&self) -> Result<(), SetupError> {
        let interrupted = self.interrupted.load(Ordering::Relaxed);
        if interrupted { Err(SetupError::Interrupted) } else { Ok(()) }
    }

    async fn apply(
        &self,
        store: &RecordStore,
        record: &mut UndoRecord,
        before: &BTreeMap<PathBuf, Option<SavedFile>>,
    ) -> Result<Summary, SetupError> {
        self.record_previous(store, record, before)?;
        if self.flaw.is_some() {
            certificates::ensure(self.bus, &self.certificate).await?;
        }
        certificates::open_to_plugin(&self.wanted.certificates.ca)?;
        self.check_interrupted()?;
        self.start_plugin().await?;
        self.check_interrupted()?;
        let socket = &self.machine.engine;
        let running = docker_api::running_pids(socket).await.unwrap_or_default();
        // An earlier run that was killed may have written all files and restarted nothing.
        let incomplete = self.found.record.as_ref().is_some_and(|record| !record.verified);
        let restart = self.plan.restarts_docker() || self.needs_restart_now() || incomplete;
        if restart {
            self.switch_live_restore_on().await?;
            self.check_interrupted()?;
            self.restart_docker().await?;
            self.check_interrupted()?;
        }
        self.verify().await?;
        self.check_interrupted()?;
        record.verified = true;
        store.write(record)?;
        let after = docker_api::running_pids(socket).await.unwrap_or_default();
        let kept = running.iter().filter(|(id, pid)| after.get(*id) == Some(pid)).count();
        let written = self.plan.changes().map(|change| change.path.clone()).collect();
        let signed = self.flaw.is_some();
        Ok(Summary { written, restarted: restart, signed, running: running.len(), kept })
    }

    /// Writes the undo record before the first change: the files as they are, and as they will be.
    fn record_previous(
        &self,
        store: &RecordStore,
        record: &mut UndoRecord,
        before: &BTreeMap<PathBuf, Option<SavedFile>>,
    ) -> Result<(), SetupError> {
        record.verified = false;
        record.daemon_json.clone_from(&self.found.targets.daemon_json);
        for change in self.plan.changes() {
            record.note(&change.path, self.found.kept(&change.path), Some(&change.after));
        }
        for path in self.certificate_files() {
            if before.get(path).is_some_and(Option::is_none) {
                record.note(path, None, None);
            }
        }
        store.write(record)?;
        let written: Vec<_> = record.files.keys().cloned().collect();
        for path in written {
            record.directories.extend(files::create_parents(&path)?);
        }
        Ok(store.write(record)?)
    }

    async fn start_plugin(&self) -> Result<(), SetupError> {
        let services = self.machine.services.as_ref();
        for Change { path, before: _, after } in &self.plan.plugin {
            files::write(path, after)?;
        }
        services.daemon_reload().await?;
        services.control(UnitAction::Start, SOCKET_UNIT).await?;
        if !self.plan.plugin.is_empty() || self.needs_restart_now() {
            services.control(UnitAction::Restart, PLUGIN_UNIT).await?;
        }
        Ok(verify::plugin(&self.machine.paths.plugin_socket).await?)
    }

    /// Switches live-restore on in the running Docker. The other new settings wait for the restart: Docker refuses to
    /// reload hosts and TLS.
    async fn switch_live_restore_on(&self) -> Result<(), SetupError> {
        if self.found.engine.live_restore {
            return Ok(());
        }
        let path = &self.found.targets.daemon_json;
        self.docker_has_new_settings.store(true, Ordering::Relaxed);
        files::write(path, &with_live_restore(self.found.text(path), true)?)?;
        self.machine.services.control(UnitAction::Reload, DOCKER_UNIT).await?;
        until_live_restore(&self.machine.engine, true).await
    }

    /// Writes Docker's settings and command line together, then restarts Docker.
    async fn restart_docker(&self) -> Result<(), SetupError> {
        self.docker_has_new_settings.store(true, Ordering::Relaxed);
        for Change { path, before: _, after } in
            self.plan.drop_in.iter().chain(&self.plan.daemon_json)
        {
            files::write(path, after)?;
        }
        let services = self.machine.services.as_ref();
        services.daemon_reload().await?;
        services.control(UnitAction::Restart, DOCKER_UNIT).await?;
        until_live_restore(&self.machine.engine, true).await
    }

    async fn verify(&self) -> Result<(), SetupError> {
        verify::docker(&self.machine.engine).await?;
        let identity = certificates::probe_grant(self.bus, &self.wanted.host).await?;
        let path = &self.wanted.certificates.ca;
        let ca = files::read(path)?.map(|kept| kept.text).unwrap_or_default();
        let listener =
            Listener::new(&self.wanted.address, &ca).map_err(verify::VerifyError::from)?;
        Ok(verify::listener(&listener, &self.wanted, &identity).await?)
    }

    /// Restores the undo record as it was before this attempt.
    fn restore_record(&self, store: &RecordStore, tried: &UndoRecord) -> Result<(), SetupError> {
        if let Some(former) = &self.found.record {
            return Ok(store.write(former)?);
        }
        files::remove_empty(&tried.directories);
        Ok(store.clear()?)
    }
}
