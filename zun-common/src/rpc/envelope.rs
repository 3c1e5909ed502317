//! The envelope around each message on the bus.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::code::Problem;
use crate::id::{Epoch, ProjectId, RequestId};

/// The origin of a call. It travels with the call through all layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// The client's request.
    pub request: RequestId,
    /// The project on whose behalf the call is made, if any.
    pub project: Option<ProjectId>,
    /// W3C trace context, if the client sent one.
    pub traceparent: Option<String>,
}

impl CallContext {
    /// Creates the context for internal work, such as a heartbeat.
    pub fn internal() -> Self {
        Self { request: RequestId::random(), project: None, traceparent: None }
    }
}

/// A request on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope {
    /// The protocol version of the sender.
    pub v: u32,
    /// ID of the message. Redeliveries keep it.
    pub id: Uuid,
    /// Method of the call.
    pub method: String,
    /// The client's request.
    pub request_id: RequestId,
    /// The project on whose behalf the call is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// The sending service: `zun-api`, or the host name of an agent.
    pub sender: String,
    /// The receiver refuses the message after this time.
    pub deadline: DateTime<Utc>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// In a call to a host, the epoch of the agent that may answer it. Services that are older than this field neither
    /// send nor check it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The fields of the call.
    pub body: serde_json::Value,
}

/// A reply on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// The protocol version of the sender.
    pub v: u32,
    /// ID of the request; absent if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<Uuid>,
    /// The outcome of the call.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The call was done or accepted.
    Ok(serde_json::Value),
    /// The call was refused.
    Problem(Problem),
}
