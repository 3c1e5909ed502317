//! `zun sessions`

use clap::Args;
use zun_common::api::v1::session::Session;
use zun_common::id::HostName;

use super::select::ListSelect;
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Column, Table};

/// List open sessions of containers and of zun exec
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun sessions
  zun sessions -o wide             Also hosts, exec IDs and bytes
  zun attach --session 12-Kq3      Reattach to a session

Lists the project's sessions on hosts that run zun-console. A client that lost
its connection is `disconnected`; its session then ends after 15 minutes by
default. A command of `zun exec` that runs without clients has `nobody`. Times
are in UTC.")]
pub(super) struct Sessions {
    #[command(flatten)]
    select: ListSelect,
}

impl Sessions {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let list = context.api.sessions().await?;
        warn_of_unresponsive(&list.unresponsive_hosts);
        self.select.printer(context).show(&list.sessions, || table(&list.sessions))?;
        Ok(Exit::OK)
    }
}

/// Names the hosts that have not answered.
pub(super) fn warn_of_unresponsive(hosts: &[HostName]) {
    if !hosts.is_empty() {
        let names: Vec<_> = hosts.iter().map(HostName::as_str).collect();
        let names = names.join(", ");
        out::notice(&format!("the list may be incomplete: no answer from the hosts {names}"));
    }
}

fn table(sessions: &[Session]) -> Table {
    let mut table = Table::new(vec![
        Column::whole("id"),
        Column::firm("container"),
        Column::whole("kind"),
        Column::whole("mode"),
        Column::whole("client"),
        Column::firm("since"),
        Column::wide("grant"),
        Column::wide("exec_id"),
        Column::wide("host"),
        Column::wide("tty"),
        Column::wide("stdin_bytes"),
        Column::wide("stdout_bytes"),
        Column::wide("stderr_bytes"),
    ]);
    for session in sessions {
        let kind = if session.exec_id.is_some() { "exec" } else { "container" };
        let client = match (session.connected, session.grant.is_empty()) {
            (true, _) => "connected",
            (false, false) => "disconnected",
            (false, true) => "nobody",
        };
        let mode = if session.grant.is_empty() { "-" } else { &session.mode };
        table.row(vec![
            session.id.clone().into(),
            session.container_name.clone().into(),
            kind.to_owned().into(),
            mode.to_owned().into(),
            client.to_owned().into(),
            session.since.format("%F %T").to_string().into(),
            session.grant.clone().into(),
            session.exec_id.clone().into(),
            session.host.to_string().into(),
            session.tty.to_string().into(),
            session.stdin_bytes.to_string().into(),
            session.stdout_bytes.to_string().into(),
            session.stderr_bytes.to_string().into(),
        ]);
    }
    table
}
