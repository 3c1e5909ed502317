//! `zun volume` and `zun network`: what containers of the project share on a host.

mod network;
mod volume;

use chrono::Utc;
use clap::Args;
use zun_common::api::v1::resource::{CreateResource, Resource};
use zun_common::resource::ResourceKind;

pub(super) use network::Network;
pub(super) use volume::Volume;

use super::container::status_words::ago_words;
use super::for_each::for_each;
use super::select::{ListSelect, Select};
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Cell, Column, Table};

/// What to list.
#[derive(Debug, Args)]
struct ListFlags {
    /// List those of all projects (administrators only)
    #[arg(long)]
    all_projects: bool,
    /// Print only names
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    select: ListSelect,
}

async fn create(
    context: &Context,
    kind: ResourceKind,
    (ask, quiet): (&CreateResource, bool),
) -> Result<Exit, Failure> {
    let created = context.api.create_resource(kind, ask).await?;
    if quiet || context.printer.is_for_scripts() {
        context.printer.keys(&[created.name])?;
    } else {
        context.printer.show(&created, || Table::of_fields(&created))?;
    }
    Ok(Exit::OK)
}

async fn list(context: &Context, kind: ResourceKind, flags: ListFlags) -> Result<Exit, Failure> {
    let ListFlags { all_projects, quiet, select } = flags;
    let filters: Vec<_> =
        all_projects.then(|| ("all_projects", "true".to_owned())).into_iter().collect();
    let resources = context.api.resources(kind, &filters).await?;
    let printer = select.printer(context);
    if quiet {
        let names: Vec<&str> = resources.iter().map(|one| one.name.as_str()).collect();
        printer.keys(&names)?;
    } else {
        printer.show(&resources, || table(&resources, kind))?;
    }
    Ok(Exit::OK)
}

async fn show(
    context: &Context,
    kind: ResourceKind,
    (name, select): (&str, &Select),
) -> Result<Exit, Failure> {
    let resource = context.api.resource(kind, name).await?;
    select.printer(context).show(&resource, || Table::of_fields(&resource))?;
    Ok(Exit::OK)
}

async fn delete(
    context: &Context,
    kind: ResourceKind,
    (names, force): (&[String], bool),
) -> Result<Exit, Failure> {
    for_each(context, names, async |name| {
        let deleted = context.api.delete_resource(kind, &name).await;
        deleted.map_err(|error| Failure::unless_missing(error, force))
    })
    .await
}

fn table(resources: &[Resource], kind: ResourceKind) -> Table {
    let mut columns = vec![Column::firm("name"), "containers".into(), "host".into()];
    if kind == ResourceKind::Network {
        columns.extend(["subnet".into(), Column::wide("internal")]);
    }
    columns.extend(["created", "uuid"].map(Column::wide));
    let now = Utc::now().naive_utc();
    let mut table = Table::new(columns);
    for resource in resources {
        let mut cells = vec![
            resource.name.clone().into(),
            resource.containers.len().to_string().into(),
            resource.host.as_ref().map(ToString::to_string).into(),
        ];
        if kind == ResourceKind::Network {
            cells.push(resource.subnet.clone().into());
            cells.push(resource.internal.map(|internal| internal.to_string()).into());
        }
        cells.push(Cell::time(|at| ago_words(now - at), resource.created_at));
        cells.push(resource.uuid.to_string().into());
        table.row(cells);
    }
    table
}
