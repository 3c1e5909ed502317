//! Counts of decisions since the start, for `zun-authz --stats`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::decision::{Decision, Phase};
use super::refusal::Refusal;

/// Counts of decisions, by phase.
pub(super) struct Counts {
    since: DateTime<Utc>,
    all: Mutex<ByPhase>,
}

#[derive(Default, Clone, Serialize)]
struct ByPhase {
    requests: Tally,
    answers: Tally,
}

#[derive(Default, Clone, Serialize)]
struct Tally {
    local: u64,
    granted: u64,
    refused: u64,
    /// The refused requests, by reason.
    reasons: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Report {
    since: String,
    #[serde(flatten)]
    all: ByPhase,
    authorities: usize,
    lost_lines: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { since: Utc::now(), all: Mutex::default() }
    }
}

impl Counts {
    pub(super) fn count(&self, phase: Phase, decision: &Decision) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = match phase {
            Phase::Request => &mut all.requests,
            Phase::Answer => &mut all.answers,
        };
        match decision {
            Decision::Local => tally.local += 1,
            Decision::Granted(_) => tally.granted += 1,
            Decision::Refused(refusal, _) => tally.refuse(*refusal),
        }
    }

    /// The counts as JSON, with the number of trusted CAs and of lost log lines.
    pub(super) fn show(&self, authorities: usize, lost_lines: u64) -> String {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let since = self.since.to_rfc3339_opts(SecondsFormat::Secs, true);
        serde_json::to_string(&Report { since, all, authorities, lost_lines }).unwrap_or_default()
    }
}

impl Tally {
    /// Counts a refusal. The reasons are the texts of an enum, so the map is bounded.
    fn refuse(&mut self, refusal: Refusal) {
        self.refused += 1;
        *self.reasons.entry(refusal.to_string()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn decisions_are_counted_by_phase_and_reason() {
        let counts = Counts::default();
        let refused = |refusal| Decision::Refused(refusal, None);
        for (phase, decision) in [
            (Phase::Request, Decision::Local),
            (Phase::Answer, Decision::Local),
            (Phase::Request, refused(Refusal::UntrustedIssuer)),
            (Phase::Request, refused(Refusal::UntrustedIssuer)),
            (Phase::Request, refused(Refusal::Unreadable)),
        ] {
            counts.count(phase, &decision);
        }
        let shown: Value = serde_json::from_str(&counts.show(2, 7)).expect("JSON");
        let (why, unreadable) =
            (Refusal::UntrustedIssuer.to_string(), Refusal::Unreadable.to_string());
        assert_eq!(shown["requests"]["reasons"], json!({ why: 2, unreadable: 1 }));
        assert_eq!(
            (&shown["requests"]["refused"], &shown["requests"]["local"]),
            (&json!(3), &json!(1))
        );
        assert_eq!(
            (&shown["answers"]["local"], &shown["answers"]["refused"]),
            (&json!(1), &json!(0))
        );
        assert_eq!((&shown["authorities"], &shown["lost_lines"]), (&json!(2), &json!(7)));
    }
}
