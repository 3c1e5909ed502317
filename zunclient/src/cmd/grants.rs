//! `zun grants`: what opens sessions at console gates.

use clap::{Args, Subcommand};
use zun_common::api::v1::session::ActiveGrant;

use super::select::ListSelect;
use super::sessions::warn_of_unresponsive;
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Column, Table};

/// List and revoke grants, which give clients access to sessions
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun grants list
  zun grants revoke ticket-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11"
)]
pub(super) struct Grants {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(visible_alias = "ls")]
    List(List),
    #[command(visible_alias = "rm")]
    Revoke(Revoke),
}

/// List grants and links that have open sessions, and links that can still open one
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun grants list --format json

Each session that the zun command opens has its own grant. A link of `zun share`
is a ticket, which can open several sessions. Sessions on hosts that do not run
zun-console are not listed.")]
struct List {
    #[command(flatten)]
    select: ListSelect,
}

/// Revoke grants or links, and end their sessions within a second
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun grants revoke ticket-5c2d8a4e-0f3b-4d53-9c0e-2f6f8f0f7a11

The container or command keeps running. Sessions that zun opened directly at
Docker, without a console gate, do not end.")]
struct Revoke {
    /// IDs, as in the list (a prefix is enough)
    #[arg(required = true, value_name = "ID")]
    grants: Vec<String>,
}

impl Grants {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.verb {
            Verb::List(List { select }) => {
                let list = context.api.grants().await?;
                warn_of_unresponsive(&list.unresponsive_hosts);
                select.printer(context).show(&list.grants, || table(&list.grants))?;
            }
            Verb::Revoke(Revoke { grants }) => {
                for beginning in &grants {
                    let grant = find(context, beginning).await?;
                    context.api.revoke(&grant).await?;
                    context.printer.line(&grant)?;
                }
            }
        }
        Ok(Exit::OK)
    }
}

/// Finds a grant by its ID or the beginning of it. What the list does not have may be known to the service.
async fn find(context: &Context, id: &str) -> Result<String, Failure> {
    let mut found: Vec<String> =
        context.api.grants().await?.grants.into_iter().map(|grant| grant.id).collect();
    found.retain(|grant| grant.starts_with(id));
    match found.as_slice() {
        _ if found.iter().any(|grant| grant == id) => Ok(id.to_owned()),
        [] => Ok(id.to_owned()),
        [grant] => Ok(grant.clone()),
        several => Err(Failure::new(format!(
            "several grants have IDs that begin with `{id}`: {}; use more characters",
            several.join(", ")
        ))),
    }
}

fn table(grants: &[ActiveGrant]) -> Table {
    let mut table = Table::new(vec![
        Column::whole("id"),
        Column::firm("container"),
        Column::whole("mode"),
        Column::whole("sessions"),
        Column::whole("uses"),
        Column::firm("expires_at"),
        Column::wide("files"),
        Column::wide("exec_id"),
        Column::wide("recording_id"),
        Column::wide("host"),
    ]);
    for grant in grants {
        table.row(vec![
            grant.id.clone().into(),
            grant.container_name.clone().into(),
            grant.mode.clone().into(),
            grant.sessions.to_string().into(),
            grant.uses.map(|uses| uses.to_string()).into(),
            grant.expires_at.map(|time| time.format("%F %T").to_string()).into(),
            (if grant.files { "yes" } else { "no" }).to_owned().into(),
            grant.exec_id.clone().into(),
            grant.recording_id.map(|recording| recording.to_string()).into(),
            grant.host.to_string().into(),
        ]);
    }
    table
}
