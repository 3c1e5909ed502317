//! Watches whether a ticket was used.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use zun_common::api::v1::session::GrantList;
use zun_common::id::HostName;

/// The pause between two polls in the first seconds, and afterwards. Each poll reaches every host of the project.
const PAUSE: Duration = Duration::from_millis(250);
const LONG_PAUSE: Duration = Duration::from_secs(1);
const FIRST_SECONDS: Duration = Duration::from_secs(5);

/// What is known about the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Unused,
    Used,
    /// The list of grants does not say it. Links to containers of other projects are never listed.
    Unknown,
}

/// Watches one ticket.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    ticket: &'a str,
    /// The host that has listed the ticket.
    host: Option<HostName>,
    link: Link,
}

impl<'a> Watch<'a> {
    pub(super) const fn new(ticket: &'a str) -> Self {
        Self { ticket, host: None, link: Link::Unknown }
    }

    /// What the last poll has shown.
    pub(super) const fn link(&self) -> Link {
        self.link
    }

    /// Polls until the ticket is used. `poll` returns `None` if it fails.
    pub(super) async fn until_used(&mut self, poll: impl AsyncFn() -> Option<GrantList>) {
        let began = Instant::now();
        while self.link != Link::Used {
            sleep(if began.elapsed() < FIRST_SECONDS { PAUSE } else { LONG_PAUSE }).await;
            self.link = poll().await.map_or(Link::Unknown, |list| self.judge(list));
        }
    }

    fn judge(&mut self, list: GrantList) -> Link {
        if let Some(grant) = list.grants.into_iter().find(|grant| grant.id == self.ticket) {
            let is_unused = grant.sessions == 0 && grant.uses.is_some();
            self.host = Some(grant.host);
            return if is_unused { Link::Unused } else { Link::Used };
        }
        // A ticket that its host no longer has was used, and its session has ended.
        match &self.host {
            Some(host) if !list.unresponsive_hosts.contains(host) => Link::Used,
            Some(_) | None => Link::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(own: Option<(usize, Option<u32>)>, silent: &[&str]) -> GrantList {
        let own = own.map(|(sessions, uses)| {
            json!({
                "id": "own", "container": uuid::Uuid::nil(), "container_name": "test", "host": "h1",
                "mode": "rw", "sessions": sessions, "uses": uses,
            })
        });
        let list = json!({ "grants": Vec::from_iter(own), "unresponsive_hosts": silent });
        serde_json::from_value(list).expect("a list")
    }

    #[test]
    fn a_listed_ticket_decides_whichever_hosts_are_silent() {
        let mut watch = Watch::new("own");
        assert_eq!(watch.judge(list(Some((0, Some(1))), &["h2"])), Link::Unused);
        assert_eq!(watch.judge(list(Some((1, None)), &["h2"])), Link::Used);
    }

    #[test]
    fn an_absent_ticket_was_used_only_if_its_host_has_listed_it_and_answers() {
        let mut watch = Watch::new("own");
        assert_eq!(watch.judge(list(None, &[])), Link::Unknown);
        assert_eq!(watch.judge(list(Some((0, Some(1))), &[])), Link::Unused);
        assert_eq!(watch.judge(list(None, &["h1"])), Link::Unknown);
        assert_eq!(watch.judge(list(None, &["h2"])), Link::Used);
    }
}
