//! Clients with certificates: whether the grant in the certificate allows the request.

use std::time::Instant;

use hyper::StatusCode;
use hyper::http::request::Parts;
use zun_common::client_certificate::GrantCertificate;
use zun_common::grant::{Mode, Target as GrantTarget};
use zun_common::id::HostName;
use zun_common::pty::{PROTOCOL, container_path, exec_path};

use super::origin;
use super::request::UpgradeRequest;
use super::serve::{Admitted, Kind, Server};
use super::tls::now;
use crate::engine::Target;
use crate::hub::Client;
use crate::session::KeyHash;

impl Server {
    /// Decides a request, and connects the client to its session.
    pub(super) async fn admit_certified(
        &self,
        head: &Parts,
        certificate: &GrantCertificate,
    ) -> Result<Admitted, StatusCode> {
        let access = access(certificate, &self.host, head)?;
        if !origin::is_own(&head.headers) || self.rights.is_revoked(&certificate.id, Instant::now())
        {
            return Err(StatusCode::FORBIDDEN);
        }
        let upgrade = UpgradeRequest::read(head)?;
        let hello = upgrade.hello()?;
        let key = KeyHash::of(&certificate.key);
        let resumes =
            hello.resume.as_ref().is_some_and(|resume| self.hub.knows(&access.target, key, resume));
        if !certificate.is_valid_at(now()) && !resumes {
            return Err(StatusCode::FORBIDDEN);
        }
        let Access { target, may_write } = access;
        let client = Client { grant: certificate.id.clone(), key, may_write, files: None, hello };
        let next = self.connect(&target, client, Kind::Pty).await?;
        Ok(Admitted { key: upgrade.key, protocol: Some(PROTOCOL), next })
    }
}

/// What a grant gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Access {
    target: Target,
    may_write: bool,
}

/// Returns what the certificate's grant gives access to, if that is exactly what the request is for. Does not check
/// whether the grant is valid now.
fn access(
    certificate: &GrantCertificate,
    host: &HostName,
    head: &Parts,
) -> Result<Access, StatusCode> {
    if certificate.grant.host != *host {
        return Err(StatusCode::FORBIDDEN);
    }
    let (path, access) = match &certificate.grant.target {
        GrantTarget::Container { id, mode } => {
            let target = Target::Container(id.clone());
            let may_write = *mode == Mode::ReadWrite;
            (container_path(id.as_str()), Access { target, may_write })
        }
        GrantTarget::Exec { id } => {
            let target = Target::Exec(id.clone());
            (exec_path(id.as_str()), Access { target, may_write: true })
        }
        GrantTarget::Data { .. } | GrantTarget::Recording { .. } => {
            return Err(StatusCode::FORBIDDEN);
        }
    };
    // The whole request target must match: no query, no other spelling.
    if head.uri.to_string() == path { Ok(access) } else { Err(StatusCode::FORBIDDEN) }
}
