//! The request that opens a session, and whether the client's grant allows it.

use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};
use zun_common::client_certificate::GrantCertificate;
use zun_common::grant::{Mode, Target as GrantTarget};
use zun_common::id::HostName;
use zun_common::pty::{ClientHello, PROTOCOL, container_path, exec_path};

use crate::engine::Target;

/// The length of a websocket key: 16 bytes in base64.
const KEY_LENGTH: usize = 24;

/// A request for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionRequest {
    /// The client's key of the websocket, which the answer hashes.
    pub(super) key: String,
    pub(super) hello: ClientHello,
}

impl SessionRequest {
    /// Reads the headers of a request.
    pub(super) fn read(head: &Parts) -> Result<Self, StatusCode> {
        if head.method != Method::GET || head.version != Version::HTTP_11 {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let headers = &head.headers;
        if !has_own_origin(headers) {
            return Err(StatusCode::FORBIDDEN);
        }
        let upgrades = tokens(headers, &CONNECTION)
            .any(|token| token.eq_ignore_ascii_case("upgrade"))
            && tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"));
        if !upgrades || only(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(StatusCode::BAD_REQUEST);
        }
        let key = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_LENGTH);
        let key = key.ok_or(StatusCode::BAD_REQUEST)?.to_owned();
        let offered: Vec<_> = tokens(headers, &SEC_WEBSOCKET_PROTOCOL).collect();
        if !offered.contains(&PROTOCOL) {
            return Err(StatusCode::BAD_REQUEST);
        }
        let hello = ClientHello::of(offered).map_err(|_invalid| StatusCode::BAD_REQUEST)?;
        Ok(Self { key, hello: hello.ok_or(StatusCode::BAD_REQUEST)? })
    }
}

/// Whether the request does not come from another site's page in a browser.
fn has_own_origin(headers: &HeaderMap) -> bool {
    if !headers.contains_key(ORIGIN) {
        return true;
    }
    let origin = only(headers, &ORIGIN).and_then(|origin| origin.strip_prefix("https://"));
    origin.is_some() && origin == only(headers, &HOST)
}

/// All values of a header that is a list.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// The value of a header, if there is exactly one.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()
}

/// What a grant gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) target: Target,
    pub(super) may_write: bool,
}

/// Returns what the certificate's grant gives access to, if that is exactly what the request is for. Does not check
/// whether the grant is valid now.
pub(super) fn access(
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
        GrantTarget::Data { .. } => return Err(StatusCode::FORBIDDEN),
    };
    // The whole request target must match: no query, no other spelling.
    if head.uri.to_string() == path { Ok(access) } else { Err(StatusCode::FORBIDDEN) }
}
