//! Questions about a container.

use zun_common::id::ContainerId;
use zun_common::rpc::container::{
    Console, LocateConsole, LogRequest, Logs, ReadLogs, ResizeTerminal, ShowContainer,
};
use zun_common::rpc::report::ContainerReport;
use zun_common::rpc::{Call, Code, Done, Problem};
use zun_common::status::Action;

use super::before;
use crate::driver::{DriverError, Seen};
use crate::host::Host;
use crate::worker::conflict;

/// The engine is looked at, and the answer is the newest report.
pub(super) async fn show(host: &Host, call: ShowContainer) -> Result<ContainerReport, Problem> {
    let ShowContainer { container } = call;
    match host.look(container).await {
        Ok(_seen) => {}
        Err(error) => return Err(error.problem()),
    }
    host.reports.newest(container).ok_or_else(|| absent(container))
}

pub(super) async fn logs(host: &Host, call: ReadLogs) -> Result<Logs, Problem> {
    let ReadLogs { container, request } = call;
    if !request.stdout && !request.stderr {
        let words = "one of stdout and stderr must be asked for";
        return Err(Problem::new(Code::BadRequest, words));
    }
    read(host, container, &request).await
}

async fn read(host: &Host, container: ContainerId, request: &LogRequest) -> Result<Logs, Problem> {
    before(ReadLogs::DEADLINE, "read the logs", host.driver.logs(container, request)).await
}

/// A console can be opened on a container that runs, or before it starts, so that no output is lost. One
/// that is opened on a container that has ended waits for its next start: only who asks for that may.
pub(super) async fn locate(host: &Host, call: LocateConsole) -> Result<Console, Problem> {
    let LocateConsole { container, mode: _, before_start } = call;
    let action = if before_start { Action::Start } else { Action::Attach };
    let seen = allowed(host, container, action).await?;
    let listener = host.console.required()?;
    Ok(Console { engine: seen.engine, listener, tty: seen.tty, stdin: seen.stdin })
}

pub(super) async fn resize(host: &Host, call: ResizeTerminal) -> Result<Done, Problem> {
    let ResizeTerminal { container, size } = call;
    let seen = allowed(host, container, Action::Resize).await?;
    if !seen.tty {
        let words = format!("Cannot resize container {container}: it has no terminal");
        return Err(Problem::new(Code::Conflict, words));
    }
    let resizing = host.driver.resize(container, size);
    before(ResizeTerminal::DEADLINE, "resize the terminal", resizing).await?;
    Ok(Done {})
}

/// Looks at it, and refuses what its state does not allow.
pub(super) async fn allowed(
    host: &Host,
    container: ContainerId,
    action: Action,
) -> Result<Seen, Problem> {
    let seen = host.peek(container).await.map_err(|error| error.problem())?;
    if seen.status.allows(action) {
        Ok(seen)
    } else {
        Err(conflict(container, action.as_str(), seen.status))
    }
}

fn absent(container: ContainerId) -> Problem {
    DriverError::NoContainer(container).problem()
}
