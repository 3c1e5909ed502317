//! Counts of decisions since the start, for `zun-authz --stats` and `zun-authz --metrics`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
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

impl Counts {
    /// The same as metrics in the `OpenMetrics` text format, which Prometheus reads.
    pub(super) fn metrics(&self, authorities: usize, lost_lines: u64) -> String {
        let ByPhase { requests, answers } =
            self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut registry = Registry::with_prefix("zun_authz");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of zun-authz", build);
        let (decisions, refusals) = (Labelled::default(), Labelled::default());
        for (phase, tally) in [("request", requests), ("answer", answers)] {
            let Tally { local, granted, refused, reasons } = tally;
            for (decision, count) in [("local", local), ("granted", granted), ("refused", refused)]
            {
                let labels = [("phase", phase.to_owned()), ("decision", decision.to_owned())];
                decisions.get_or_create(&labels).inc_by(count);
            }
            for (reason, count) in reasons {
                let labels = [("phase", phase.to_owned()), ("reason", reason)];
                refusals.get_or_create(&labels).inc_by(count);
            }
        }
        registry.register("decisions", "Decisions about requests to Docker", decisions);
        registry.register("refusals", "Refused requests, by reason", refusals);
        let cas = Gauge::<i64>::default();
        cas.set(i64::try_from(authorities).unwrap_or(i64::MAX));
        registry.register("trusted_cas", "CAs whose grants are accepted", cas);
        let lost: Counter = Counter::default();
        lost.inc_by(lost_lines);
        let words = "Lines of the decision log that were lost because its reader was slow";
        registry.register("lost_log_lines", words, lost);
        let mut text = String::new();
        // Writing to a string cannot fail.
        encode(&mut text, &registry).unwrap_or_default();
        text
    }
}

/// Counters with two labels of few values.
type Labelled = Family<[(&'static str, String); 2], Counter>;

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
    use zun_common::client_certificate::InvalidCertificate;

    use super::*;

    #[test]
    fn decisions_are_counted_by_phase_and_reason() {
        let counts = Counts::default();
        let refused = |refusal| Decision::Refused(refusal, None);
        for (phase, decision) in [
            (Phase::Request, Decision::Local),
            (Phase::Answer, Decision::Local),
            (Phase::Request, refused(Refusal::Certificate(InvalidCertificate::UntrustedIssuer))),
            (Phase::Request, refused(Refusal::Certificate(InvalidCertificate::UntrustedIssuer))),
            (Phase::Request, refused(Refusal::Unreadable)),
        ] {
            counts.count(phase, &decision);
        }
        let shown: Value = serde_json::from_str(&counts.show(2, 7)).expect("JSON");
        let (why, unreadable) = (
            Refusal::Certificate(InvalidCertificate::UntrustedIssuer).to_string(),
            Refusal::Unreadable.to_string(),
        );
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
        let metrics = counts.metrics(2, 7);
        for line in [
            r#"zun_authz_decisions_total{phase="request",decision="refused"} 3"#,
            r#"zun_authz_decisions_total{phase="answer",decision="local"} 1"#,
            "zun_authz_trusted_cas 2",
            "zun_authz_lost_log_lines_total 7",
            &format!(
                r#"zun_authz_refusals_total{{phase="request",reason="{}"}} 2"#,
                Refusal::Certificate(InvalidCertificate::UntrustedIssuer)
            ),
        ] {
            assert!(metrics.lines().any(|shown| shown == line), "{line}\n{metrics}");
        }
    }
}
