//! Decides a request. The decision is a pure function of Docker's request, the policy and the time.

use zun_common::client_certificate::{GrantCertificate, TrustedCas};
use zun_common::grant::{ApiVersion, Call, Target, WaitCondition};
use zun_common::id::{EngineId, HostName};

use super::certificate;
use super::refusal::Refusal;
use super::request::{AuthzRequest, ContentType};

/// The host, API version and CAs that a grant must match.
pub struct Policy {
    /// This host; a grant must name it.
    pub host: HostName,
    /// The only version of Docker's API that grants permit.
    pub version: ApiVersion,
    /// The CAs whose grants are accepted.
    pub cas: TrustedCas,
}

/// The point at which Docker asks the plugin.
///
/// Docker asks twice per request: before it serves the request, and before it sends the response. For a stream, it asks
/// the second time when the stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before Docker serves the request.
    Request,
    /// Before Docker sends the response. The grant may have expired: it must be valid only when the client dials.
    Answer,
}

/// The decision on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed: the request came over the unix socket.
    Local,
    /// Allowed: the grant permits exactly this request.
    Granted(GrantCertificate),
    /// Refused, with the grant's ID if the certificate has a readable grant from a trusted CA.
    Refused(Refusal, Option<String>),
}

/// A request that belongs to a console session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleCall {
    /// The stream in both directions.
    Stream,
    /// The stream of a read-only viewer.
    ReadOnlyStream,
    /// The wait for the exit of the container's process.
    Wait,
}

/// The calls that last as long as a console session.
const CONSOLE_CALLS: [Call; 6] = [
    Call::AttachWebsocket,
    Call::Attach,
    Call::AttachOutput,
    Call::Wait(WaitCondition::NotRunning),
    Call::Wait(WaitCondition::NextExit),
    Call::Wait(WaitCondition::Removed),
];

impl Policy {
    /// Decides a request. `now` is a Unix time in seconds.
    pub fn decide(&self, request: &AuthzRequest, phase: Phase, now: i64) -> Decision {
        if request.is_local() {
            return Decision::Local;
        }
        let granted = match self.read(request) {
            Ok(granted) => granted,
            Err(refusal) => return Decision::Refused(refusal, None),
        };
        match self.refusal(&granted, request, (phase, now)) {
            None => Decision::Granted(granted),
            Some(refusal) => Decision::Refused(refusal, Some(granted.id)),
        }
    }

    /// Returns the console call and the container of an allowed request. `None` if it does not belong to a console.
    pub fn console_call(
        &self,
        granted: &GrantCertificate,
        request: &AuthzRequest,
    ) -> Option<(ConsoleCall, EngineId)> {
        let target = match &granted.grant.target {
            Target::Container { id, .. } => id,
            Target::Data { .. } | Target::Exec { .. } | Target::Recording { .. } => return None,
        };
        let console_call =
            match CONSOLE_CALLS.iter().find(|call| self.is_call(**call, granted, request))? {
                Call::AttachOutput => ConsoleCall::ReadOnlyStream,
                Call::Wait(_) => ConsoleCall::Wait,
                Call::AttachWebsocket
                | Call::Attach
                | Call::Resize(_)
                | Call::ExecStart
                | Call::ExecResize(_)
                | Call::ExecInspect => ConsoleCall::Stream,
            };
        Some((console_call, target.clone()))
    }

    fn is_call(&self, call: Call, granted: &GrantCertificate, request: &AuthzRequest) -> bool {
        let line = granted.grant.call(self.version, call);
        line.is_some_and(|(method, uri)| method.as_str() == request.method && uri == request.uri)
    }

    /// Whether the body cannot override the query parameters of the target.
    ///
    /// Docker prefers form values in the body to query parameters. If the header is repeated, the plugin does not see
    /// which value Docker uses. So the header must be absent. The start of an exec is the exception, because it needs a
    /// JSON body: that call reads no form values, and Docker itself accepts only JSON there.
    fn has_safe_content_type(&self, granted: &GrantCertificate, request: &AuthzRequest) -> bool {
        match request.content_type {
            ContentType::Absent => true,
            ContentType::Json => self.is_call(Call::ExecStart, granted, request),
            ContentType::Other => false,
        }
    }

    fn read(&self, request: &AuthzRequest) -> Result<GrantCertificate, Refusal> {
        match request.leaf() {
            Some(leaf) if request.auth_method == "TLS" => Ok(certificate::read(leaf, &self.cas)?),
            Some(_) | None => Err(Refusal::NoCertificate),
        }
    }

    fn refusal(
        &self,
        granted: &GrantCertificate,
        request: &AuthzRequest,
        (phase, now): (Phase, i64),
    ) -> Option<Refusal> {
        if granted.id != request.user {
            return Some(Refusal::UserMismatch);
        }
        if granted.grant.host != self.host {
            return Some(Refusal::HostMismatch);
        }
        if phase == Phase::Request && !granted.is_valid_at(now) {
            return Some(Refusal::NotValidNow);
        }
        if !granted.grant.permits(self.version, &request.method, &request.uri) {
            return Some(Refusal::CallNotGranted);
        }
        let bad = phase == Phase::Request && !self.has_safe_content_type(granted, request);
        bad.then_some(Refusal::UnsafeContentType)
    }
}

#[cfg(test)]
mod tests;
