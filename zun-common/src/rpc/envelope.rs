//! What is around each message on the bus.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::code::Problem;
use crate::id::{ProjectId, RequestId};

/// Who asks and until when. It goes along with a call through all layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// The client's request.
    pub request: RequestId,
    /// On whose behalf, if on anybody's.
    pub project: Option<ProjectId>,
    /// W3C trace context, if the client sent one.
    pub traceparent: Option<String>,
}

impl CallContext {
    /// For work that nobody asked for, such as a heartbeat.
    pub fn internal() -> Self {
        Self { request: RequestId::random(), project: None, traceparent: None }
    }
}

/// A request, as it is on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    /// The protocol version of the sender.
    pub v: u32,
    /// This message. A redelivery has the same.
    pub id: Uuid,
    /// The call.
    pub method: String,
    /// The client's request.
    pub request_id: RequestId,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// The sending service: `zun-api`, or the host name of an agent.
    pub sender: String,
    /// Refused afterwards.
    pub deadline: DateTime<Utc>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The call's own fields.
    pub body: serde_json::Value,
}

/// A reply, as it is on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// The protocol version of the sender.
    pub v: u32,
    /// The message that it answers; absent where that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<Uuid>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, or accepted.
    Ok(serde_json::Value),
    /// Refused.
    Problem(Problem),
}
