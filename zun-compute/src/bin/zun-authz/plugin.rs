//! One question answered: decided, recorded, and told to the agent where a console begins or ends.

use chrono::Utc;

use crate::decision::{Decision, Phase, Policy, Refusal};
use crate::notify::Notes;
use crate::question::Question;
use crate::record::Record;

/// The plugin without its socket.
pub(crate) struct Plugin {
    pub(crate) policy: Policy,
    pub(crate) notes: Option<Notes>,
    pub(crate) record: Record,
    pub(crate) log_local: bool,
}

impl Plugin {
    /// Whether the engine may go on. What cannot be read may not.
    pub(crate) fn allows(&self, phase: Phase, question: &[u8]) -> bool {
        match serde_json::from_slice::<Question>(question) {
            Ok(question) => self.answers(phase, &question),
            Err(cause) => {
                self.record.trouble("a question cannot be read", &cause);
                self.refuses(phase)
            }
        }
    }

    /// Refuses a question that could not be taken in whole. Always `false`.
    pub(crate) fn refuses(&self, phase: Phase) -> bool {
        let unreadable = Decision::Refused(Refusal::Unreadable, None);
        self.record.decided(phase, &Question::default(), &unreadable);
        false
    }

    fn answers(&self, phase: Phase, question: &Question) -> bool {
        let decision = self.policy.decide(question, phase, Utc::now().timestamp());
        if self.log_local || decision != Decision::Local {
            self.record.decided(phase, question, &decision);
        }
        match &decision {
            Decision::Local => true,
            Decision::Granted(granted) => {
                if let Some(container) = self.policy.console(granted, question) {
                    self.tells(&granted.id, container, phase);
                }
                true
            }
            Decision::Refused(..) => false,
        }
    }

    fn tells(&self, grant: &str, container: zun_common::id::EngineId, phase: Phase) {
        let sent = self.notes.as_ref().map(|notes| notes.send(grant, container, phase));
        if let Some(Err(cause)) = sent {
            self.record.trouble("the agent was not told of a console", &cause);
        }
    }
}
