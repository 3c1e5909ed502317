//! The decision: pure, from the engine's request, the policy and the time.

use zun_common::grant::{ApiVersion, Call, Target, WaitCondition};
use zun_common::id::{EngineId, HostName};

use super::certificate::{self, Granted};
use super::request::{AuthzRequest, ContentType};
use super::trusted_cas::TrustedCas;

/// What a host honours.
pub struct Policy {
    /// This host.
    pub host: HostName,
    /// The one version of the API that grants are good for.
    pub version: ApiVersion,
    /// Whose grants.
    pub cas: TrustedCas,
}

/// The engine asks twice: before a request is served and, for a stream at its end, before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before.
    Request,
    /// After. The grant may have expired meanwhile: a session outlives the time to dial.
    Answer,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed: somebody on this machine, by the unix socket.
    Local,
    /// Allowed: exactly what was granted.
    Granted(Granted),
    /// Refused. The grant's id is there as soon as the certificate is known to be ours.
    Refused(Refusal, Option<String>),
}

/// Why a request is refused. These words go to the log, never to the asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no request.
    #[error("the request cannot be read")]
    Unreadable,
    /// TLS, but nobody.
    #[error("neither local nor by TLS with a certificate")]
    NoCertificate,
    /// Not one certificate in PEM.
    #[error("the certificate cannot be read")]
    NotACertificate,
    /// Another authority.
    #[error("the certificate is not issued by our authority")]
    UntrustedIssuer,
    /// Another purpose, or an authority.
    #[error("the certificate is not for clients, and for them alone")]
    NotClientOnly,
    /// No grant id.
    #[error("the certificate has no usable common name")]
    NoUsableName,
    /// The engine names another user.
    #[error("the user is not the certificate's")]
    UserMismatch,
    /// No grant, or more than one.
    #[error("the certificate's only alternative name must be a grant")]
    InvalidGrant,
    /// Zun signs none that is good for so long.
    #[error("the grant is good for longer than any that is signed")]
    LifetimeTooLong,
    /// A grant for elsewhere.
    #[error("the grant is for another host")]
    HostMismatch,
    /// A grant that is not yet, or no longer, good to dial with.
    #[error("the grant is not valid now")]
    NotValidNow,
    /// A call that it is not good for.
    #[error("the grant is not good for this call")]
    CallNotGranted,
    /// A body of a kind that could change the call.
    #[error("the request says of its body what could make it another call")]
    UnsafeContentType,
}

/// What a call is of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleCall {
    /// Its stream, both ways.
    Stream,
    /// Its stream, of one who only watches.
    ReadOnlyStream,
    /// The wait for the end of its process.
    Wait,
}

/// The calls that are parts of a console and last.
const CONSOLE_CALLS: [Call; 6] = [
    Call::AttachWebsocket,
    Call::Attach,
    Call::AttachOutput,
    Call::Wait(WaitCondition::NotRunning),
    Call::Wait(WaitCondition::NextExit),
    Call::Wait(WaitCondition::Removed),
];

impl Policy {
    /// Decides. `now` is in seconds since 1970.
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

    /// What an allowed call is of a console, and whose.
    pub fn console_call(
        &self,
        granted: &Granted,
        request: &AuthzRequest,
    ) -> Option<(ConsoleCall, EngineId)> {
        let target = match &granted.grant.target {
            Target::Container { id, .. } => id,
            Target::Data { .. } | Target::Exec { .. } => return None,
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

    fn is_call(&self, call: Call, granted: &Granted, request: &AuthzRequest) -> bool {
        let line = granted.grant.call(self.version, call);
        line.is_some_and(|(method, uri)| method.as_str() == request.method && uri == request.uri)
    }

    /// Whether the engine can take the call only for what its target says. It takes values of a form in the body
    /// before those of the target, and which header it goes by is not told here: so there may be none. The start
    /// of an exec needs one and asks for no value of a form; where the engine goes by another than JSON, it
    /// refuses that itself.
    fn has_safe_content_type(&self, granted: &Granted, request: &AuthzRequest) -> bool {
        match request.content_type {
            ContentType::Absent => true,
            ContentType::Json => self.is_call(Call::ExecStart, granted, request),
            ContentType::Other => false,
        }
    }

    fn read(&self, request: &AuthzRequest) -> Result<Granted, Refusal> {
        match request.leaf() {
            Some(leaf) if request.auth_method == "TLS" => certificate::read(leaf, &self.cas),
            Some(_) | None => Err(Refusal::NoCertificate),
        }
    }

    fn refusal(
        &self,
        granted: &Granted,
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
