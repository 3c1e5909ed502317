//! Requests that change a container. Each has an idempotency key, so the service carries it out once, and the client
//! can repeat it if the answer was lost.
//!
//! ```text
//!  send ──> answer: the result
//!   ^  ├──> answer lost, or "try again later": pause, then the same key again, for 30 seconds
//!   └──┴──> not reached: the error, unless an earlier answer was lost
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Request, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::client::{LONG_TIMEOUT, REQUEST_ID, request_of};
use super::{ApiError, Client};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What to do if the service is unreachable, and so did not receive the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfUnreachable {
    /// Fail at once.
    Fail,
    /// Send it again, like a request whose answer was lost.
    Repeat,
}

/// Measures how long the service has been unavailable, for example because it restarts.
#[derive(Debug, Default)]
pub(crate) struct Absence {
    /// When that was first noticed, and how long the next pause is.
    noticed: Option<(Instant, Duration)>,
}

impl Absence {
    /// How long the service may be unavailable.
    const LONGEST: Duration = Duration::from_secs(30);
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(2);

    /// Waits a moment; `false` once it has been unavailable for too long.
    pub(crate) async fn lasts(&mut self) -> bool {
        self.lasts_for(Duration::ZERO).await
    }

    /// The same, and waits at least as long as the service asked for.
    async fn lasts_for(&mut self, asked: Duration) -> bool {
        let (since, pause) = self.noticed.unwrap_or_else(|| (Instant::now(), Self::FIRST_PAUSE));
        self.noticed = Some((since, (pause * 2).min(Self::LONGEST_PAUSE)));
        if asked > Self::LONGEST.saturating_sub(since.elapsed()) {
            return false;
        }
        tokio::time::sleep(pause.max(asked)).await;
        since.elapsed() < Self::LONGEST
    }
}

/// Why an attempt failed, and what that means.
struct Failed {
    error: ApiError,
    meaning: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The service has decided.
    Final,
    /// The service did not receive the request.
    Unreachable,
    /// The service may have got the request.
    Lost,
    /// The service asks to repeat the request after this time.
    Later(Duration),
}

impl Client {
    /// Sends a request that changes a container, and returns the answer's body as JSON.
    pub(super) async fn change<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        deadline: Duration,
    ) -> Result<T, ApiError> {
        let (body, request) = self.repeat(request, (deadline, IfUnreachable::Fail)).await?;
        serde_json::from_slice(&body)
            .map_err(|cause| ApiError::BadAnswer { cause: Box::new(cause), request })
    }

    /// Sends a request that changes a container, and ignores the body of the answer.
    pub(super) async fn command(
        &self,
        request: RequestBuilder,
        if_unreachable: IfUnreachable,
    ) -> Result<(), ApiError> {
        self.repeat(request, (LONG_TIMEOUT, if_unreachable)).await.map(drop)
    }

    /// Sends a request until there is an answer, or the service has been unavailable for too long. Returns the answer's
    /// body and request ID.
    async fn repeat(
        &self,
        request: RequestBuilder,
        (deadline, if_unreachable): (Duration, IfUnreachable),
    ) -> Result<(Bytes, Option<String>), ApiError> {
        let request = request.header(KEY, Uuid::new_v4().to_string()).timeout(deadline);
        let request = request.build().map_err(ApiError::Setup)?;
        let mut absence = Absence::default();
        let mut lost = None;
        // A request can be copied unless its body is a stream.
        while let Some(copy) = request.try_clone() {
            let Failed { error, meaning } = match self.attempt(copy).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let pause = match meaning {
                Meaning::Final => return Err(error),
                Meaning::Unreachable if lost.is_none() && if_unreachable == IfUnreachable::Fail => {
                    return Err(error);
                }
                Meaning::Unreachable | Meaning::Lost => Duration::ZERO,
                Meaning::Later(pause) => pause,
            };
            if !absence.lasts_for(pause).await {
                // An earlier attempt whose answer was lost may have been carried out, whatever the later errors were.
                return Err(lost.unwrap_or(error));
            }
            if meaning == Meaning::Lost {
                lost.get_or_insert(error);
            }
        }
        self.attempt(request).await.map_err(|failed| failed.error)
    }

    async fn attempt(&self, request: Request) -> Result<(Bytes, Option<String>), Failed> {
        let unanswered = |error: ApiError| {
            let meaning = if matches!(error, ApiError::Unreachable { .. }) {
                Meaning::Unreachable
            } else if matches!(error, ApiError::NotHttp { .. }) {
                Meaning::Final
            } else {
                Meaning::Lost
            };
            Failed { error, meaning }
        };
        let answer = self.exchange(request).await.map_err(unanswered)?;
        if !answer.status().is_success() {
            let meaning = meaning_of(answer.status(), answer.headers());
            return Err(Failed { error: self.refused(answer).await, meaning });
        }
        let request = request_of(&answer);
        let body = answer.bytes().await.map_err(|cause| unanswered(self.failed(cause)))?;
        Ok((body, request))
    }
}

/// What an answer means that is no success. The service sends `Retry-After` if the same request may succeed later. A
/// proxy in front of the service sends no request ID, and does not know what became of the request.
fn meaning_of(status: StatusCode, headers: &HeaderMap) -> Meaning {
    if !matches!(status.as_u16(), 502..=504) {
        return Meaning::Final;
    }
    let after = headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    match (after, headers.contains_key(REQUEST_ID)) {
        (Some(seconds), true) => Meaning::Later(Duration::from_secs(seconds)),
        (_, false) => Meaning::Lost,
        (None, true) => Meaning::Final,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn only_what_may_succeed_later_or_was_not_decided_by_the_service_is_repeated() {
        let meaning = |status: u16, after: Option<&'static str>, of_service: bool| {
            let mut headers = HeaderMap::new();
            if let Some(after) = after {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(after));
            }
            if of_service {
                headers.insert(REQUEST_ID, HeaderValue::from_static("req-1"));
            }
            meaning_of(StatusCode::from_u16(status).unwrap(), &headers)
        };
        let second = Meaning::Later(Duration::from_secs(1));
        for status in [502, 503, 504] {
            assert_eq!(meaning(status, Some("1"), true), second);
            assert_eq!(meaning(status, None, true), Meaning::Final);
            assert_eq!(meaning(status, Some("soon"), true), Meaning::Final);
            assert_eq!(meaning(status, None, false), Meaning::Lost);
        }
        for status in [400, 401, 404, 409, 500, 501] {
            assert_eq!(meaning(status, Some("1"), true), Meaning::Final);
            assert_eq!(meaning(status, None, false), Meaning::Final);
        }
    }

    #[tokio::test]
    async fn a_service_that_asks_for_a_longer_pause_than_the_limit_is_not_waited_for() {
        let begun = Instant::now();
        assert!(!Absence::default().lasts_for(Duration::from_hours(1)).await);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
