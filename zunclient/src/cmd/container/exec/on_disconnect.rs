//! `--on-disconnect`: what happens to a command whose client was lost.

use std::str::FromStr;
use std::time::Duration;

use zun_common::pty::{self, DisconnectSignal, LONGEST_GRACE, SHORTEST_GRACE};

/// How long the console gate waits for a client if the user does not say.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// What happens to the command if its client ends first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) enum OnDisconnect {
    /// It keeps running.
    #[default]
    Keep,
    /// It gets a signal.
    Signal {
        /// Which.
        signal: DisconnectSignal,
        /// How long no client may be connected before, if the user says so.
        grace: Option<Duration>,
    },
}

impl OnDisconnect {
    /// The request to the console gate.
    pub(super) fn request(self) -> Option<pty::OnDisconnect> {
        let Self::Signal { signal, grace } = self else { return None };
        let seconds = grace.unwrap_or(DEFAULT_GRACE).as_secs();
        let grace = u32::try_from(seconds).unwrap_or(LONGEST_GRACE);
        Some(pty::OnDisconnect { signal, grace })
    }

    /// The name of the signal.
    pub(super) const fn signal(self) -> Option<&'static str> {
        match self {
            Self::Keep => None,
            Self::Signal { signal, .. } => Some(signal.name()),
        }
    }

    /// Whether the user sets how long the client may be disconnected. Only a console gate can wait for it.
    pub(super) const fn needs_gate(self) -> bool {
        matches!(self, Self::Signal { grace: Some(_), .. })
    }
}

impl FromStr for OnDisconnect {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HINT: &str = "use keep, hup or kill, and for hup and kill also a time from 1s to 24h, such as hup:30s";
        let (what, grace) = match text.split_once(':') {
            Some((what, grace)) => (what, Some(grace)),
            None => (text, None),
        };
        let signal = match what {
            "keep" if grace.is_none() => return Ok(Self::Keep),
            "hup" => DisconnectSignal::Hup,
            "kill" => DisconnectSignal::Kill,
            _ => return Err(HINT),
        };
        let allowed = u64::from(SHORTEST_GRACE)..=u64::from(LONGEST_GRACE);
        let grace = grace.map(|grace| {
            humantime::parse_duration(grace).ok().filter(|grace| allowed.contains(&grace.as_secs()))
        });
        match grace {
            Some(None) => Err(HINT),
            Some(grace) => Ok(Self::Signal { signal, grace }),
            None => Ok(Self::Signal { signal, grace: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_word_and_perhaps_a_time() {
        let request = |text: &str| text.parse::<OnDisconnect>().expect("a policy").request();
        let of = |signal, grace| Some(pty::OnDisconnect { signal, grace });
        assert_eq!(request("keep"), None);
        assert_eq!(request("hup"), of(DisconnectSignal::Hup, 30));
        assert_eq!(request("kill:1h 5s"), of(DisconnectSignal::Kill, 3605));
        for bad in ["", "KILL", "keep:30s", "hup:", "hup:30", "kill:0s", "kill:25h", "term"] {
            assert!(bad.parse::<OnDisconnect>().is_err(), "{bad}");
        }
    }
}
