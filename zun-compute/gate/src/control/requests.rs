//! The requests of the control socket.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::info;
use zun_common::chain;
use zun_common::gate_control::{
    Closed, Deleted, GateSessions, IssuedTicket, RecordingTicketRequest, RecordingsRequest,
    Refusal, SizeRequest, TicketRequest,
};
use zun_common::id::{InvalidId, RecordingId};

use super::Control;
use crate::recording::NotDeleted;
use crate::rights::NoTicket;

/// The largest body of a request, in bytes.
const LARGEST_BODY: usize = 64 << 10;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// The JSON of a successful response, or the status and the message of a refusal.
type Answer = Result<Vec<u8>, (StatusCode, String)>;

impl Control {
    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() == Method::GET && request.uri().path() == "/metrics" {
            return self.metrics();
        }
        let (status, body) = match self.carry_out(request).await {
            Ok(body) => (StatusCode::OK, body),
            Err((status, message)) => {
                (status, serde_json::to_vec(&Refusal { message }).unwrap_or_default())
            }
        };
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let text = self.hub.stats().text(&self.hub.gauges());
        let mut response = Response::new(Full::new(text.into()));
        response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
        response
    }

    async fn carry_out(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let method = request.method().clone();
        match (&method, &*parts) {
            (&Method::POST, ["tickets"]) => self.issue(body(request).await?),
            (&Method::GET, ["sessions"]) => json(&GateSessions {
                attachments: [self.hub.attachments(), self.hub.unattended()].concat(),
                tickets: self.rights.tickets(Instant::now()),
                recordings: self.rights.recording_tickets(Instant::now()),
            }),
            (&Method::POST, ["recordings"]) => {
                json(&self.hub.recordings().list(&body::<RecordingsRequest>(request).await?))
            }
            (&Method::DELETE, ["recordings", id]) => self.delete_recording(id),
            (&Method::POST, ["recordings", id, "ticket"]) => {
                self.issue_for_recording(id, body(request).await?)
            }
            (&Method::POST, ["size"]) => self.resize(&body(request).await?),
            (&Method::DELETE, ["grants", id]) => self.revoke(id),
            _ => Err((StatusCode::NOT_FOUND, format!("there is no {method} {path}"))),
        }
    }

    /// The address for clients with tickets.
    fn address(&self) -> Result<String, (StatusCode, String)> {
        self.public.clone().ok_or_else(|| {
            let words = "the console gate has no name for clients with tickets: set `name` in [public] of \
                         zun-console's settings";
            (StatusCode::NOT_IMPLEMENTED, words.to_owned())
        })
    }

    fn issue(&self, request: TicketRequest) -> Answer {
        let address = self.address()?;
        let TicketRequest { target, project, grant, mode, seconds, uses, files } = request.clone();
        let ticket = self.rights.issue(request, Instant::now());
        let ticket = ticket.map_err(|refused| (status(refused), refused.to_string()))?;
        info!(
            grant.id = %grant, project.id = %project, %target, mode = mode.as_str(), seconds, uses,
            files = files.is_some(),
            "issued a ticket"
        );
        json(&IssuedTicket { ticket, address })
    }

    fn issue_for_recording(&self, id: &str, request: RecordingTicketRequest) -> Answer {
        let address = self.address()?;
        let id = recording_id(id)?;
        let RecordingTicketRequest { project, grant, seconds } = request.clone();
        let wanted = RecordingsRequest {
            project: Some(project.clone()),
            id: Some(id),
            ..RecordingsRequest::default()
        };
        let kept = self.hub.recordings().list(&wanted).recordings.pop();
        let kept = kept.ok_or_else(|| {
            (StatusCode::GONE, format!("there is no recording {id} of project {project}"))
        })?;
        let recorded = (id, kept.info.container);
        let ticket = self.rights.issue_for_recording(recorded, request, Instant::now());
        let ticket = ticket.map_err(|refused| (status(refused), refused.to_string()))?;
        info!(grant.id = %grant, project.id = %project, recording.id = %id, seconds, "issued a ticket");
        json(&IssuedTicket { ticket, address })
    }

    fn revoke(&self, grant: &str) -> Answer {
        // Revoked first, so that no client joins before the sessions are ended.
        let remembered = self.rights.revoke(grant, Instant::now());
        let sessions = self.hub.revoke(grant);
        info!(grant.id = %grant, sessions, "revoked a grant");
        remembered.map_err(|many| (StatusCode::SERVICE_UNAVAILABLE, many.to_string()))?;
        json(&Closed { sessions })
    }

    fn delete_recording(&self, id: &str) -> Answer {
        let id = recording_id(id)?;
        let size = self.hub.recordings().delete(id).map_err(|error| {
            let status = match error {
                NotDeleted::NotFound(_) => StatusCode::GONE,
                NotDeleted::InProgress(_) => StatusCode::CONFLICT,
                NotDeleted::Files(..) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, chain(&error))
        })?;
        info!(recording.id = %id, size, "deleted a recording");
        json(&Deleted { size })
    }

    fn resize(&self, request: &SizeRequest) -> Answer {
        let resized = self.hub.resize(&request.target, request.size);
        json(&Closed { sessions: usize::from(resized) })
    }
}

fn recording_id(text: &str) -> Result<RecordingId, (StatusCode, String)> {
    text.parse().map_err(|invalid: InvalidId| (StatusCode::BAD_REQUEST, invalid.to_string()))
}

const fn status(refused: NoTicket) -> StatusCode {
    match refused {
        NoTicket::OutOfRange => StatusCode::BAD_REQUEST,
        NoTicket::Revoked => StatusCode::CONFLICT,
        NoTicket::TooMany => StatusCode::SERVICE_UNAVAILABLE,
        NoTicket::NoRandomness => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, (StatusCode, String)> {
    let bad = |words: String| (StatusCode::BAD_REQUEST, words);
    let collected = Limited::new(request.into_body(), LARGEST_BODY).collect().await;
    let bytes = collected.map_err(|cause| bad(cause.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|cause| bad(format!("the body cannot be read: {cause}")))
}

fn json(answer: &impl Serialize) -> Answer {
    serde_json::to_vec(answer)
        .map_err(|cause| (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()))
}
