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
    current: Arc<Mutex<CurrentGrant>>,
    renewal: Option<Arc<dyn Renewal>>,
    link: LinkTimeouts,
    proxies: Proxies,
}

struct CurrentGrant {
    dialer: Dialer,
    expires_at: DateTime<Utc>,
}

impl Grants {
    /// Creates it with the first grant and the means to renew it.
    pub fn new(dial: &Dial) -> Result<Self, ConsoleError> {
        let Dial { endpoint, key, renewal, link, proxies, .. } = dial;
        let dialer = Dialer::new(&endpoint.tls, key)?.with_options(*link, proxies.clone());
        let current = CurrentGrant { dialer, expires_at: endpoint.expires_at };
        Ok(Self {
            current: Arc::new(Mutex::new(current)),
            renewal: renewal.clone(),
            link: *link,
            proxies: proxies.clone(),
        })
    }

    /// Returns a dialer with a valid grant, and renews the grant if needed.
    pub async fn dialer(&self) -> Result<Dialer, ConsoleError> {
        let mut current = self.current.lock().await;
        if Utc::now() + MARGIN >= current.expires_at {
            *current = self.renewed().await?;
        }
        Ok(current.dialer.clone())
    }

    /// Whether there is a source of new grants.
    pub const fn can_renew(&self) -> bool {
        self.renewal.is_some()
    }

    /// Renews the grant although it has not expired: the host's clock may differ, or the host may have a new CA.
    pub async fn another(&self) -> Result<Dialer, ConsoleError> {
        let mut current = self.current.lock().await;
        *current = self.renewed().await?;
        Ok(current.dialer.clone())
    }

    async fn renewed(&self) -> Result<CurrentGrant, ConsoleError> {
        let renewal = self.renewal.as_ref().ok_or(ConsoleError::Expired)?;
        let Renewed { tls, key, expires_at } =
            renewal.renew().await.map_err(ConsoleError::NotRenewed)?;
        let dialer = Dialer::new(&tls, &key)?.with_options(self.link, self.proxies.clone());
        Ok(CurrentGrant { dialer, expires_at })
    }
}
