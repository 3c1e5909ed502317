//! `zun registry`: the logins of the project to image registries.

mod login;
mod password;

use clap::{Args, Subcommand};
use zun_common::api::v1::registry::{Registry as Shown, RegistryFields};

pub(super) use login::{Login, Logout};

use super::for_each::for_each;
use super::select::{ListSelect, Select};
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Cell, Column, Table};
use password::PasswordFlags;

/// Manage the project's logins to image registries
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun registry list
  zun registry create --name team --username ann --password-prompt quay.io
  zun run --registry team quay.io/team/app

If the project has one login for each registry, zun login and zun logout are
shorter."
)]
pub(super) struct Registry {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(Create),
    #[command(visible_alias = "ls")]
    List(List),
    Show(Show),
    Update(Update),
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// Store a login
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun registry create --name team -u ann --password-stdin quay.io <token.txt")]
struct Create {
    /// Domain of the registry, with its port if it is not 443
    domain: String,
    /// Name of the login, unique in the project
    #[arg(long, short = 'n', value_name = "NAME")]
    name: Option<String>,
    /// User
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    #[command(flatten)]
    password: PasswordFlags,
}

/// List the logins
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun registry list --domain quay.io")]
struct List {
    /// List only the logins to this registry
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// List the logins of all projects (administrators only)
    #[arg(long)]
    all_projects: bool,
    #[command(flatten)]
    select: ListSelect,
}

/// Show a login, without its password
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun registry show team")]
struct Show {
    /// Name or UUID of the login
    registry: String,
    #[command(flatten)]
    select: Select,
}

/// Change a login; a new domain or user needs the password too
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun registry update --password-prompt team")]
struct Update {
    /// Name or UUID of the login
    registry: String,
    /// New name
    #[arg(long, short = 'n', value_name = "NAME")]
    name: Option<String>,
    /// New domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// New user
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    #[command(flatten)]
    password: PasswordFlags,
}

/// Delete logins
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun registry delete team")]
struct Delete {
    /// Names or UUIDs of the logins
    #[arg(required = true, value_name = "REGISTRY")]
    registries: Vec<String>,
}

impl Registry {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.verb {
            Verb::Create(Create { domain, name, username, password }) => {
                let password = password.read()?;
                let fields = RegistryFields { name, domain: Some(domain), username, password };
                let registry = context.api.create_registry(fields).await?;
                context.printer.show(&registry, || Table::of_fields(&registry))?;
            }
            Verb::List(List { domain, all_projects, select }) => {
                let mut filters: Vec<_> =
                    domain.map(|domain| ("domain", domain)).into_iter().collect();
                filters.extend(all_projects.then(|| ("all_projects", "true".to_owned())));
                let registries = context.api.registries(&filters).await?;
                select.printer(context).show(&registries, || table(&registries))?;
            }
            Verb::Show(Show { registry, select }) => {
                let registry = context.api.registry(&registry).await?;
                select.printer(context).show(&registry, || Table::of_fields(&registry))?;
            }
            Verb::Update(Update { registry, name, domain, username, password }) => {
                let password = password.read()?;
                let fields = RegistryFields { name, domain, username, password };
                let registry = context.api.update_registry(&registry, fields).await?;
                context.printer.show(&registry, || Table::of_fields(&registry))?;
            }
            Verb::Delete(Delete { registries }) => {
                return for_each(context, &registries, async |registry| {
                    Ok(context.api.delete_registry(&registry).await?)
                })
                .await;
            }
        }
        Ok(Exit::OK)
    }
}

fn table(registries: &[Shown]) -> Table {
    let mut table = Table::new(vec![
        Column::whole("id"),
        Column::firm("name"),
        Column::firm("domain"),
        "username".into(),
        Column::wide("uuid"),
    ]);
    for registry in registries {
        table.row(vec![
            Cell::id(&registry.uuid),
            registry.name.clone().into(),
            registry.domain.clone().into(),
            registry.username.clone().into(),
            registry.uuid.to_string().into(),
        ]);
    }
    table
}
