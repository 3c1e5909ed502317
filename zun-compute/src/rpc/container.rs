//! Answers calls about a container that are not operations.

use zun_common::gate_control::GateTarget;
use zun_common::id::ContainerId;
use zun_common::rpc::container::{
    Console, LocateConsole, LocateData, LogRequest, Logs, ReadLogs, ReadStats, ResizeTerminal,
    ShowContainer, Stats, Top, TopContainer,
};
use zun_common::rpc::report::ContainerReport;
use zun_common::rpc::{Call, Code, Done, Problem};
use zun_common::status::Action;

use super::{Deadline, console};
use crate::driver::{ContainerInfo, DriverError};
use crate::host::Host;
use crate::worker::conflict;

/// Inspects the container, and answers with the newest report.
pub(super) async fn show(host: &Host, call: ShowContainer) -> Result<ContainerReport, Problem> {
    let ShowContainer { container } = call;
    match host.inspect_and_report(container).await {
        Ok(_seen) => {}
        Err(error) => return Err(error.problem()),
    }
    host.reports.newest(container).ok_or_else(|| absent(container))
}

pub(super) async fn logs(host: &Host, call: ReadLogs) -> Result<Logs, Problem> {
    let ReadLogs { container, request } = call;
    if !request.stdout && !request.stderr {
        let words = "the request for logs must select stdout, stderr or both";
        return Err(Problem::new(Code::BadRequest, words));
    }
    read(host, container, &request).await
}

async fn read(host: &Host, container: ContainerId, request: &LogRequest) -> Result<Logs, Problem> {
    Deadline::of::<ReadLogs>()
        .run(host, "read the logs", host.driver.logs(container, request))
        .await
}

/// Returns where to dial a container's console. A client can attach to a running container, and also to a created one,
/// so that it loses no output. A console of a container that has exited waits for the next start, so the caller must
/// request it with `before_start`.
pub(super) async fn locate(host: &Host, call: LocateConsole) -> Result<Console, Problem> {
    let LocateConsole { container, mode: _, before_start } = call;
    let action = if before_start { Action::Start } else { Action::Attach };
    let limit = LocateConsole::DEADLINE.mul_f32(0.9);
    // The inspection is reported, so that the run's number includes it.
    let seen = host.inspect_and_report_within(limit, container).await;
    let seen = seen.map_err(|error| error.problem())?;
    let seen = seen.ok_or_else(|| absent(container))?;
    let ContainerInfo { status, engine, tty, stdin, .. } = seen;
    if !status.allows(action) {
        return Err(conflict(container, action.as_str(), status));
    }
    let listener = host.console.required()?;
    let (run, running) = host.reports.current_run(container).ok_or_else(|| {
        let words = format!("host `{}` has not yet asked zun-api about its containers", host.name);
        Problem::new(Code::Busy, words)
    })?;
    Ok(Console { engine, listener, tty, stdin, run: Some(run), running })
}

/// Locates the endpoint for a container's logs or files.
pub(super) async fn locate_data(host: &Host, call: LocateData) -> Result<Console, Problem> {
    let LocateData { container, action } = call;
    if !matches!(action, Action::Logs | Action::GetArchive | Action::PutArchive) {
        let words = format!("action `{action}` transfers no data");
        return Err(Problem::new(Code::BadRequest, words));
    }
    let seen = allowed(host, (container, action), &Deadline::of::<LocateData>()).await?;
    let listener = host.console.required()?;
    let ContainerInfo { engine, tty, .. } = seen;
    Ok(Console { engine, listener, tty, stdin: false, run: None, running: false })
}

pub(super) async fn top(host: &Host, call: TopContainer) -> Result<Top, Problem> {
    let TopContainer { container, ps_args } = call;
    let deadline = Deadline::of::<TopContainer>();
    allowed(host, (container, Action::Top), &deadline).await?;
    let listing = host.driver.top(container, ps_args.as_deref());
    deadline.run(host, "list the processes", listing).await
}

pub(super) async fn stats(host: &Host, call: ReadStats) -> Result<Stats, Problem> {
    let ReadStats { container } = call;
    let deadline = Deadline::of::<ReadStats>();
    allowed(host, (container, Action::Stats), &deadline).await?;
    deadline.run(host, "measure the container", host.driver.stats(container)).await
}

pub(super) async fn resize(host: &Host, call: ResizeTerminal) -> Result<Done, Problem> {
    let ResizeTerminal { container, size } = call;
    let deadline = Deadline::of::<ResizeTerminal>();
    let seen = allowed(host, (container, Action::Resize), &deadline).await?;
    if !seen.tty {
        let words = format!("Cannot resize container {container}: it has no terminal");
        return Err(Problem::new(Code::Conflict, words));
    }
    if console::resize(host, GateTarget::Container(seen.engine), size).await {
        return Ok(Done {});
    }
    let resizing = host.driver.resize(container, size);
    deadline.run(host, "resize the terminal", resizing).await?;
    Ok(Done {})
}

/// Inspects the container, and refuses an action that its state does not allow.
pub(super) async fn allowed(
    host: &Host,
    (container, action): (ContainerId, Action),
    deadline: &Deadline,
) -> Result<ContainerInfo, Problem> {
    let inspecting = host.driver.inspect(container);
    let seen = deadline.run(host, "inspect the container", inspecting).await?;
    if seen.status.allows(action) {
        Ok(seen)
    } else {
        Err(conflict(container, action.as_str(), seen.status))
    }
}

fn absent(container: ContainerId) -> Problem {
    DriverError::NoContainer(container).problem()
}
