//! What may be accepted for a container, by how it is and what is queued already. Pure.
//!
//! ```text
//!  presence now ──after each queued command──> presence expected ──table──> accept | refuse
//! ```

use zun_common::rpc::container::Removal;
use zun_common::status::{Action, Status};

/// A command, without what does not matter for its acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Create { start: bool },
    Start,
    Stop,
    Reboot,
    Pause,
    Unpause,
    Kill,
    Remove(Removal),
}

/// Whether the engine has the container, and how it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Absent,
    Is(Status),
    /// Its removal was accepted.
    Removing,
}

/// What is known when a command comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    /// As it will be when the queue's first command begins.
    pub(crate) presence: Presence,
    /// Accepted and not done, in order.
    pub(crate) queued: &'a [Kind],
    /// How many may be queued.
    pub(crate) capacity: usize,
}

/// Why a command is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many are queued; worth another try.
    Full,
    /// There is no such container.
    Absent,
    /// Not in this status.
    Conflict(Status),
}

impl Kind {
    /// The word in a refusal.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Start => Action::Start.as_str(),
            Self::Stop => Action::Stop.as_str(),
            Self::Reboot => Action::Reboot.as_str(),
            Self::Pause => Action::Pause.as_str(),
            Self::Unpause => Action::Unpause.as_str(),
            Self::Kill => Action::Kill.as_str(),
            Self::Remove(_) => Action::Delete.as_str(),
        }
    }

    /// Whether it can be done to a container that is so; where it is done already, it can.
    pub(crate) const fn fits(self, presence: Presence) -> Result<(), Refusal> {
        match (presence, self) {
            (Presence::Absent | Presence::Is(_), Self::Create { .. })
            | (Presence::Absent | Presence::Removing, Self::Remove(_)) => Ok(()),
            (Presence::Absent, _) => Err(Refusal::Absent),
            (Presence::Removing, _) => Err(Refusal::Conflict(Status::Deleting)),
            (Presence::Is(status), _) => {
                if self.is_allowed_in(status) || self.leaves_as_it_is(status) {
                    Ok(())
                } else {
                    Err(Refusal::Conflict(status))
                }
            }
        }
    }

    const fn is_allowed_in(self, status: Status) -> bool {
        match self {
            Self::Create { .. } => true,
            Self::Start => status.allows(Action::Start),
            Self::Stop => status.allows(Action::Stop),
            Self::Reboot => status.allows(Action::Reboot),
            Self::Pause => status.allows(Action::Pause),
            Self::Unpause => status.allows(Action::Unpause),
            Self::Kill => status.allows(Action::Kill),
            Self::Remove(Removal::OnlyStopped) => status.allows(Action::Delete),
            Self::Remove(Removal::StopFirst) => status.allows(Action::DeleteStop),
            Self::Remove(Removal::Force) => status.allows(Action::DeleteForce),
        }
    }

    const fn leaves_as_it_is(self, status: Status) -> bool {
        match self {
            // The engine runs one that restarts again by itself.
            Self::Start => matches!(status, Status::Running | Status::Restarting),
            Self::Unpause => matches!(status, Status::Running),
            Self::Stop => matches!(status, Status::Stopped),
            Self::Pause => matches!(status, Status::Paused),
            Self::Create { .. } | Self::Reboot | Self::Kill | Self::Remove(_) => false,
        }
    }
}

impl Presence {
    /// How it should be after this command. A signal may end the process or not: it is not counted on.
    pub(crate) const fn after(self, kind: Kind) -> Self {
        match (kind, self) {
            (Kind::Create { start: false }, Self::Absent) => Self::Is(Status::Created),
            (Kind::Create { start: true }, Self::Absent | Self::Is(Status::Created))
            | (Kind::Start | Kind::Reboot | Kind::Unpause, Self::Is(_)) => {
                Self::Is(Status::Running)
            }
            (Kind::Stop, Self::Is(_)) => Self::Is(Status::Stopped),
            (Kind::Pause, Self::Is(_)) => Self::Is(Status::Paused),
            (Kind::Remove(_), _) => Self::Removing,
            (_, presence) => presence,
        }
    }
}

impl Known<'_> {
    /// How the container should be when the queue is worked off.
    pub(crate) fn expected(&self) -> Presence {
        self.queued.iter().fold(self.presence, |presence, kind| presence.after(*kind))
    }
}

/// Whether a command is accepted. One that comes again was accepted before, so neither a full queue nor
/// a status that it may itself have led to refuses it; but nothing is made again behind a removal.
pub(crate) fn decide(known: &Known<'_>, kind: Kind, again: bool) -> Result<(), Refusal> {
    let fits = kind.fits(known.expected());
    if again {
        let remade = matches!(kind, Kind::Create { .. }) && fits.is_err();
        return if remade { fits } else { Ok(()) };
    }
    fits?;
    if known.queued.len() >= known.capacity {
        return Err(Refusal::Full);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const KINDS: [Kind; 11] = [
        Kind::Create { start: false },
        Kind::Create { start: true },
        Kind::Start,
        Kind::Stop,
        Kind::Reboot,
        Kind::Pause,
        Kind::Unpause,
        Kind::Kill,
        Kind::Remove(Removal::OnlyStopped),
        Kind::Remove(Removal::StopFirst),
        Kind::Remove(Removal::Force),
    ];

    fn name(kind: Kind) -> String {
        match kind {
            Kind::Create { start: true } => "create+start".to_owned(),
            Kind::Remove(Removal::StopFirst) => "delete+stop".to_owned(),
            Kind::Remove(Removal::Force) => "delete+force".to_owned(),
            Kind::Create { start: false }
            | Kind::Remove(Removal::OnlyStopped)
            | Kind::Start
            | Kind::Stop
            | Kind::Reboot
            | Kind::Pause
            | Kind::Unpause
            | Kind::Kill => kind.word().to_owned(),
        }
    }

    #[test]
    fn what_is_accepted_of_an_idle_container() {
        let presences = [Presence::Absent, Presence::Removing]
            .into_iter()
            .chain(Status::ALL.iter().map(|status| Presence::Is(*status)));
        let mut grid = String::new();
        for presence in presences {
            let label = match presence {
                Presence::Absent => "absent".to_owned(),
                Presence::Removing => "removing".to_owned(),
                Presence::Is(status) => status.to_string(),
            };
            let accepted: Vec<_> =
                KINDS.into_iter().filter(|kind| kind.fits(presence).is_ok()).map(name).collect();
            grid.extend([label, ": ".to_owned(), accepted.join(" "), "\n".to_owned()]);
        }
        let expected = "\
absent: create create+start delete delete+stop delete+force
removing: delete delete+stop delete+force
Creating: create create+start delete+force
Created: create create+start start reboot delete delete+stop delete+force
Running: create create+start start stop reboot pause unpause kill delete+stop delete+force
Stopped: create create+start start stop reboot delete delete+stop delete+force
Paused: create create+start stop reboot pause unpause kill delete+stop delete+force
Restarting: create create+start start stop reboot kill delete+stop delete+force
Rebuilding: create create+start delete+force
Deleting: create create+start delete+force
Deleted: create create+start delete delete+stop delete+force
Dead: create create+start delete delete+stop delete+force
Error: create create+start start reboot delete delete+stop delete+force
Unknown: create create+start delete+force
";
        assert_eq!(grid, expected);
    }

    #[test]
    fn a_full_queue_refuses_new_commands_and_takes_those_that_come_again() {
        let queued = [Kind::Start; 8];
        let known = Known { presence: Presence::Is(Status::Running), queued: &queued, capacity: 8 };
        assert_eq!(decide(&known, Kind::Stop, false), Err(Refusal::Full));
        assert_eq!(decide(&known, Kind::Stop, true), Ok(()));
    }

    #[test]
    fn nothing_is_made_behind_a_removal_not_even_again() {
        let queued = [Kind::Remove(Removal::Force)];
        let known = Known { presence: Presence::Absent, queued: &queued, capacity: 8 };
        let refused = Err(Refusal::Conflict(Status::Deleting));
        assert_eq!(decide(&known, Kind::Create { start: true }, true), refused);
    }

    /// An engine that does as Docker does: it refuses what does not fit.
    #[derive(Debug, Clone, Copy)]
    struct Engine(Option<Status>);

    impl Engine {
        /// `dies` says whether a signal ends the process.
        fn does(&mut self, kind: Kind, dies: bool) -> Result<(), String> {
            let next = match (kind, self.0) {
                (Kind::Remove(Removal::OnlyStopped), Some(Status::Running | Status::Paused))
                | (
                    Kind::Pause | Kind::Unpause | Kind::Kill,
                    Some(Status::Created | Status::Stopped),
                )
                | (Kind::Start, Some(Status::Paused)) => {
                    return Err(format!("{} in {:?}", name(kind), self.0));
                }
                (Kind::Remove(_), _) => None,
                (Kind::Create { start: true }, None | Some(Status::Created)) => {
                    Some(Status::Running)
                }
                (Kind::Create { .. }, None) | (Kind::Stop, Some(Status::Created)) => {
                    Some(Status::Created)
                }
                (Kind::Create { .. }, is) => is,
                (_, None) => return Err(format!("{} of none", name(kind))),
                (Kind::Start | Kind::Reboot | Kind::Unpause, Some(_)) => Some(Status::Running),
                (Kind::Stop, Some(_)) => Some(Status::Stopped),
                (Kind::Pause, Some(_)) => Some(Status::Paused),
                (Kind::Kill, Some(is)) => Some(if dies { Status::Stopped } else { is }),
            };
            self.0 = next;
            Ok(())
        }
    }

    fn presence(engine: Engine) -> Presence {
        engine.0.map_or(Presence::Absent, Presence::Is)
    }

    proptest! {
        /// Commands come and are worked off in any interleaving. What is accepted can be done in order
        /// (as long as no signal ended the process behind our back), never more is queued than fits,
        /// and behind a removal only removals are accepted.
        #[test]
        fn accepted_commands_can_be_done_in_order(
            steps in prop::collection::vec((prop::bool::weighted(0.6), 0..KINDS.len()), 1..80),
            capacity in 1_usize..9,
        ) {
            let (mut engine, mut queue) = (Engine(None), VecDeque::new());
            for (comes, which) in steps {
                if comes {
                    queue.make_contiguous();
                    let known = Known { presence: presence(engine), queued: queue.as_slices().0, capacity };
                    let kind = KINDS[which];
                    if decide(&known, kind, false).is_ok() {
                        let removal = queue.iter().any(|kind| matches!(kind, Kind::Remove(_)));
                        prop_assert!(!removal || matches!(kind, Kind::Remove(_)));
                        queue.push_back(kind);
                    }
                } else if let Some(kind) = queue.pop_front() {
                    let done = engine.does(kind, false);
                    prop_assert!(done.is_ok(), "{done:?}");
                }
                prop_assert!(queue.len() <= capacity);
            }
        }

        #[test]
        fn what_comes_again_is_accepted_unless_it_would_be_made_behind_a_removal(
            queued in prop::collection::vec(0..KINDS.len(), 0..12),
            which in 0..KINDS.len(),
        ) {
            let queued: Vec<_> = queued.into_iter().map(|index| KINDS[index]).collect();
            let known = Known { presence: Presence::Absent, queued: &queued, capacity: 8 };
            let kind = KINDS[which];
            let remade = known.expected() == Presence::Removing && matches!(kind, Kind::Create { .. });
            prop_assert_eq!(decide(&known, kind, true).is_ok(), !remade);
        }
    }
}
