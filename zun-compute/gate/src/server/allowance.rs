//! How long a connection may last before it becomes a websocket, and which grant it uses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::rights::Rights;

/// The deadline is extended only by at least this much, because each chunk of a copy extends it.
const STEP: Duration = Duration::from_secs(1);

/// The time that a connection has. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Arc<watch::Sender<Allowed>>);

#[derive(Debug)]
struct Allowed {
    until: Instant,
    /// The grant whose revocation ends the connection.
    grant: Option<String>,
}

impl Allowance {
    /// The time begins now.
    pub(super) fn of(time: Duration) -> Self {
        let until = Instant::now() + time;
        Self(Arc::new(watch::Sender::new(Allowed { until, grant: None })))
    }

    /// Sets the deadline of the connection.
    pub(super) fn end_at(&self, until: Instant) {
        self.0.send_if_modified(|allowed| {
            let moves = until < allowed.until || until >= allowed.until + STEP;
            if moves {
                allowed.until = until;
            }
            moves
        });
    }

    /// Also ends the connection when the grant is revoked.
    pub(super) fn bind(&self, grant: String) {
        self.0.send_modify(|allowed| allowed.grant = Some(grant));
    }

    /// Waits until the time is over, or the grant is revoked.
    pub(super) async fn ended(&self, rights: &Rights) {
        let mut changes = self.0.subscribe();
        loop {
            let (until, grant) = {
                let allowed = changes.borrow_and_update();
                (allowed.until, allowed.grant.clone())
            };
            let revoked = async {
                match &grant {
                    Some(grant) => rights.until_revoked(grant).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep_until(until.into()) => return,
                () = revoked => return,
                // The sender is this.
                _ = changes.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_connection_ends_with_its_time_or_its_grant() {
        let rights = Rights::default();
        let allowance = Allowance::of(Duration::from_mins(1));
        assert!(timeout(SHORT, allowance.ended(&rights)).await.is_err());
        allowance.bind("t1".to_owned());
        rights.revoke("t2", Instant::now()).expect("revoked");
        assert!(timeout(SHORT, allowance.ended(&rights)).await.is_err());
        let revoke = async { rights.revoke("t1", Instant::now()).expect("revoked") };
        tokio::join!(allowance.ended(&rights), revoke);
        let other = Allowance::of(Duration::from_mins(1));
        other.end_at(Instant::now());
        other.ended(&rights).await;
    }
}
