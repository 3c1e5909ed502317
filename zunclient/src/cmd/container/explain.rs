//! `zun run --explain`: where a container would be created, and why.

use zun_common::api::v1::container::{CreateContainer, PullPolicy};
use zun_common::api::v1::placement::{Candidate, Placement, PlannedImage, PlannedLimits};

use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{Column, GIB, MIB, Table, Unit, with_units};

/// The fields whose names in results carry units.
const UNITS: [Unit; 2] =
    [("limits.memory", "memory_bytes", MIB), ("limits.disk", "disk_bytes", GIB)];

/// Prints where the container would be created. Fails if no host fits.
pub(super) async fn explain(context: &Context, ask: &CreateContainer) -> Result<Exit, Failure> {
    let placement = context.api.explain(ask).await?;
    if context.printer.format().is_text() {
        context.printer.line(&screen(&placement, |table| context.printer.table(table)))?;
    } else {
        context.printer.show(&with_units(&placement, &UNITS), Table::default)?;
    }
    if placement.fits {
        return Ok(Exit::OK);
    }
    Err(Failure::with_exit("no host fits", Exit::ZUN_FAILED))
}

fn screen(placement: &Placement, render: impl Fn(&Table) -> String) -> String {
    let mut facts = Table::properties();
    for (name, value) in [
        ("host", host(placement)),
        ("image", image(&placement.image)),
        ("pull", pull(&placement.image)),
        ("limits", limits(&placement.limits)),
        ("hosts", hosts(placement)),
    ] {
        facts.row(vec![name.into(), value.into()]);
    }
    let mut parts = vec![render(&facts)];
    if let Some(candidates) = placement.candidates.as_ref().filter(|hosts| !hosts.is_empty()) {
        let mut table = Table::new(vec![Column::firm("host"), "result".into()]);
        for candidate in candidates {
            let result = result(candidate, placement.host.as_deref());
            table.row(vec![candidate.host.clone().into(), result.into()]);
        }
        parts.push(render(&table));
    }
    parts.push("Nothing was created.".to_owned());
    parts.join("\n\n")
}

fn host(placement: &Placement) -> String {
    let which = if placement.strategy == "pack" { "most" } else { "least" };
    let why = match placement.fitting {
        1 => "the only one that fits".to_owned(),
        fitting if prefers_image(placement) => {
            format!("preferred because it has the image ({fitting} fit)")
        }
        fitting => format!("the {which} loaded of {fitting} that fit"),
    };
    match &placement.host {
        Some(host) => format!("{host}, {why}"),
        None if placement.fits => why,
        None => "none fits".to_owned(),
    }
}

/// Whether another host would be chosen if the chosen one did not have the image.
fn prefers_image(placement: &Placement) -> bool {
    let candidates = placement.candidates.as_deref().unwrap_or_default();
    let is_chosen = |candidate: &&Candidate| placement.host.as_ref() == Some(&candidate.host);
    let Some(chosen) = candidates.iter().find(is_chosen).filter(|chosen| chosen.has_image) else {
        return false;
    };
    candidates.iter().any(|other| match (placement.strategy.as_str(), other.load, chosen.load) {
        ("pack", Some(other), Some(chosen)) => other > chosen,
        (_, Some(other), Some(chosen)) => other < chosen,
        (_, _, _) => false,
    })
}

fn image(image: &PlannedImage) -> String {
    let PlannedImage { name, domain, .. } = image;
    if domain.is_empty() { name.clone() } else { format!("{name} from {domain}") }
}

fn pull(image: &PlannedImage) -> String {
    let when = match image.pull_policy {
        PullPolicy::Always => "always",
        PullPolicy::IfNotPresent => "if the host does not have the image",
        PullPolicy::Never => return "never: the host must have the image".to_owned(),
    };
    match &image.registry {
        Some(login) => format!("{when}, with the login `{login}`"),
        None => when.to_owned(),
    }
}

fn limits(limits: &PlannedLimits) -> String {
    let PlannedLimits { cpu, memory, disk } = limits;
    let disk = disk.map(|disk| format!(", disk {disk} GiB")).unwrap_or_default();
    format!("cpu {cpu}, memory {memory} MiB{disk}")
}

fn hosts(placement: &Placement) -> String {
    let refused = placement.refused.iter().map(|one| format!("{} {}", one.hosts, one.reason));
    let refused = refused.collect::<Vec<_>>().join(", ");
    let fitting = format!("{} of {} fit", placement.fitting, placement.hosts);
    if refused.is_empty() { fitting } else { format!("{fitting}; {refused}") }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1")]
fn result(candidate: &Candidate, chosen: Option<&str>) -> String {
    let is_chosen = chosen == Some(candidate.host.as_str());
    match (candidate.load, &candidate.reason) {
        (Some(load), _) => {
            let verb = if is_chosen { "chosen" } else { "fits" };
            let image = if candidate.has_image { ", has the image" } else { "" };
            format!("{verb}, load {} %{image}", (load * 100.0).round() as u64)
        }
        (None, Some(reason)) => reason.clone(),
        (None, None) => "does not fit".to_owned(),
    }
}
