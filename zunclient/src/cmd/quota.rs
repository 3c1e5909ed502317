//! `zun quota` and `zun quota-class`: what the containers of a project may have together.

use clap::{Args, Subcommand};
use zun_common::api::v1::quota::{self, QuotaChange, QuotaUsage};

use super::select::Select;
use super::{Context, Failure};
use crate::exit::Exit;
use crate::out::{GIB, MIB, Table, Unit, with_units};

/// The fields whose names in results carry units.
const UNITS: [Unit; 2] = [("memory", "memory_bytes", MIB), ("disk", "disk_bytes", GIB)];

/// Show and set quotas of projects
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun quota show web
  zun quota set web --containers 100 --memory 102400
  zun quota reset web
  zun quota defaults"
)]
pub(super) struct Quota {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(Show),
    Set(Set),
    Reset(Reset),
    Defaults(Defaults),
}

/// Show the quota of a project and how much of it is in use
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun quota show       The caller's own project
  zun quota show web   Another project (administrators)")]
struct Show {
    #[arg(
        value_name = "PROJECT",
        env = "OS_PROJECT_ID",
        hide_env = true,
        help = "ID of the project (default from OS_PROJECT_ID, or the caller's own)"
    )]
    project: Option<String>,
    #[command(flatten)]
    select: Select,
}

/// Set limits of a project (administrators)
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun quota set web --containers 100 --memory -1

Existing containers stay, even if they exceed the new limits. Limits that are
not given do not change.")]
struct Set {
    #[command(flatten)]
    project: Project,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    select: Select,
}

/// Remove the limits of a project, so that the defaults apply (administrators)
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun quota reset web")]
struct Reset {
    #[command(flatten)]
    project: Project,
}

/// Show the default quota, for projects without a quota of their own
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun quota defaults")]
struct Defaults {
    #[command(flatten)]
    select: Select,
}

#[derive(Debug, Args)]
struct Project {
    #[arg(
        value_name = "PROJECT",
        env = "OS_PROJECT_ID",
        hide_env = true,
        help = "ID of the project (default from OS_PROJECT_ID)"
    )]
    project: Option<String>,
}

impl Project {
    fn id(self) -> Result<String, Failure> {
        let missing = || Failure::new("no project given: name one, or set OS_PROJECT_ID");
        self.project.ok_or_else(missing)
    }
}

#[derive(Debug, Args)]
struct LimitFlags {
    /// Number of containers; -1 is unlimited
    #[arg(long, value_name = "NUMBER")]
    containers: Option<i64>,
    /// CPUs; -1 is unlimited
    #[arg(long, value_name = "NUMBER")]
    cpu: Option<i64>,
    /// Memory in MiB; -1 is unlimited
    #[arg(long, value_name = "MIB")]
    memory: Option<i64>,
    /// Disk in GiB; -1 is unlimited
    #[arg(long, value_name = "GIB")]
    disk: Option<i64>,
}

impl LimitFlags {
    fn change(&self) -> Result<QuotaChange, Failure> {
        let Self { containers, cpu, memory, disk } = *self;
        let change = QuotaChange { containers, memory, cpu, disk };
        if change == QuotaChange::default() {
            return Err(Failure::new(
                "no limit given: use --containers, --cpu, --memory or --disk",
            ));
        }
        Ok(change)
    }
}

impl Quota {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.verb {
            Verb::Show(Show { project, select }) => {
                let usage = match project.filter(|project| !project.is_empty()) {
                    Some(project) => context.api.quota(&project).await?,
                    None => context.api.own_quota().await?,
                };
                select
                    .printer(context)
                    .show(&with_units(&usage, &UNITS), || usage_table(&usage))?;
            }
            Verb::Set(Set { project, limits, select }) => {
                let quota = context.api.set_quota(&project.id()?, &limits.change()?).await?;
                select.printer(context).show(&with_units(&quota, &UNITS), || table(&quota))?;
            }
            Verb::Reset(Reset { project }) => {
                let project = project.id()?;
                context.api.reset_quota(&project).await?;
                context.printer.line(&project)?;
            }
            Verb::Defaults(Defaults { select }) => {
                let quota = context.api.default_quota().await?;
                select.printer(context).show(&with_units(&quota, &UNITS), || table(&quota))?;
            }
        }
        Ok(Exit::OK)
    }
}

/// Manage the default quota of projects (administrators)
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  zun quota-class show default
  zun quota-class set default --containers 100"
)]
pub(super) struct QuotaClass {
    #[command(subcommand)]
    verb: ClassVerb,
}

#[derive(Debug, Subcommand)]
enum ClassVerb {
    Show(ShowClass),
    Set(SetClass),
}

/// Show the limits of a quota class
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun quota-class show default")]
struct ShowClass {
    /// Name of the class; there is only `default`
    name: String,
    #[command(flatten)]
    select: Select,
}

/// Set limits of a quota class
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun quota-class set default --containers 100

The limits replace those in [quotas] of zun-api's settings.")]
struct SetClass {
    /// Name of the class; there is only `default`
    name: String,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    select: Select,
}

impl QuotaClass {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (quota, select) = match self.verb {
            ClassVerb::Show(ShowClass { name, select }) => {
                (context.api.quota_class(&name).await?, select)
            }
            ClassVerb::Set(SetClass { name, limits, select }) => {
                (context.api.set_quota_class(&name, &limits.change()?).await?, select)
            }
        };
        select.printer(context).show(&with_units(&quota, &UNITS), || table(&quota))?;
        Ok(Exit::OK)
    }
}

fn limit(limit: i64) -> String {
    if limit < 0 { "unlimited".to_owned() } else { limit.to_string() }
}

fn table(quota: &quota::Quota) -> Table {
    let quota::Quota { containers, memory, cpu, disk } = *quota;
    let mut table = Table::new(vec!["resource", "limit"]);
    let rows =
        [("containers", containers), ("cpu", cpu), ("memory (MiB)", memory), ("disk (GiB)", disk)];
    for (name, number) in rows {
        table.row(vec![name.to_owned().into(), limit(number).into()]);
    }
    table
}

fn usage_table(usage: &QuotaUsage) -> Table {
    let QuotaUsage { containers, memory, cpu, disk } = *usage;
    let mut table = Table::new(vec!["resource", "in_use", "limit"]);
    let rows = [
        ("containers", containers.in_use.to_string(), containers.limit),
        ("cpu", cpu.in_use.to_string(), cpu.limit),
        ("memory (MiB)", memory.in_use.to_string(), memory.limit),
        ("disk (GiB)", disk.in_use.to_string(), disk.limit),
    ];
    for (name, in_use, number) in rows {
        table.row(vec![name.to_owned().into(), in_use.into(), limit(number).into()]);
    }
    table
}
