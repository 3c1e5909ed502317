//! Keystone's answers of the last seconds. Concurrent requests with the same token ask Keystone once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::{KeystoneError, Owner};

/// Maximum number of tokens. At the limit, expired ones are removed; if that does not help, all.
const CAPACITY: usize = 10_000;

/// Keystone's answer about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The token is not valid, and never will be.
    Invalid,
    /// The token is valid.
    Valid {
        /// Its owner.
        owner: Owner,
        /// When it expires.
        expires_at: DateTime<Utc>,
    },
}

impl Answer {
    fn owner(&self) -> Option<Owner> {
        match self {
            Self::Valid { owner, expires_at } if *expires_at > Utc::now() => Some(owner.clone()),
            Self::Valid { .. } | Self::Invalid => None,
        }
    }
}

struct Entry {
    answer: Arc<OnceCell<Answer>>,
    /// When the question was asked.
    asked_at: Instant,
}

/// The cache. It holds hashes of tokens, never a token.
pub(super) struct Cache {
    lifetime: Duration,
    entries: Mutex<HashMap<[u8; 32], Entry>>,
}

impl Cache {
    /// Creates a cache whose answers are used for this time. Zero disables it.
    pub(super) fn new(lifetime: Duration) -> Self {
        Self { lifetime, entries: Mutex::new(HashMap::new()) }
    }

    /// Returns the owner of a token. Calls `ask` unless the answer is known; errors are not cached.
    pub(super) async fn get<F>(
        &self,
        token: &str,
        ask: impl FnOnce() -> F,
    ) -> Result<Option<Owner>, KeystoneError>
    where
        F: Future<Output = Result<Answer, KeystoneError>>,
    {
        let entry = self.entry(Sha256::digest(token.as_bytes()).into());
        Ok(entry.get_or_try_init(ask).await?.owner())
    }

    fn entry(&self, token: [u8; 32]) -> Arc<OnceCell<Answer>> {
        let mut entries = self.entries.lock().expect("no thread panics while it holds this lock");
        let is_fresh = |entry: &Entry| entry.asked_at.elapsed() < self.lifetime;
        if let Some(entry) = entries.get(&token).filter(|entry| is_fresh(entry)) {
            return Arc::clone(&entry.answer);
        }
        if entries.len() >= CAPACITY {
            entries.retain(|_, entry| is_fresh(entry));
        }
        if entries.len() >= CAPACITY {
            entries.clear();
        }
        let entry = Entry { answer: Arc::default(), asked_at: Instant::now() };
        let answer = Arc::clone(&entry.answer);
        entries.insert(token, entry);
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chrono::TimeDelta;

    use super::*;

    fn valid_for(lifetime: TimeDelta) -> Answer {
        Answer::Valid { owner: Owner::NoProject, expires_at: Utc::now() + lifetime }
    }

    fn answer_to(asked_before: usize) -> Result<Answer, KeystoneError> {
        let is_first = asked_before == 0;
        if is_first { Err(KeystoneError::Status(500)) } else { Ok(valid_for(TimeDelta::hours(1))) }
    }

    #[tokio::test]
    async fn concurrent_requests_ask_once_and_errors_are_not_cached() {
        let cache = Cache::new(Duration::from_mins(1));
        let asked = AtomicUsize::new(0);
        let ask = || async {
            tokio::task::yield_now().await;
            answer_to(asked.fetch_add(1, Ordering::SeqCst))
        };
        cache.get("token", ask).await.unwrap_err();
        let (first, second) = tokio::join!(cache.get("token", ask), cache.get("token", ask));
        assert_eq!(first.unwrap(), Some(Owner::NoProject));
        assert_eq!(second.unwrap(), Some(Owner::NoProject));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        cache.get("other", ask).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn an_expired_token_is_not_valid_and_old_answers_are_not_used() {
        let cache = Cache::new(Duration::from_mins(1));
        let expired = || async { Ok(valid_for(TimeDelta::seconds(-1))) };
        assert_eq!(cache.get("token", expired).await.unwrap(), None);
        let disabled = Cache::new(Duration::ZERO);
        let valid = || async { Ok(valid_for(TimeDelta::hours(1))) };
        assert!(disabled.get("token", valid).await.unwrap().is_some());
        let invalid = || async { Ok(Answer::Invalid) };
        assert_eq!(disabled.get("token", invalid).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_number_of_tokens_is_limited() {
        let cache = Cache::new(Duration::from_mins(1));
        let ask = || std::future::ready(Ok(Answer::Invalid));
        for number in 0..=CAPACITY {
            cache.get(&number.to_string(), ask).await.unwrap();
        }
        assert!(cache.entries.lock().unwrap().len() <= CAPACITY);
    }
}
