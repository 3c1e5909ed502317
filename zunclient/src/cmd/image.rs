//! `zun image`: images on hosts.

use std::time::{Duration, Instant};

use chrono::Utc;
use clap::{Args, Subcommand};
use serde_json::Value;
use tokio::time::sleep;
use zun_common::api::v1::image::{FoundImage, Image as Shown, ImageStatus, PullImage};
use zun_common::committed::is_reserved;
use zun_common::id::HostName;

use super::container::status_words::ago_words;
use super::for_each::for_each;
use super::pull_progress::PullProgress;
use super::select::{ListSelect, Select};
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Cell, Column, Table, Unit, size_words, with_units};

/// How often the state of a pull is read.
const READ_EVERY: Duration = Duration::from_millis(300);
/// How long to wait for a removal. A host that is down removes the image when it is back.
const REMOVAL: Duration = Duration::from_secs(30);

/// Pull, list and remove images on hosts
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun image pull --host compute1 cirros
  zun image list
  zun image search busybox

A container needs no prior pull: its host pulls the image if it is missing."
)]
pub(super) struct Image {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Pull(Pull),
    #[command(visible_alias = "ls")]
    List(List),
    #[command(visible_alias = "inspect")]
    Show(Show),
    Search(Search),
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// Pull an image onto a host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun image pull --host compute1 quay.io/team/app:v2
  zun image pull \\
  alpine@sha256:25fad2a32ad1f6f510e528448ae1ec69a28ef81916a004d3629874104f8a7f70")]
struct Pull {
    /// Image, with a tag or a digest (default tag latest)
    image: String,
    /// Host to pull it onto (required if there are several)
    #[arg(long, value_name = "HOST")]
    host: Option<HostName>,
    /// Platform of the image, such as linux/arm64 (default the host's)
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Registry login to pull the image with (default the project's login for the image's registry, if it has exactly one)
    #[arg(long, value_name = "REGISTRY")]
    registry: Option<String>,
    /// Return at once, and let the host pull in the background
    #[arg(short, long)]
    detach: bool,
    /// Suppress pull progress
    #[arg(short, long)]
    quiet: bool,
}

/// List the images of zun image pull and zun commit
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun image list --host compute1")]
struct List {
    /// List only the images on this host
    #[arg(long, value_name = "HOST")]
    host: Option<HostName>,
    /// List the images of all projects
    #[arg(long)]
    all_projects: bool,
    /// Print only UUIDs
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    select: ListSelect,
}

/// Show the details of an image
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun image show cirros:latest")]
struct Show {
    /// Name or UUID of the image
    image: String,
    #[command(flatten)]
    select: Select,
}

/// Search Docker Hub, from a host
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun image search busybox")]
struct Search {
    /// Text to search
    term: String,
    #[command(flatten)]
    select: ListSelect,
}

/// Remove images from their hosts
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun image delete cirros:latest

Waits until the hosts have removed the images. An image that containers use is
not removed.")]
struct Delete {
    /// Names or UUIDs of the images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Do not fail if an image does not exist
    #[arg(short, long)]
    force: bool,
}

impl Image {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.verb {
            Verb::Pull(pull) => return pull.run(context).await,
            Verb::List(List { host, all_projects, quiet, select }) => {
                let mut filters: Vec<_> =
                    host.map(|host| ("host", host.to_string())).into_iter().collect();
                filters.extend(all_projects.then(|| ("all_projects", "true".to_owned())));
                let mut images = context.api.images(&filters).await?;
                // The newest one comes first, as in all lists.
                images.reverse();
                let printer = select.printer(context);
                if quiet {
                    let ids: Vec<_> = images.iter().map(|image| image.uuid.to_string()).collect();
                    printer.keys(&ids)?;
                } else {
                    printer.show(&records(&images), || table(&images))?;
                }
            }
            Verb::Show(Show { image, select }) => {
                let image = find(context, &image).await?;
                let record = with_units(&image, &UNITS);
                select.printer(context).show(&record, || Table::of_fields(&record))?;
            }
            Verb::Search(Search { term, select }) => {
                let found = context.api.search_images(&term).await?;
                select.printer(context).show(&found, || found_table(&found))?;
            }
            Verb::Delete(Delete { images, force }) => {
                return for_each(context, &images, async |name| {
                    let found = find(context, &name).await;
                    let image = found.map_err(|failure| unless_forced(failure, force))?;
                    context.api.delete_image(&image.uuid.to_string()).await?;
                    until_removed(context, &image).await
                })
                .await;
            }
        }
        Ok(Exit::OK)
    }
}

impl Pull {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { image, host, platform, registry, detach, quiet } = self;
        let ask = PullImage { repo: image, host, image_pull_policy: None, platform, registry };
        let mut pulled = context.api.pull_image(&ask).await?;
        let mut progress = (!quiet).then(PullProgress::default);
        while pulled.status == ImageStatus::Pulling && !detach {
            if let Some(progress) = &mut progress {
                progress.show(&ask.repo, pulled.image_pull.as_ref());
            }
            sleep(READ_EVERY).await;
            pulled = context.api.image(&pulled.uuid.to_string()).await?;
        }
        drop(progress);
        if pulled.status == ImageStatus::Error {
            let reason = pulled.status_reason.unwrap_or_else(|| "the pull failed".to_owned());
            return Err(Failure::new(reason));
        }
        context.printer.show(&pulled, || Table::of_fields(&pulled))?;
        Ok(Exit::OK)
    }
}

/// Waits until the host has removed an image. If the host keeps it, returns the reason.
async fn until_removed(context: &Context, image: &Shown) -> Result<(), Failure> {
    let deadline = Instant::now() + REMOVAL;
    loop {
        match context.api.image(&image.uuid.to_string()).await {
            Ok(now) if now.status == ImageStatus::Deleting => {}
            Ok(Shown { status, status_reason, .. }) => {
                let why =
                    status_reason.unwrap_or_else(|| format!("its status is {}", status.as_str()));
                return Err(Failure::new(format!("the host did not remove it: {why}")));
            }
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if Instant::now() > deadline {
            let name = full_name(image);
            out::notice(&format!("{name} is still being removed; check with `zun image list`"));
            return Ok(());
        }
        sleep(READ_EVERY).await;
    }
}

/// The end of the message about an image that does not exist.
const MISSING: &str = " could not be found.";

/// Finds an image by its ID, or by its name if it is on one host only.
async fn find(context: &Context, ident: &str) -> Result<Shown, Failure> {
    if uuid::Uuid::try_parse(ident).is_ok() {
        return Ok(context.api.image(ident).await?);
    }
    let all = context.api.images(&[]).await?;
    let named: Vec<&Shown> = all.iter().filter(|image| is_named(image, ident)).collect();
    let begins = |image: &&Shown| !ident.is_empty() && image.uuid.to_string().starts_with(ident);
    let found = if named.is_empty() { all.iter().filter(begins).collect() } else { named };
    match found.as_slice() {
        [image] => Ok((*image).clone()),
        [] => Err(Failure::new(format!("Image {ident}{MISSING}"))),
        several => {
            let each = several.iter().map(|image| match &image.host {
                Some(host) => format!("{} on {host}", image.uuid),
                None => image.uuid.to_string(),
            });
            Err(Failure::new(format!(
                "`{ident}` names several images: {}; use one of these UUIDs",
                each.collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

/// With `--force`, a missing image is only reported.
fn unless_forced(failure: Failure, force: bool) -> Failure {
    let is_missing = failure.message.as_ref().is_some_and(|message| message.contains(MISSING));
    if force && is_missing { Failure { exit: Some(Exit::OK), ..failure } } else { failure }
}

fn is_named(image: &Shown, name: &str) -> bool {
    let Shown { repo, tag, .. } = image;
    let full = full_name(image);
    name == full || (name == repo && tag == "latest") || given_name(&full) == Some(name)
}

/// The name that an image was given by `zun commit`; its whole name begins with a prefix of the project.
fn given_name(full: &str) -> Option<&str> {
    let (domain, own) = full.split_once('/')?;
    own.split_once('/').filter(|_| is_reserved(domain)).map(|(_project, name)| name)
}

/// The name of an image with its tag or digest.
pub(super) fn full_name(image: &Shown) -> String {
    let Shown { repo, tag, .. } = image;
    let separator = if tag.contains(':') { '@' } else { ':' };
    format!("{repo}{separator}{tag}")
}

/// The fields whose names in results carry units.
const UNITS: [Unit; 1] = [("size", "size_bytes", 1)];

fn records(images: &[Shown]) -> Vec<Value> {
    images.iter().map(|image| with_units(image, &UNITS)).collect()
}

fn table(images: &[Shown]) -> Table {
    let mut table = Table::new(vec![
        Column::whole("id"),
        Column::firm("repo"),
        "tag".into(),
        Column::whole("size"),
        "host".into(),
        Column::whole("status"),
        Column::wide("created"),
        Column::wide("platform"),
        Column::wide("uuid"),
    ]);
    let now = Utc::now().naive_utc();
    for image in images {
        table.row(vec![
            Cell::id(&image.uuid),
            image.repo.clone().into(),
            image.tag.clone().into(),
            image.size.map(size_words).into(),
            image.host.as_ref().map(ToString::to_string).into(),
            image.status.as_str().into(),
            Cell::time(|at| ago_words(now - at), image.created_at),
            image.platform.clone().into(),
            image.uuid.to_string().into(),
        ]);
    }
    table
}

fn found_table(found: &[FoundImage]) -> Table {
    let mut table = Table::new(vec!["name", "description", "stars", "official"]);
    for image in found {
        table.row(vec![
            image.name.clone().into(),
            image.description.clone().into(),
            image.star_count.to_string().into(),
            if image.is_official { "yes" } else { "" }.into(),
        ]);
    }
    table
}
