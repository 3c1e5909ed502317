//! The table of containers.

use chrono::Utc;
use zun_common::api::v1::container::Container;
use zun_common::ports::PublishedPort;

use super::super::status_words::{ago_words, status_cell};
use crate::out::{Cell, Column, Table};

/// What the table shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    /// Whether IDs are whole.
    pub(super) whole_ids: bool,
    /// Whether it names the projects.
    pub(super) projects: bool,
}

/// Returns the table of these containers at the present time. It names hosts if they are known.
pub(super) fn table(containers: &[Container], shown: Shown) -> Table {
    let with_host = containers.iter().any(|container| container.host.is_some());
    let mut columns = vec![
        Column::whole("id"),
        Column::firm("name"),
        "image".into(),
        "command".into(),
        Column::firm("status"),
        Column::optional("ports"),
    ];
    if with_host {
        columns.push(Column::optional("host"));
    }
    if shown.projects {
        columns.push("project".into());
    }
    columns.extend(["created", "attached", "labels", "uuid"].map(Column::wide));
    let mut table = Table::new(columns);
    let now = Utc::now().naive_utc();
    for container in containers {
        let id = container.uuid.to_string();
        let mut row: Vec<Cell> = vec![
            if shown.whole_ids { id.clone().into() } else { Cell::id(&id) },
            container.name.clone().into(),
            container.image.clone().into(),
            command(container).into(),
            status_cell(container, now).exact(container.status.to_string()),
            ports(&container.published_ports).into(),
        ];
        if with_host {
            row.push(container.host.as_ref().map(ToString::to_string).into());
        }
        if shown.projects {
            row.push(container.project_id.clone().into());
        }
        let created = Cell::time(|at| ago_words(now - at), container.created_at);
        let labels = container.labels.iter().map(|(key, value)| format!("{key}={value}"));
        row.extend([
            created,
            container.attached.to_string().into(),
            labels.collect::<Vec<_>>().join(",").into(),
            id.into(),
        ]);
        table.row(row);
    }
    table
}

/// Returns the entry point and the command, as far as the request set them.
fn command(container: &Container) -> String {
    let words = [&container.entrypoint, &container.command];
    let words = words.into_iter().flatten().flatten();
    words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Returns a word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty()
        && word.chars().all(|one| one.is_alphanumeric() || "-_./:=@%+,~".contains(one));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Returns the published ports as Docker lists them.
fn ports(published: &[PublishedPort]) -> String {
    let port = |published: &PublishedPort| {
        let PublishedPort { port, protocol, host_address, host_port } = published;
        let on_host = std::net::SocketAddr::new(*host_address, *host_port);
        format!("{on_host}->{port}/{protocol}")
    };
    published.iter().map(port).collect::<Vec<_>>().join(", ")
}
