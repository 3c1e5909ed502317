//! A plan in words, for people.

use std::fmt::{self, Write};

use similar::TextDiff;

use super::plan::{Change, Plan};
use super::{Outcome, Summary, Undone};
use crate::certificate::{self, CertificateSettings, Flaw, Renewal};
use crate::driver::docker::RUNTIME;

/// What would be done. Keys are never shown: they are not even made.
pub(super) fn plan(plan: &Plan, flaw: Option<&Flaw>, wanted: &CertificateSettings) -> String {
    let mut text = String::new();
    for change in plan.changes() {
        text.push_str(&diff(change));
    }
    if let Some(flaw) = flaw {
        let names = certificate::names(wanted).join(", ");
        let place = wanted.directory.display();
        let line =
            format!("zun-api would be asked for a certificate in {place} for {names}: {flaw}");
        writeln!(text, "{line}").unwrap_or_default();
    }
    if plan.restarts_docker() || flaw.is_some_and(|flaw| !flaw.can_wait()) {
        text.push_str(
            "docker.service would be restarted, with live-restore on: containers go on\n",
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
                writeln!(out, "Docker is set up already: nothing differs, nothing was changed")
            }
            Self::CertificateUpdated(news) => {
                let what = match news {
                    Renewal::Certificate => "certificate, with its list of authorities",
                    Renewal::CaList | Renewal::Unchanged | Renewal::Unknown => {
                        "list of authorities"
                    }
                };
                writeln!(
                    out,
                    "Docker is set up already. zun-api had a new {what}: it is here now. zun-authz takes it by itself, \
                     Docker at its next restart (systemctl restart docker)"
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
                "there is nothing to undo: docker-setup has set up nothing here, and will not until it is run by hand"
            );
        }
        for file in files {
            writeln!(out, "as it was: {}", file.display())?;
        }
        writeln!(out, "Docker was restarted on its former settings")?;
        writeln!(out, "it stays so, also when the host boots, until docker-setup is run by hand")?;
        if *sized > 0 {
            let program = runtime.display();
            writeln!(
                out,
                "containers made with the runtime {RUNTIME}: {sized}. As long as they are there leave {program} \
                 where it is, for those that run need it to be stopped; none can be started again until docker-setup \
                 is run again"
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
            writeln!(out, "zun-api signed this host's certificate")?;
        }
        if *signed && !restarted {
            writeln!(out, "Docker takes it at its next restart (systemctl restart docker)")?;
        }
        if *restarted {
            writeln!(out, "Docker was restarted; {kept} of {running} running containers went on")?;
        }
        writeln!(
            out,
            "proved: the unix socket works; without a certificate, and with a foreign one, the handshake is refused; \
             a grant is good for its one request and for none of five others"
        )
    }
}
