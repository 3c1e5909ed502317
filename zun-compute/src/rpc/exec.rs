//! Commands beside a container's own.

use zun_common::rpc::exec::{CreateExec, CreatedExec, ExecOutput, ExecSpec, ResizeExec, RunExec};
use zun_common::rpc::{Call, Code, Done, Problem};
use zun_common::status::Action;

use super::before;
use super::container::allowed;
use crate::driver::DriverError;
use crate::host::Host;

/// Made but not run: a client dials it.
pub(super) async fn create(host: &Host, call: CreateExec) -> Result<CreatedExec, Problem> {
    let CreateExec { container, spec } = call;
    has_words(&spec)?;
    allowed(host, container, Action::Execute).await?;
    let making = host.driver.exec_create(container, &spec);
    let exec = before(CreateExec::DEADLINE, "make the exec", making).await?;
    let (listener, console_trouble) = (host.console.listener(), host.console.trouble());
    Ok(CreatedExec { exec, listener, console_trouble })
}

pub(super) async fn run(host: &Host, call: RunExec) -> Result<ExecOutput, Problem> {
    let RunExec { container, spec } = call;
    has_words(&spec)?;
    if spec.tty || spec.stdin {
        let words = "a command that is run to its end has neither terminal nor stdin";
        return Err(Problem::new(Code::BadRequest, words));
    }
    allowed(host, container, Action::Execute).await?;
    before(RunExec::DEADLINE, "run the command", host.driver.exec_run(container, &spec)).await
}

/// Only an exec of this container: another's is not found.
pub(super) async fn resize(host: &Host, call: ResizeExec) -> Result<Done, Problem> {
    let ResizeExec { container, exec, size } = call;
    let of_exec =
        before(ResizeExec::DEADLINE, "look at the exec", host.driver.exec_inspect(&exec)).await?;
    let seen = allowed(host, container, Action::ExecuteResize).await?;
    if seen.engine != of_exec.engine {
        return Err(DriverError::NoExec(exec).problem());
    }
    before(ResizeExec::DEADLINE, "resize the exec", host.driver.exec_resize(&exec, size)).await?;
    Ok(Done {})
}

fn has_words(spec: &ExecSpec) -> Result<(), Problem> {
    if spec.command.is_empty() {
        return Err(Problem::new(Code::BadRequest, "the command must have at least one word"));
    }
    Ok(())
}
