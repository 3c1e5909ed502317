//! The request that Docker sends to its authorization plugins, parsed for the few fields that a decision needs.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The fields that a decision needs. Bodies and all headers except the content type are skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AuthzRequest {
    /// The certificate's common name; empty on the unix socket.
    #[serde(rename = "User")]
    pub user: String,
    /// `TLS` on the TCP listener; empty on the unix socket.
    #[serde(rename = "UserAuthNMethod")]
    pub auth_method: String,
    /// `GET`, `POST` …
    #[serde(rename = "RequestMethod")]
    pub method: String,
    /// The raw target of the request line.
    #[serde(rename = "RequestUri")]
    pub uri: String,
    /// The content type of its body.
    #[serde(rename = "RequestHeaders")]
    pub content_type: ContentType,
    /// The client's certificates; absent on the unix socket.
    #[serde(rename = "RequestPeerCertificates")]
    pub certificates: PeerCertificates,
}

/// The content type of a request's body.
///
/// If a request repeats the header, Docker passes only the last value to the plugin but uses the first value itself. So
/// the plugin can rely only on whether the header is present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContentType {
    /// No such header: Docker does not parse the body as a form.
    #[default]
    Absent,
    /// `application/json`. An earlier header of the same name may have another value.
    Json,
    /// Any other type, such as a form.
    Other,
}

/// The client's certificate chain. Only the leaf is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerCertificates {
    /// The client's own certificate: PEM, encoded in base64.
    pub leaf: Option<String>,
}

impl AuthzRequest {
    /// Whether the request came over the unix socket: in that case no field mentions TLS. An empty user is not enough:
    /// a certificate without a common name has no user either. A request without method or target is not local.
    pub fn is_local(&self) -> bool {
        self.auth_method.is_empty()
            && self.certificates.leaf.is_none()
            && self.user.is_empty()
            && !self.method.is_empty()
            && !self.uri.is_empty()
    }

    /// The client's own certificate.
    pub fn leaf(&self) -> Option<&str> {
        self.certificates.leaf.as_deref()
    }
}

impl<'de> Deserialize<'de> for PeerCertificates {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_seq(LeafVisitor)
    }
}

struct LeafVisitor;

impl<'de> Visitor<'de> for LeafVisitor {
    type Value = PeerCertificates;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of certificates")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PeerCertificates, A::Error> {
        let leaf = list.next_element()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(PeerCertificates { leaf })
    }
}

const CONTENT_TYPE: &str = "content-type";
const JSON: &str = "application/json";

impl<'de> Deserialize<'de> for ContentType {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(ContentTypeVisitor)
    }
}

struct ContentTypeVisitor;

impl<'de> Visitor<'de> for ContentTypeVisitor {
    type Value = ContentType;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("headers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut headers: A) -> Result<ContentType, A::Error> {
        let mut content_type = ContentType::Absent;
        while let Some(name) = headers.next_key::<String>()? {
            if !name.eq_ignore_ascii_case(CONTENT_TYPE) {
                headers.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: String = headers.next_value()?;
            content_type = match content_type {
                ContentType::Absent if value == JSON => ContentType::Json,
                ContentType::Absent | ContentType::Json | ContentType::Other => ContentType::Other,
            };
        }
        Ok(content_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_needed_fields_of_a_request_are_kept() {
        let text = r#"{"User":"u","UserAuthNMethod":"TLS","RequestMethod":"GET","RequestUri":"/x",
            "RequestBody":"AAAA","RequestHeaders":{"A":"b"},"RequestPeerCertificates":["QQ==","Qg=="],
            "ResponseBody":"AAAA","ResponseStatusCode":101,"Future":[{"x":1}]}"#;
        let request: AuthzRequest = serde_json::from_str(text).expect("a request");
        assert_eq!(request.leaf(), Some("QQ=="));
        assert_eq!((request.method.as_str(), request.uri.as_str()), ("GET", "/x"));
        assert!(!request.is_local());
    }

    #[test]
    fn a_request_is_local_only_if_no_field_mentions_tls() {
        let local = r#"{"RequestMethod":"GET","RequestUri":"/_ping"}"#;
        assert!(serde_json::from_str::<AuthzRequest>(local).expect("a request").is_local());
        for (name, value) in [
            ("User", r#""u""#),
            ("UserAuthNMethod", r#""TLS""#),
            ("UserAuthNMethod", r#"" ""#),
            ("RequestPeerCertificates", r#"[""]"#),
        ] {
            let text = format!(r#"{{"RequestMethod":"GET","RequestUri":"/","{name}":{value}}}"#);
            let request: AuthzRequest = serde_json::from_str(&text).expect("a request");
            assert!(!request.is_local(), "{text}");
        }
    }

    #[test]
    fn only_the_content_type_header_is_kept() {
        for (headers, content_type) in [
            ("{}", ContentType::Absent),
            (r#"{"A":"b","Accept":"application/json","X-Content-Type":"x"}"#, ContentType::Absent),
            (r#"{"A":"b","Content-Type":"application/json","Z":""}"#, ContentType::Json),
            (r#"{"content-TYPE":"application/json"}"#, ContentType::Json),
            (r#"{"\u0043ontent-Type":"application/json"}"#, ContentType::Json),
            (r#"{"Content-Type":""}"#, ContentType::Other),
            (r#"{"Content-Type":"application/json; charset=utf-8"}"#, ContentType::Other),
            (r#"{"Content-Type":"application/x-www-form-urlencoded"}"#, ContentType::Other),
            (
                r#"{"Content-Type":"application/json","content-type":"application/json"}"#,
                ContentType::Other,
            ),
        ] {
            let text = format!(r#"{{"RequestHeaders":{headers}}}"#);
            let request: AuthzRequest = serde_json::from_str(&text).expect("a request");
            assert_eq!(request.content_type, content_type, "{headers}");
        }
    }

    #[test]
    fn a_repeated_field_or_a_field_of_the_wrong_type_is_never_a_local_request() {
        for bad in [
            "{}x",
            "[]",
            "null",
            r#"{"User":1}"#,
            r#"{"User":"a","User":""}"#,
            r#"{"RequestHeaders":{},"RequestHeaders":{}}"#,
            r#"{"RequestHeaders":null}"#,
            r#"{"RequestHeaders":["Content-Type"]}"#,
            r#"{"RequestHeaders":{"Content-Type":["x"]}}"#,
            r#"{"RequestPeerCertificates":"x"}"#,
            r#"{"RequestPeerCertificates":null}"#,
            r#"{"RequestPeerCertificates":[null]}"#,
        ] {
            let read = serde_json::from_str::<AuthzRequest>(bad);
            assert!(read.is_err() || !read.expect("read").is_local(), "{bad}");
        }
        assert!(!serde_json::from_str::<AuthzRequest>("{}").expect("empty").is_local());
    }
}
