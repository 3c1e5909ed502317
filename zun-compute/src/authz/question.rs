//! The engine's question, of which only a few fields are kept.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What a decision is made from. Bodies and headers are never looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Question {
    /// The certificate's common name; empty on the unix socket.
    #[serde(rename = "User")]
    pub user: String,
    /// `TLS`; empty on the unix socket.
    #[serde(rename = "UserAuthNMethod")]
    pub auth_method: String,
    /// `GET`, `POST` …
    #[serde(rename = "RequestMethod")]
    pub method: String,
    /// The raw target of the request line.
    #[serde(rename = "RequestUri")]
    pub uri: String,
    /// The client's certificates; absent on the unix socket.
    #[serde(rename = "RequestPeerCertificates")]
    pub certificates: Chain,
}

/// A chain of certificates, of which only the leaf is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// The first one: PEM in base64.
    pub leaf: Option<String>,
}

impl Question {
    /// Whether it came by the unix socket: no sign of TLS at all. A certificate without a common name has no
    /// user either, so an empty user alone says nothing. Without method and target it is no question.
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

impl<'de> Deserialize<'de> for Chain {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_seq(LeafOnly)
    }
}

struct LeafOnly;

impl<'de> Visitor<'de> for LeafOnly {
    type Value = Chain;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of certificates")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Chain, A::Error> {
        let leaf = list.next_element()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Chain { leaf })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_keeps_what_matters_and_skips_the_rest() {
        let text = r#"{"User":"u","UserAuthNMethod":"TLS","RequestMethod":"GET","RequestUri":"/x",
            "RequestBody":"AAAA","RequestHeaders":{"A":"b"},"RequestPeerCertificates":["QQ==","Qg=="],
            "ResponseBody":"AAAA","ResponseStatusCode":101,"Future":[{"x":1}]}"#;
        let question: Question = serde_json::from_str(text).expect("a question");
        assert_eq!(question.leaf(), Some("QQ=="));
        assert_eq!((question.method.as_str(), question.uri.as_str()), ("GET", "/x"));
        assert!(!question.is_local());
    }

    #[test]
    fn local_is_a_question_without_any_sign_of_tls() {
        let local = r#"{"RequestMethod":"GET","RequestUri":"/_ping"}"#;
        assert!(serde_json::from_str::<Question>(local).expect("a question").is_local());
        for (name, value) in [
            ("User", r#""u""#),
            ("UserAuthNMethod", r#""TLS""#),
            ("UserAuthNMethod", r#"" ""#),
            ("RequestPeerCertificates", r#"[""]"#),
        ] {
            let text = format!(r#"{{"RequestMethod":"GET","RequestUri":"/","{name}":{value}}}"#);
            let question: Question = serde_json::from_str(&text).expect("a question");
            assert!(!question.is_local(), "{text}");
        }
    }

    #[test]
    fn a_field_told_twice_or_of_another_kind_is_no_question() {
        for bad in [
            "{}x",
            "[]",
            "null",
            r#"{"User":1}"#,
            r#"{"User":"a","User":""}"#,
            r#"{"RequestPeerCertificates":"x"}"#,
            r#"{"RequestPeerCertificates":null}"#,
            r#"{"RequestPeerCertificates":[null]}"#,
        ] {
            let read = serde_json::from_str::<Question>(bad);
            assert!(read.is_err() || !read.expect("read").is_local(), "{bad}");
        }
        assert!(!serde_json::from_str::<Question>("{}").expect("empty").is_local());
    }
}
