//! Runs additional commands in a container: either to completion, or as an exec that the client connects to.

use zun_common::api::v1::console::ConsoleEndpoint;
use zun_common::grant::{Grant, Target};
use zun_common::id::ExecId;
use zun_common::recording::RecordPolicy;
use zun_common::rpc::Done;
use zun_common::rpc::exec::{
    CreateExec, ExecConsole, ExecOutput, ExecSpec, LocateExec, ResizeExec, RunExec, SignalExec,
};
use zun_common::rpc::operation::Outcome;
use zun_common::status::Action;
use zun_common::units::TerminalSize;

use super::access::outcome_of_run;
use super::console::{ConsoleTarget, listener_for, recorded_at};
use super::ticket::{NewTicket, address_with};
use super::{Ident, Placed};
use crate::app::live_host::LiveHost;
use crate::app::{App, AppError, Caller};
use crate::db::container::Record;
use crate::db::operation::Kind;

/// An exec request.
#[derive(Debug, Clone)]
pub(crate) struct Exec {
    pub(crate) spec: ExecSpec,
    /// Run the command to completion; otherwise only create the exec.
    pub(crate) run: bool,
    /// The signing request of a client that connects to the exec.
    pub(crate) csr: Option<String>,
    /// The console protocols of that client, the preferred one first.
    pub(crate) protocols: Vec<String>,
}

/// The result of an exec request.
#[derive(Debug)]
pub(crate) enum Execution {
    /// The command was run to completion.
    Ran(ExecOutput),
    /// The exec was created.
    Created {
        exec: ExecId,
        console: Option<Box<ConsoleEndpoint>>,
        /// The address for OpenStack's clients.
        address: Option<String>,
    },
}

impl App {
    /// Runs a command, or creates an exec.
    pub(crate) async fn execute(
        &self,
        caller: &Caller,
        ident: &Ident,
        request: Exec,
    ) -> Result<Execution, AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Execute).await?;
        let Exec { spec, run, csr, protocols } = request;
        if run && record.spec.record == RecordPolicy::Required {
            return Err(AppError::NotRecorded(format!(
                "Commands in container {} must be recorded: run them in a session, as `zun exec` does.",
                record.spec.name
            )));
        }
        if run {
            let call = RunExec { container: record.id, spec };
            let ran = self.call_agent(caller, &host, &call).await;
            if let Some(outcome) = outcome_of_run(&ran) {
                self.record_access(caller, &record, (Kind::Execute, outcome));
            }
            return Ok(Execution::Ran(ran?));
        }
        if csr.is_some() {
            self.require_ca()?;
        }
        let (tty, stdin) = (spec.tty, spec.stdin);
        let created =
            self.call_agent(caller, &host, &CreateExec { container: record.id, spec }).await?;
        self.record_access(caller, &record, (Kind::Execute, Outcome::Succeeded));
        let Some(csr) = csr else {
            let address = if stdin {
                Some(self.address_of(caller, (&record, &host), created.exec.clone()).await?)
            } else {
                None
            };
            return Ok(Execution::Created { exec: created.exec, console: None, address });
        };
        let Some(listener) = created.listener else {
            let why = created
                .console_trouble
                .unwrap_or_else(|| "the console listener is not up".to_owned());
            return Err(AppError::ConsoleUnavailable { host: host.name, why });
        };
        let target = Target::Exec { id: created.exec.clone() };
        let gate_only = recorded_at(&record, &listener, (&host.name, &protocols))?;
        let grant = Grant { host: host.name, target, gate_only };
        let listener = listener_for(listener, &protocols, gate_only);
        let console_target = ConsoleTarget { grant, listener, tty, stdin };
        let console = self.grant(caller, &csr, &console_target)?;
        let console = Some(Box::new(console));
        Ok(Execution::Created { exec: created.exec, console, address: None })
    }

    /// Returns the address for a client of OpenStack Zun that connects to a new exec.
    async fn address_of(
        &self,
        caller: &Caller,
        placed: (&Record, &LiveHost),
        exec: ExecId,
    ) -> Result<String, AppError> {
        let ticket = NewTicket::of_openstack(Some(exec));
        Ok(address_with(&self.issue_ticket(caller, placed, ticket).await?))
    }

    /// Grants access to an existing exec again, for a session that outlives its grant. The exec may have ended;
    /// the client can still read its exit code.
    pub(crate) async fn execute_attach(
        &self,
        caller: &Caller,
        ident: &Ident,
        exec: ExecId,
        (csr, protocols): (&str, &[String]),
    ) -> Result<ConsoleEndpoint, AppError> {
        self.require_ca()?;
        let Placed { record, host } = self.require_placed(caller, ident, Action::Execute).await?;
        let call = LocateExec { container: record.id, exec: exec.clone() };
        let ExecConsole { listener, tty, stdin } = self.call_agent(caller, &host, &call).await?;
        let gate_only = recorded_at(&record, &listener, (&host.name, protocols))?;
        let grant = Grant { host: host.name, target: Target::Exec { id: exec }, gate_only };
        let listener = listener_for(listener, protocols, gate_only);
        self.grant(caller, csr, &ConsoleTarget { grant, listener, tty, stdin })
    }

    /// Sends a signal to the process of an exec.
    pub(crate) async fn execute_kill(
        &self,
        caller: &Caller,
        ident: &Ident,
        exec: ExecId,
        signal: String,
    ) -> Result<(), AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Execute).await?;
        let call = SignalExec { container: record.id, exec, signal };
        let Done {} = self.call_agent(caller, &host, &call).await?;
        Ok(())
    }

    /// Sets the size of an exec's terminal.
    pub(crate) async fn execute_resize(
        &self,
        caller: &Caller,
        ident: &Ident,
        exec: ExecId,
        size: TerminalSize,
    ) -> Result<(), AppError> {
        let Placed { record, host } =
            self.require_ready(caller, ident, Action::ExecuteResize).await?;
        let call = ResizeExec { container: record.id, exec, size };
        let Done {} = self.call_agent(caller, &host, &call).await?;
        Ok(())
    }
}
