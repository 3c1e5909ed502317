//! Reports about containers.

use std::sync::Arc;

use zun_common::bus::Incoming;
use zun_common::id::{ContainerId, HostName};
use zun_common::rpc::report::{ContainerReport, UnknownContainer};
use zun_common::rpc::{Code, Done, Problem};

use super::{own, stored};
use crate::app::App;
use crate::db::container::{self, Applied};
use crate::metrics::ReportOutcome;

/// Applies a report and tells those who wait. The row of a container that is gone goes too, but they hear
/// how it ended first.
pub(super) async fn reported(
    app: Arc<App>,
    report: ContainerReport,
    incoming: Incoming,
) -> Result<Done, Problem> {
    own(&report.host, &incoming)
        .inspect_err(|_refusal| app.metrics.count_report(ReportOutcome::Foreign))?;
    let (id, host) = (report.container, report.host.clone());
    let applied = stored(&app, move |conn| container::apply(conn, &report))
        .await
        .inspect_err(|_failure| app.metrics.count_report(ReportOutcome::Failed))?;
    let (outcome, answer) = concluded(&app, applied, (id, &host));
    app.metrics.count_report(outcome);
    answer
}

type Conclusion = (ReportOutcome, Result<Done, Problem>);

/// Who is told what.
fn concluded(app: &App, applied: Applied, about: (ContainerId, &HostName)) -> Conclusion {
    let (id, host) = about;
    match applied {
        Applied::Newer(record) => {
            log(about, record.status.as_str());
            app.hub.publish(&record);
            (ReportOutcome::Applied, Ok(Done {}))
        }
        Applied::Gone(record) => {
            log(about, "gone");
            app.hub.publish_deleted(&record);
            (ReportOutcome::Gone, Ok(Done {}))
        }
        Applied::Stale => (ReportOutcome::Stale, Ok(Done {})),
        Applied::Missing => {
            log(about, "not in the database");
            let problem =
                Problem::new(Code::NotFound, format!("container {id} is not in the database"));
            (ReportOutcome::Missing, Err(problem))
        }
        Applied::Foreign { host: owner } => {
            warn(about, owner.as_ref());
            let words = format!("container {id} is not on host `{host}`");
            (ReportOutcome::Foreign, Err(Problem::new(Code::Forbidden, words)))
        }
    }
}

fn log((id, host): (ContainerId, &HostName), state: &str) {
    tracing::info!(container.id = %id, host.name = %host, "container {id} is {state}");
}

fn warn((id, host): (ContainerId, &HostName), owner: Option<&HostName>) {
    tracing::warn!(
        container.id = %id, host.name = %host, owner = ?owner,
        "refused a report from host {host} about container {id}, which belongs to another host"
    );
}

/// Notes a container that carries our label and has no row: removed by force while its host was down, or
/// lost with a database.
pub(super) async fn unknown(
    app: Arc<App>,
    call: UnknownContainer,
    incoming: Incoming,
) -> Result<Done, Problem> {
    own(&call.host, &incoming)?;
    app.metrics.unknown_containers.inc();
    let UnknownContainer { container, host, engine } = call;
    tracing::warn!(
        container.id = %container, host.name = %host, engine.id = %engine,
        "host {host} has a stray container {container}: it is not in the database"
    );
    Ok(Done {})
}
