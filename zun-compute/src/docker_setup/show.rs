//! The text that docker-setup prints.

use std::fmt::{self, Write};

use similar::TextDiff;

use super::plan::{Change, Plan};
use super::{Outcome, Summary, Undone};
use crate::certificate::{self, CertificateSettings, Flaw, Renewal};
use crate::driver::docker::RUNTIME;

/// Describes the changes of a plan. Keys are never shown: a dry run does not create them.
pub(super) fn plan(plan: &Plan, flaw: Option<&Flaw>, wanted: &CertificateSettings) -> String {
    let mut text = String::new();
    for change in plan.changes() {
        text.push_str(&diff(change));
    }
    if let Some(flaw) = flaw {
        let names = certificate::names(wanted).join(", ");
        let place = wanted.directory.display();
        let line = format!(
            "would request a certificate for {names} from zun-api and write it to {place}, because {flaw}"
        );
        writeln!(text, "{line}").unwrap_or_default();
    }
    if plan.restarts_docker() || flaw.is_some_and(|flaw| !flaw.can_wait()) {
        text.push_str(
            "would restart docker.service with live-restore on; running containers keep running\n",
        );
    }
    text
}

fn diff(change: &Change) -> String {
    let path = change.path.display().to_string();
    let (before, after) = (change.before.as_deref().unwrap_or_default(), change.after.as_str());
    let from = if change.before.is_some() { path.as_str() } else { "/dev/null" };
    TextDiff::from_lines(before, after).unified_diff().header(from, &path).to_string()
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => {
                writeln!(out, "Docker is already set up; nothing was changed")
            }
            Self::CertificateUpdated(renewal) => {
                let what = match renewal {
                    Renewal::Certificate => "certificate and CA list",
                    Renewal::CaList | Renewal::Unchanged | Renewal::Unknown => "CA list",
                };
                writeln!(
                    out,
                    "Docker is already set up. Installed a new {what} from zun-api. zun-authz uses it now; \
                     Docker uses it after its next restart (systemctl restart docker)"
                )
            }
            Self::DryRun(text) => write!(out, "{text}"),
            Self::Done(summary) => summary.fmt(out),
            Self::Undone(undone) => undone.fmt(out),
        }
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, sized, runtime } = self;
        if files.is_empty() {
            return writeln!(
                out,
                "nothing to undo: docker-setup has changed nothing on this host. It will not set Docker up at boot \
                 until you run it by hand"
            );
        }
        for file in files {
            writeln!(out, "restored: {}", file.display())?;
        }
        writeln!(out, "restarted Docker with its previous settings")?;
        writeln!(out, "docker-setup will not set Docker up at boot until you run it by hand")?;
        if *sized > 0 {
            let program = runtime.display();
            writeln!(
                out,
                "containers created with the runtime {RUNTIME}: {sized}. Keep {program} while they exist: Docker \
                 needs it to stop them. They cannot be started again until docker-setup is run again"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written, restarted, signed, running, kept } = self;
        for file in written {
            writeln!(out, "written: {}", file.display())?;
        }
        if *signed {
            writeln!(out, "zun-api signed a new certificate for this host")?;
        }
        if *signed && !restarted {
            writeln!(out, "Docker uses it after its next restart (systemctl restart docker)")?;
        }
        if *restarted {
            writeln!(out, "restarted Docker; {kept} of {running} running containers kept running")?;
        }
        writeln!(
            out,
            "verified: the unix socket works; the TLS handshake fails without a certificate and with one of another CA; \
             a grant permits its own request and none of five others"
        )
    }
}
