//! `zun why`: what happened to a container, on one screen.

use std::time::Duration;

use chrono::Utc;
use clap::Args;
use serde_json::json;
use tokio::time::timeout;
use zun_common::api::v1::action::ContainerAction;
use zun_common::api::v1::container::{Container, PullPolicy, PulledLayer};
use zun_common::api::v1::run::Run;
use zun_common::image_name::ImageName;
use zun_common::status::{Action, EndReason, Health, Status};

use super::logs::last_lines;
use super::record::record;
use super::show::summary;
use super::status_words::status_cell;
use crate::cmd::{Context, Failure, action};
use crate::exit::Exit;
use crate::out::{Table, clean};

/// Show how a container ended, its last output, and what to do next
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun why test
  zun why test --format json")]
pub(in crate::cmd) struct Why {
    /// Name or UUID of the container
    container: String,
}

/// How many operations and lines of output are shown.
const ACTIONS: usize = 5;
const LINES: u32 = 20;

/// How long the host may take to send the output.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is known about a container.
struct Known {
    container: Container,
    runs: Vec<Run>,
    actions: Vec<ContainerAction>,
    /// The last lines of its output, or why they cannot be shown.
    output: Result<String, String>,
}

impl Why {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (api, name) = (&context.api, self.container.as_str());
        let (container, runs, actions, output) =
            tokio::join!(api.show(name), api.runs(name), api.actions(name), output(context, name));
        let container = container?;
        let output = if container.status.allows(Action::Logs) {
            output
        } else {
            Err(format!("not available in status {}", container.status))
        };
        let known = Known {
            container,
            runs: runs.unwrap_or_default(),
            actions: actions.unwrap_or_default(),
            output,
        };
        let value = json!({
            "container": record(&known.container),
            "runs": known.runs,
            "actions": known.actions,
            "output": known.output.as_ref().ok(),
            "next": next(&known),
        });
        if context.printer.format().is_text() {
            context.printer.line(&screen(&known, |table| context.printer.table(table)))?;
        } else {
            context.printer.show(&value, Table::default)?;
        }
        Ok(Exit::OK)
    }
}

async fn output(context: &Context, name: &str) -> Result<String, String> {
    match timeout(OUTPUT_TIMEOUT, last_lines(context, name, LINES)).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(failure)) => Err(failure.message.unwrap_or_default()),
        Err(_elapsed) => Err("its host does not answer".to_owned()),
    }
}

fn screen(known: &Known, render: impl Fn(&Table) -> String) -> String {
    let Known { container, runs, actions, output } = known;
    let mut facts = Table::properties();
    let whole = format!("{} ({})", container.name, container.uuid);
    facts.row(vec!["container".into(), whole.into()]);
    facts.row(vec!["status".into(), status_cell(container, Utc::now().naive_utc())]);
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.row(vec![name.into(), value.into()]);
        }
    };
    // The status of a container in Error is the reason.
    if container.status != Status::Error {
        fact("reason", container.status_reason.clone());
    }
    if container.status == Status::Error {
        fact("detail", container.status_detail.clone());
    }
    fact("last run", runs.first().map(summary));
    fact("image", Some(container.image.clone()));
    fact("pull", pull_words(container));
    fact("limits", Some(format!("cpu {}, memory {} MiB", container.cpu, container.memory)));
    fact("host", container.host.as_ref().map(ToString::to_string));
    // Connections and commands, of which there can be many, changed nothing.
    let changes = actions.iter().filter(|one| !matches!(&*one.action, "attach" | "execute"));
    let recent: Vec<ContainerAction> = changes.take(ACTIONS).cloned().collect();
    let mut parts = vec![render(&facts)];
    if !recent.is_empty() {
        parts.push(format!("Operations:\n{}", render(&action::list_table(&recent))));
    }
    if let Some(output) = &container.health_output {
        parts.push(format!("Last health check (failed):\n{}", indented(output)));
    }
    parts.push(match output {
        Ok(output) if output.trim().is_empty() => "Output: none".to_owned(),
        Ok(output) => format!("Output:\n{}", indented(output)),
        // It has never run, and its host does not have it.
        Err(_) if runs.is_empty() && container.status == Status::Error => "Output: none".to_owned(),
        Err(why) => format!("Output: {}", clean(why)),
    });
    parts.push(format!("Next:\n  {}", next(known).join("\n  ")));
    parts.join("\n\n")
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {}", clean(line).trim_end()));
    lines.collect::<Vec<_>>().join("\n")
}

/// What is known of the pull of the image.
fn pull_words(container: &Container) -> Option<String> {
    if let Some(pull) = &container.image_pull {
        let complete = |layer: &&PulledLayer| layer.total > 0 && layer.current >= layer.total;
        let done = pull.layers.iter().filter(complete).count();
        return Some(format!("{done} of {} layers", pull.layers.len()));
    }
    if is_pull_failure(container) {
        return Some("failed".to_owned());
    }
    let words = container.image_pull_policy.map(|policy| match policy {
        PullPolicy::Always => "always",
        PullPolicy::IfNotPresent => "if the host does not have the image",
        PullPolicy::Never => "never",
    });
    words.map(str::to_owned)
}

/// Whether the image could not be pulled.
fn is_pull_failure(container: &Container) -> bool {
    let reason = container.status_reason.as_deref().unwrap_or_default();
    container.status == Status::Error && reason.contains("cannot pull")
}

/// Returns the commands that help next.
fn next(known: &Known) -> Vec<String> {
    let Known { container, runs, .. } = known;
    let name = &container.name;
    let show = format!("zun show {name}");
    match (container.status, runs.first().and_then(|run| run.reason)) {
        (Status::Running, _) if container.health == Some(Health::Unhealthy) => {
            vec![format!("zun logs -f {name}"), format!("zun exec -i {name} sh")]
        }
        (Status::Running, _) => vec![format!("zun attach {name}"), format!("zun logs -f {name}")],
        (Status::Paused, _) => vec![format!("zun unpause {name}")],
        (Status::Stopped, Some(EndReason::OutOfMemory)) => {
            vec![format!("zun update --memory SIZE {name}"), format!("zun start {name}")]
        }
        (Status::Stopped | Status::Created, _) => vec![format!("zun start -a {name}")],
        (Status::Error, _) if is_pull_failure(container) => {
            let login = container.image.parse::<ImageName>().map(|image| image.domain().to_owned());
            let login =
                login.map(|domain| format!("zun login {domain}   (if the image is private)"));
            [format!("zun delete {name}")].into_iter().chain(login).chain([show]).collect()
        }
        (Status::Error | Status::Dead, _) => vec![format!("zun delete {name}"), show],
        (Status::Restarting, _) => vec![format!("zun stop {name}"), format!("zun logs {name}")],
        (
            Status::Creating
            | Status::Rebuilding
            | Status::Deleting
            | Status::Deleted
            | Status::Unknown,
            _,
        ) => vec![show],
    }
}
