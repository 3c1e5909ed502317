//! The request that opens a session.

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};
use zun_common::pty::{ClientHello, PROTOCOL};

/// The length of a websocket key: 16 bytes in base64.
const KEY_LENGTH: usize = 24;

/// A request for a websocket.
#[derive(Debug)]
pub(super) struct UpgradeRequest<'a> {
    /// The client's key of the websocket, which the answer hashes.
    pub(super) key: String,
    /// The subprotocols that it offers.
    pub(super) offered: Vec<&'a str>,
}

impl<'a> UpgradeRequest<'a> {
    /// Reads the headers of a request.
    pub(super) fn read(head: &'a Parts) -> Result<Self, StatusCode> {
        if head.method != Method::GET || head.version != Version::HTTP_11 {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let headers = &head.headers;
        let upgrades = tokens(headers, &CONNECTION)
            .any(|token| token.eq_ignore_ascii_case("upgrade"))
            && tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"));
        if !upgrades || only(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(StatusCode::BAD_REQUEST);
        }
        let key = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| key.len() == KEY_LENGTH);
        let key = key.ok_or(StatusCode::BAD_REQUEST)?.to_owned();
        Ok(Self { key, offered: tokens(headers, &SEC_WEBSOCKET_PROTOCOL).collect() })
    }

    /// Reads the hello of a client of `zun.pty.v1`.
    pub(super) fn hello(&self) -> Result<ClientHello, StatusCode> {
        if !self.offered.contains(&PROTOCOL) {
            return Err(StatusCode::BAD_REQUEST);
        }
        let hello = ClientHello::of(self.offered.iter().copied());
        hello.map_err(|_invalid| StatusCode::BAD_REQUEST)?.ok_or(StatusCode::BAD_REQUEST)
    }
}

/// All values of a header that is a list.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// The value of a header, if there is exactly one.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()
}
