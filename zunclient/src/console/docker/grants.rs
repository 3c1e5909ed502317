//! The grant of a session. A grant expires before a long session ends, so a call renews an expired grant first.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use super::dial::Dialer;
use crate::console::{ConsoleError, Dial, LinkTimeouts, Proxies, Renewal, Renewed};

/// A grant is renewed if it expires within this time.
const MARGIN: TimeDelta = TimeDelta::seconds(3);

/// The newest grant of one session. Clones share it.
#[derive(Clone)]
pub struct Grants {
    held: Arc<Mutex<Held>>,
    renewal: Option<Arc<dyn Renewal>>,
    link: LinkTimeouts,
    proxies: Proxies,
}

struct Held {
    dialer: Dialer,
    expires_at: DateTime<Utc>,
}

impl Grants {
    /// Creates it with the first grant and the means to renew it.
    pub fn new(dial: &Dial) -> Result<Self, ConsoleError> {
        let Dial { endpoint, key, renewal, link, proxies, .. } = dial;
        let dialer = Dialer::new(&endpoint.tls, key)?.with_options(*link, proxies.clone());
        let held = Held { dialer, expires_at: endpoint.expires_at };
        Ok(Self {
            held: Arc::new(Mutex::new(held)),
            renewal: renewal.clone(),
            link: *link,
            proxies: proxies.clone(),
        })
    }

    /// Returns a dialer with a valid grant, and renews the grant if needed.
    pub async fn dialer(&self) -> Result<Dialer, ConsoleError> {
        let mut held = self.held.lock().await;
        if Utc::now() + MARGIN >= held.expires_at {
            *held = self.renewed().await?;
        }
        Ok(held.dialer.clone())
    }

    /// Whether there is a source of new grants.
    pub const fn can_renew(&self) -> bool {
        self.renewal.is_some()
    }

    /// Renews the grant although it has not expired: the host's clock may differ, or the host may have a new CA.
    pub async fn another(&self) -> Result<Dialer, ConsoleError> {
        let mut held = self.held.lock().await;
        *held = self.renewed().await?;
        Ok(held.dialer.clone())
    }

    async fn renewed(&self) -> Result<Held, ConsoleError> {
        let renewal = self.renewal.as_ref().ok_or(ConsoleError::Expired)?;
        let Renewed { tls, key, expires_at } =
            renewal.renew().await.map_err(ConsoleError::NotRenewed)?;
        let dialer = Dialer::new(&tls, &key)?.with_options(self.link, self.proxies.clone());
        Ok(Held { dialer, expires_at })
    }
}
