//! Decodes an envelope, or refuses it with a code.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::bus::transport::MAX_BODY;
use crate::environment;
use crate::rpc::PROTOCOL;
use crate::rpc::code::{Code, Problem};
use crate::rpc::envelope::Envelope;

/// Tolerated clock difference between two hosts.
///
/// The transport expires undelivered messages by its own clock. The check here catches only messages that expire after
/// delivery: in a prefetch buffer, or before a redelivery. Refusing such a message late costs little. Refusing messages
/// early because a clock is ahead would make every call to a host fail. The clocks of hosts with NTP differ by far less
/// than 30 seconds.
const TOLERATED_SKEW: Duration = Duration::from_secs(30);

/// Only the version. The rest of a newer envelope may have another shape.
#[derive(serde::Deserialize)]
struct VersionOnly {
    v: u32,
}

pub(super) fn parse_envelope(body: &[u8]) -> Result<Envelope, Problem> {
    if body.len() > MAX_BODY {
        let words = format!("a message of {} bytes is larger than 16 MiB", body.len());
        return Err(Problem::new(Code::TooLarge, words));
    }
    let unreadable = |cause| Problem::new(Code::BadRequest, format!("malformed message: {cause}"));
    let VersionOnly { v } = serde_json::from_slice(body).map_err(unreadable)?;
    if v > PROTOCOL {
        let words = format!(
            "protocol version {v} is not supported: the newest supported version is {PROTOCOL}"
        );
        return Err(Problem::new(Code::Unsupported, words));
    }
    let envelope: Envelope = serde_json::from_slice(body).map_err(unreadable)?;
    if time_until(envelope.deadline, environment::now()).is_zero() {
        let words = format!(
            "the deadline of {} from {} has passed (request {})",
            envelope.method, envelope.sender, envelope.request_id
        );
        return Err(Problem::new(Code::Expired, words));
    }
    Ok(envelope)
}

/// Time left until the deadline, tolerating the clock difference.
pub(super) fn time_until(deadline: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    let skew = TimeDelta::from_std(TOLERATED_SKEW).unwrap_or_default();
    (deadline + skew - now).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn sample(v: u32, deadline: DateTime<Utc>) -> Vec<u8> {
        let envelope = json!({
            "v": v, "id": Uuid::nil(), "method": "x", "request_id": "req-1", "sender": "zun-api",
            "deadline": deadline, "body": {}, "a field from the future": 1,
        });
        serde_json::to_vec(&envelope).expect("an envelope")
    }

    fn code(body: &[u8]) -> Code {
        parse_envelope(body).expect_err("refused").code
    }

    #[test]
    fn a_message_that_cannot_be_processed_is_refused_with_a_code() {
        let later = Utc::now() + TimeDelta::seconds(60);
        assert!(parse_envelope(&sample(PROTOCOL, later)).is_ok());
        assert_eq!(code(b"\xff\x00"), Code::BadRequest);
        assert_eq!(code(b"{}"), Code::BadRequest);
        assert_eq!(code(&sample(PROTOCOL + 1, later)), Code::Unsupported);
        assert_eq!(code(br#"{"v": 999, "all": "different"}"#), Code::Unsupported);
        assert_eq!(code(&sample(PROTOCOL, Utc::now() - TimeDelta::hours(1))), Code::Expired);
        assert_eq!(code(&vec![b' '; MAX_BODY + 1]), Code::TooLarge);
    }

    #[test]
    fn clocks_may_differ_by_30_seconds() {
        let now = Utc::now();
        assert!(!time_until(now - TimeDelta::seconds(29), now).is_zero());
        assert!(time_until(now - TimeDelta::seconds(31), now).is_zero());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse_envelope(&body).is_err());
        }
    }
}
