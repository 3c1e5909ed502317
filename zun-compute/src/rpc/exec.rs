//! Answers calls about execs.

use std::time::Duration;

use tokio::time::Instant;
use zun_common::gate_control::GateTarget;
use zun_common::id::ExecId;
use zun_common::rpc::exec::{
    CreateExec, CreatedExec, ExecConsole, ExecOutput, ExecSpec, LocateExec, ResizeExec, RunExec,
    SignalExec,
};
use zun_common::rpc::{Code, Done, Problem};
use zun_common::status::Action;

use super::container::allowed;
use super::{Deadline, console};
use crate::driver::{ContainerInfo, DriverError, ExecInfo};
use crate::host::Host;

/// Creates an exec without starting it: the client starts it when it dials.
pub(super) async fn create(host: &Host, call: CreateExec) -> Result<CreatedExec, Problem> {
    let CreateExec { container, spec } = call;
    check_command(&spec)?;
    let deadline = Deadline::of::<CreateExec>();
    allowed(host, (container, Action::Execute), &deadline).await?;
    let making = host.driver.exec_create(container, &spec);
    let exec = deadline.run(host, "create the exec", making).await?;
    let (listener, console_trouble) = (host.console.listener(), host.console.unavailable_reason());
    Ok(CreatedExec { exec, listener, console_trouble })
}

pub(super) async fn run(host: &Host, call: RunExec) -> Result<ExecOutput, Problem> {
    let RunExec { container, spec } = call;
    check_command(&spec)?;
    if spec.tty || spec.stdin {
        let words = "a non-interactive exec cannot have a terminal or stdin";
        return Err(Problem::new(Code::BadRequest, words));
    }
    let deadline = Deadline::of::<RunExec>();
    allowed(host, (container, Action::Execute), &deadline).await?;
    let limit = deadline.latest.saturating_duration_since(Instant::now());
    match tokio::time::timeout(limit, host.driver.exec_run(container, &spec)).await {
        Ok(ran) => ran.map_err(|error| error.problem()),
        Err(_elapsed) => Err(unfinished(limit)),
    }
}

fn unfinished(limit: Duration) -> Problem {
    let words = format!(
        "the command has not ended within {} s, and keeps running in the container; `zun exec` has no such limit",
        limit.as_secs()
    );
    Problem::new(Code::Unfinished, words)
}

pub(super) async fn resize(host: &Host, call: ResizeExec) -> Result<Done, Problem> {
    let ResizeExec { container, exec, size } = call;
    let deadline = Deadline::of::<ResizeExec>();
    let seen = allowed(host, (container, Action::ExecuteResize), &deadline).await?;
    exec_of(host, (&seen, &exec), &deadline).await?;
    if console::resize(host, GateTarget::Exec(exec.clone()), size).await {
        return Ok(Done {});
    }
    deadline.run(host, "resize the exec", host.driver.exec_resize(&exec, size)).await?;
    Ok(Done {})
}

/// Returns where to dial an exec. The exec may have exited, and the container may be in any state, because the client
/// still reads the exit code.
pub(super) async fn locate(host: &Host, call: LocateExec) -> Result<ExecConsole, Problem> {
    let LocateExec { container, exec } = call;
    let deadline = Deadline::of::<LocateExec>();
    let inspecting = host.driver.inspect(container);
    let seen = deadline.run(host, "inspect the container", inspecting).await?;
    let ExecInfo { tty, stdin, .. } = exec_of(host, (&seen, &exec), &deadline).await?;
    Ok(ExecConsole { listener: host.console.required()?, tty, stdin })
}

pub(super) async fn signal(host: &Host, call: SignalExec) -> Result<Done, Problem> {
    let SignalExec { container, exec, signal } = call;
    let deadline = Deadline::of::<SignalExec>();
    let seen = allowed(host, (container, Action::Execute), &deadline).await?;
    exec_of(host, (&seen, &exec), &deadline).await?;
    let sending = host.driver.exec_signal(&exec, &signal);
    deadline.run(host, "send the exec a signal", sending).await?;
    Ok(Done {})
}

/// Returns the exec, if it belongs to this container. An exec of another container is not found.
pub(super) async fn exec_of(
    host: &Host,
    (container, exec): (&ContainerInfo, &ExecId),
    deadline: &Deadline,
) -> Result<ExecInfo, Problem> {
    let inspecting = host.driver.exec_inspect(exec);
    let seen = deadline.run(host, "inspect the exec", inspecting).await?;
    if seen.engine == container.engine {
        Ok(seen)
    } else {
        Err(DriverError::NoExec(exec.clone()).problem())
    }
}

fn check_command(spec: &ExecSpec) -> Result<(), Problem> {
    if spec.command.is_empty() {
        return Err(Problem::new(Code::BadRequest, "the command must not be empty"));
    }
    Ok(())
}
