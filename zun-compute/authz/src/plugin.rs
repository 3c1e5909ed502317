//! Answers one request from Docker: decides, counts and logs it, and notifies the agent when a console session begins
//! or ends.

use chrono::Utc;
use zun_common::id::EngineId;

use super::counts::Counts;
use super::decision::{ConsoleCall, Decision, Phase};
use super::decision_log::DecisionLog;
use super::notify::Notifier;
use super::refusal::Refusal;
use super::reload::ReloadingPolicy;
use super::request::AuthzRequest;

/// The plugin without its socket.
pub(super) struct Plugin {
    pub(super) policy: ReloadingPolicy,
    pub(super) notifier: Option<Notifier>,
    pub(super) log: DecisionLog,
    pub(super) counts: Counts,
    pub(super) log_local: bool,
}

impl Plugin {
    /// Whether Docker may serve the request. A request that cannot be parsed is refused.
    pub(super) fn allows(&self, phase: Phase, request: &[u8]) -> bool {
        match serde_json::from_slice::<AuthzRequest>(request) {
            Ok(request) => self.answer(phase, &request),
            Err(cause) => {
                self.log.warning("cannot parse an authorization request from Docker", &cause);
                self.refuse(phase)
            }
        }
    }

    /// Refuses a request that was not read completely. Always returns `false`.
    pub(super) fn refuse(&self, phase: Phase) -> bool {
        let unreadable = Decision::Refused(Refusal::Unreadable, None);
        self.counts.count(phase, &unreadable);
        self.log.decision(phase, &AuthzRequest::default(), &unreadable);
        false
    }

    /// The counts of all decisions since the start, as JSON.
    pub(super) fn stats(&self) -> String {
        let cas = self.policy.current(&self.log).cas.count();
        self.counts.show(cas, self.log.lost_total())
    }

    /// The same as metrics.
    pub(super) fn metrics(&self) -> String {
        let cas = self.policy.current(&self.log).cas.count();
        self.counts.metrics(cas, self.log.lost_total())
    }

    fn answer(&self, phase: Phase, request: &AuthzRequest) -> bool {
        // A local request is allowed even if the CA file is broken, so the policy is not read for it.
        let (decision, console) =
            if request.is_local() { (Decision::Local, None) } else { self.decide(phase, request) };
        self.counts.count(phase, &decision);
        if self.log_local || decision != Decision::Local {
            self.log.decision(phase, request, &decision);
        }
        match (&decision, console) {
            (Decision::Granted(granted), Some(console)) => {
                self.notify_agent(&granted.id, console, phase);
                true
            }
            (Decision::Granted(_) | Decision::Local, _) => true,
            (Decision::Refused(..), _) => false,
        }
    }

    fn decide(
        &self,
        phase: Phase,
        request: &AuthzRequest,
    ) -> (Decision, Option<(ConsoleCall, EngineId)>) {
        let policy = self.policy.current(&self.log);
        let decision = policy.decide(request, phase, Utc::now().timestamp());
        let console = match &decision {
            Decision::Granted(granted) => policy.console_call(granted, request),
            Decision::Local | Decision::Refused(..) => None,
        };
        (decision, console)
    }

    fn notify_agent(&self, grant: &str, console: (ConsoleCall, EngineId), phase: Phase) {
        let sent = self.notifier.as_ref().map(|notifier| notifier.send(grant, console, phase));
        if let Some(Err(cause)) = sent {
            self.log.warning("cannot notify the agent of a console session", &cause);
        }
    }
}
