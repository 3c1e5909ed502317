//! The other clients of the process, and whose size its terminal has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use zun_common::pty::{NOBODY, SessionEvent, Size, Viewer, ViewerMode};

use crate::console::Event;

/// The most clients that are remembered by their numbers.
const MOST: usize = 256;

/// The clients that the gate has reported.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    /// This client's number.
    own: Option<u64>,
    /// How many there are with this one.
    count: usize,
    /// What each of the others may do, and its grant. An older gate names only those that join later.
    known: BTreeMap<u64, String>,
    /// The owner of the terminal's size, and the size.
    owner: Option<(u64, Size)>,
}

impl Viewers {
    /// Handles an event. Returns what the terminal side must know about it.
    pub(super) fn follow(&mut self, event: &SessionEvent) -> Option<Event> {
        match event {
            SessionEvent::Viewers { own, viewers, others } => {
                self.own = Some(*own);
                self.count = *viewers;
                self.known.clear();
                for other in others {
                    self.add(other);
                }
            }
            SessionEvent::ViewerJoined { viewer, viewers } => {
                self.count = *viewers;
                self.add(viewer);
            }
            SessionEvent::ViewerLeft { viewer, viewers } => {
                self.count = *viewers;
                self.known.remove(&viewer.id);
            }
            SessionEvent::SizeOwner { viewer, size } => {
                self.owner = Some((*viewer, *size));
                let is_own = self.own.is_none_or(|own| own == *viewer);
                return Some(Event::TerminalSize { size: (*size).into(), is_own });
            }
            SessionEvent::Recording { .. }
            | SessionEvent::Reattached
            | SessionEvent::SignalUnconfirmed { .. }
            | SessionEvent::Other => {}
        }
        None
    }

    fn add(&mut self, viewer: &Viewer) {
        if self.known.len() >= MOST {
            return;
        }
        let mode = match viewer.mode {
            ViewerMode::ReadWrite => "may type",
            ViewerMode::ReadOnly => "watches",
            ViewerMode::Other => "is of another kind",
        };
        // It comes from the host, and is printed on the terminal.
        let is_plain = |character: &char| character.is_ascii_graphic();
        let grant: String = viewer.grant.chars().filter(is_plain).take(64).collect();
        self.known.insert(viewer.id, format!("{mode} (grant {grant})"));
    }

    /// Describes them in lines for a terminal in raw mode. `None` if the gate has reported none.
    pub(super) fn about(&self) -> Option<String> {
        let own = self.own?;
        let mut lines = match self.count {
            0 | 1 => "You are the only client of this session.\r\n".to_owned(),
            count => format!("{count} clients use this session. You are client {own}.\r\n"),
        };
        for (id, words) in &self.known {
            write!(lines, "Client {id} {words}.\r\n").unwrap_or_default();
        }
        if let Some((owner, Size { width, height })) = self.owner {
            let whose = match owner {
                NOBODY => "a size that is no client's".to_owned(),
                _ if owner == own => "your size".to_owned(),
                _ => format!("the size of client {owner}"),
            };
            write!(lines, "The terminal has {whose}, {width}x{height}.\r\n").unwrap_or_default();
        }
        Some(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_the_size_is_named_and_the_terminal_side_learns_it() {
        let mut viewers = Viewers::default();
        assert_eq!(viewers.about(), None);
        let alone = SessionEvent::Viewers { own: 4, viewers: 1, others: Vec::new() };
        assert_eq!(viewers.follow(&alone), None);
        let alone = "You are the only client of this session.\r\n";
        assert_eq!(viewers.about().as_deref(), Some(alone));
        let grant = "ticket-1\u{1b}[2J".to_owned();
        let viewer = Viewer { id: 6, mode: ViewerMode::ReadWrite, grant };
        viewers.follow(&SessionEvent::ViewerJoined { viewer: viewer.clone(), viewers: 2 });
        let size = Size { width: 80, height: 24 };
        for (owner, is_own) in [(4, true), (6, false)] {
            let event = viewers.follow(&SessionEvent::SizeOwner { viewer: owner, size });
            assert_eq!(event, Some(Event::TerminalSize { size: size.into(), is_own }));
        }
        let about = viewers.about().expect("something");
        assert!(about.contains("Client 6 may type (grant ticket-1[2J)."), "{about}");
        assert!(about.ends_with("The terminal has the size of client 6, 80x24.\r\n"), "{about}");
        viewers.follow(&SessionEvent::ViewerLeft { viewer, viewers: 1 });
        let event = viewers.follow(&SessionEvent::SizeOwner { viewer: NOBODY, size });
        assert_eq!(event, Some(Event::TerminalSize { size: size.into(), is_own: false }));
        let about = viewers.about().expect("something");
        assert!(!about.contains("Client 6") && about.contains("no client's, 80x24"), "{about}");
        let other = Viewer { id: 2, mode: ViewerMode::ReadOnly, grant: "g2".to_owned() };
        viewers.follow(&SessionEvent::Viewers { own: 4, viewers: 2, others: vec![other] });
        let about = viewers.about().expect("something");
        assert!(about.contains("\r\nClient 2 watches (grant g2).\r\n"), "{about}");
    }
}
