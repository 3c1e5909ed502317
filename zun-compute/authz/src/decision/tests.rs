//! Tests that break one rule of the decision at a time, and tests with random input.

use std::sync::LazyLock;
use zun_common::client_certificate::InvalidCertificate;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, SanType};
use x509_parser::parse_x509_certificate;
use zun_common::units::TerminalSize;

use super::*;
use crate::request::{ContentType, PeerCertificates};
use crate::testing::{
    HOST, NOW, Signer, container, grant, local, moment, request, uri, usual, wait_uri,
};

/// The outer tag and length of a certificate between 256 bytes and 64 KiB.
const ENVELOPE: usize = 4;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new("ours"));
static POLICY: LazyLock<Policy> = LazyLock::new(|| SIGNER.policy());

fn decide(request: &AuthzRequest) -> Decision {
    POLICY.decide(request, Phase::Request, NOW)
}

/// The refusal, which must be the same in both phases.
fn refusal(request: &AuthzRequest) -> Refusal {
    let answer = POLICY.decide(request, Phase::Answer, NOW);
    match decide(request) {
        Decision::Refused(refusal, id) => {
            assert_eq!(answer, Decision::Refused(refusal, id));
            refusal
        }
        allowed @ (Decision::Local | Decision::Granted(_)) => panic!("{allowed:?} {request:?}"),
    }
}

fn changed(change: impl FnOnce(&mut CertificateParams)) -> Refusal {
    refusal(&SIGNER.request(change))
}

fn named(names: &[&str]) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    for name in names {
        subject.push(DnType::CommonName, *name);
    }
    subject
}

/// Each certificate has another key.
fn without_key(mut decision: Decision) -> Decision {
    if let Decision::Granted(granted) = &mut decision {
        assert!(!granted.key.is_empty());
        granted.key.clear();
    }
    decision
}

#[test]
fn a_local_request_is_allowed_in_both_phases() {
    assert_eq!(decide(&local()), Decision::Local);
    assert_eq!(POLICY.decide(&local(), Phase::Answer, NOW), Decision::Local);
}

#[test]
fn a_request_that_the_grant_permits_is_allowed() {
    assert_eq!(without_key(decide(&SIGNER.request(|_| {}))), Decision::Granted(usual()));
}

#[test]
fn a_request_that_mentions_tls_without_a_certificate_is_refused() {
    for change in [
        |request: &mut AuthzRequest| request.user = "g1".to_owned(),
        |request: &mut AuthzRequest| request.auth_method = "TLS".to_owned(),
        |request: &mut AuthzRequest| request.auth_method = "Other".to_owned(),
        |request: &mut AuthzRequest| {
            request.user = "g1".to_owned();
            request.auth_method = "TLS".to_owned();
        },
    ] {
        let mut request = local();
        change(&mut request);
        assert_eq!(refusal(&request), Refusal::NoCertificate);
    }
}

#[test]
fn an_authentication_method_other_than_tls_is_refused() {
    for method in ["", "tls", "TLS ", "Basic"] {
        let request = AuthzRequest { auth_method: method.to_owned(), ..SIGNER.request(|_| {}) };
        assert_eq!(refusal(&request), Refusal::NoCertificate);
    }
}

#[test]
fn a_certificate_without_a_common_name_does_not_make_a_request_local() {
    let nameless = SIGNER.request(|params| params.distinguished_name = named(&[]));
    for method in ["", "TLS"] {
        let request = AuthzRequest {
            user: String::new(),
            auth_method: method.to_owned(),
            uri: "/v1.41/info".to_owned(),
            ..nameless.clone()
        };
        refusal(&request);
    }
    assert_eq!(refusal(&nameless), Refusal::Certificate(InvalidCertificate::NoUsableName));
}

#[test]
fn anything_but_one_pem_certificate_is_refused() {
    let leaf = SIGNER.leaf(|_| {});
    let twice = leaf.pem.repeat(2);
    let other = leaf.pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
    let (cut, _) = leaf.pem.split_at(leaf.pem.len() / 2);
    for bad in ["", "x", &twice, &other, cut, SIGNER.key_pem().as_str()] {
        assert_eq!(
            refusal(&request(bad)),
            Refusal::Certificate(InvalidCertificate::NotACertificate),
            "{bad}"
        );
    }
    let bare = AuthzRequest {
        certificates: PeerCertificates { leaf: Some(leaf.pem) },
        ..SIGNER.request(|_| {})
    };
    assert_eq!(refusal(&bare), Refusal::Certificate(InvalidCertificate::NotACertificate));
}

#[test]
fn certificates_of_another_ca_are_refused_even_with_our_name() {
    for name in ["theirs", "ours"] {
        assert_eq!(
            refusal(&Signer::new(name).request(|_| {})),
            Refusal::Certificate(InvalidCertificate::UntrustedIssuer)
        );
    }
}

#[test]
fn a_certificate_for_anything_but_clients_is_refused() {
    use ExtendedKeyUsagePurpose as Purpose;
    for purposes in [
        vec![],
        vec![Purpose::ServerAuth],
        vec![Purpose::ClientAuth, Purpose::ServerAuth],
        vec![Purpose::ClientAuth, Purpose::CodeSigning],
        vec![Purpose::ClientAuth, Purpose::EmailProtection],
        vec![Purpose::ClientAuth, Purpose::TimeStamping],
        vec![Purpose::ClientAuth, Purpose::OcspSigning],
        vec![Purpose::ClientAuth, Purpose::Any],
        vec![Purpose::Any],
        vec![Purpose::ClientAuth, Purpose::Other(vec![1, 2, 3])],
    ] {
        assert_eq!(
            changed(|params| params.extended_key_usages = purposes),
            Refusal::Certificate(InvalidCertificate::NotClientOnly)
        );
    }
    let ca = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    };
    assert_eq!(changed(ca), Refusal::Certificate(InvalidCertificate::NotClientOnly));
}

#[test]
fn an_invalid_grant_id_is_refused() {
    for name in ["", " ", "a b", "a\u{7f}", "ä", &"x".repeat(65)] {
        assert_eq!(
            changed(|params| params.distinguished_name = named(&[name])),
            Refusal::Certificate(InvalidCertificate::NoUsableName)
        );
    }
    let organisation = |params: &mut CertificateParams| {
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "g1");
    };
    assert_eq!(changed(organisation), Refusal::Certificate(InvalidCertificate::NoUsableName));
}

#[test]
fn a_user_other_than_the_common_name_is_refused() {
    for user in ["", "g2", "G1", "g1 "] {
        let request = AuthzRequest { user: user.to_owned(), ..SIGNER.request(|_| {}) };
        assert_eq!(refusal(&request), Refusal::UserMismatch);
    }
}

#[test]
fn anything_but_one_grant_as_the_only_alternative_name_is_refused() {
    let name = |text: &str| SanType::DnsName(text.try_into().expect("ascii"));
    let id = container();
    for names in [
        vec![],
        vec![uri(&grant()), uri(&grant())],
        vec![uri(&grant()), name(HOST)],
        vec![name(HOST), uri(&grant())],
        vec![name(&grant())],
        vec![SanType::Rfc822Name(grant().as_str().try_into().expect("ascii"))],
        vec![SanType::IpAddress([127, 0, 0, 1].into())],
        vec![uri("")],
        vec![uri(&grant().to_uppercase())],
        vec![uri(&format!("{}&x=1", grant()))],
        vec![uri(&format!("{}#", grant()))],
        vec![uri(&grant().replace("rw", "admin"))],
        vec![uri(&format!(" {}", grant()))],
        vec![uri(&format!("zun://{HOST}:2376/exec/{id}"))],
        vec![uri(&format!("zun://{HOST}/exec/{id}/"))],
        vec![uri(&format!("https://{HOST}/exec/{id}"))],
        vec![uri(&format!("zun://{HOST}/containers/*/attach?mode=rw"))],
        vec![uri(&format!("zun://{HOST}/containers/{}/attach?mode=rw", id.split_at(12).0))],
        vec![uri(&format!("zun://{HOST}/containers/web/attach?mode=rw"))],
    ] {
        let shown = format!("{names:?}");
        assert_eq!(
            changed(|params| params.subject_alt_names = names),
            Refusal::Certificate(InvalidCertificate::InvalidGrant),
            "{shown}"
        );
    }
}

#[test]
fn a_grant_for_another_host_is_refused() {
    for host in ["compute2", "compute1.example", "compute", "compute11"] {
        let other = uri(&grant().replace(HOST, host));
        assert_eq!(changed(|params| params.subject_alt_names = vec![other]), Refusal::HostMismatch);
    }
}

#[test]
fn a_grant_must_be_valid_at_the_dial_but_not_at_the_end_of_the_session() {
    let request = SIGNER.request(|_| {});
    let until = |now| POLICY.decide(&request, Phase::Request, now);
    for good in [NOW - 60, NOW, NOW + 120] {
        assert_eq!(without_key(until(good)), Decision::Granted(usual()));
    }
    for bad in [NOW - 61, NOW + 121, 0, -1, i64::MAX, i64::MIN] {
        let refused = Decision::Refused(Refusal::NotValidNow, Some("g1".to_owned()));
        assert_eq!(until(bad), refused);
        let at_its_end = POLICY.decide(&request, Phase::Answer, bad);
        assert_eq!(without_key(at_its_end), Decision::Granted(usual()));
    }
}

#[test]
fn a_grant_that_is_valid_for_longer_than_zun_signs_is_refused() {
    for (from, until) in
        [(NOW - 60, NOW + 121), (NOW - 61, NOW + 120), (0, NOW - 1), (NOW, 4_000_000_000)]
    {
        let refused = changed(|params| {
            (params.not_before, params.not_after) = (moment(from), moment(until));
        });
        assert_eq!(
            refused,
            Refusal::Certificate(InvalidCertificate::LifetimeTooLong),
            "{from} {until}"
        );
    }
}

#[test]
fn a_request_with_a_content_type_is_refused_unless_it_starts_an_exec_with_json() {
    let exec = format!("zun://{HOST}/exec/{}", container());
    let executing = SIGNER.request(|params| params.subject_alt_names = vec![uri(&exec)]);
    let line = |method: &str, tail: &str| AuthzRequest {
        method: method.to_owned(),
        uri: format!("/v1.41/exec/{}/{tail}", container()),
        ..executing.clone()
    };
    let start = line("POST", "start");
    for request in
        [SIGNER.request(|_| {}), line("GET", "json"), line("POST", "resize?h=1&w=1"), start.clone()]
    {
        for content_type in [ContentType::Absent, ContentType::Json, ContentType::Other] {
            let request = AuthzRequest { content_type, ..request.clone() };
            let good = content_type == ContentType::Absent
                || (content_type == ContentType::Json && request.uri == start.uri);
            match decide(&request) {
                Decision::Granted(_) => assert!(good, "{request:?}"),
                Decision::Refused(refusal, id) => {
                    assert_eq!((good, refusal), (false, Refusal::UnsafeContentType), "{request:?}");
                    assert_eq!(id.as_deref(), Some("g1"));
                }
                Decision::Local => panic!("local"),
            }
            // The response of an allowed request is allowed too.
            let answered = POLICY.decide(&request, Phase::Answer, NOW);
            assert!(matches!(answered, Decision::Granted(_)));
        }
    }
}

#[test]
fn every_call_that_the_grant_does_not_permit_is_refused() {
    let good = SIGNER.request(|_| {});
    let id = container();
    for (method, target) in [
        ("GET", wait_uri()),
        ("post", wait_uri()),
        ("", wait_uri()),
        ("POST", String::new()),
        ("POST", wait_uri().replace("1.41", "1.40")),
        ("POST", wait_uri().replace("/v1.41", "")),
        ("POST", wait_uri().replace("ab", "ba")),
        ("POST", wait_uri() + "#"),
        ("POST", wait_uri().replace("wait", "%77ait")),
        ("GET", format!("/v1.41/containers/{id}/json")),
        ("GET", format!("/v1.41/containers/{id}/archive?path=/")),
        ("POST", format!("/v1.41/containers/{id}/exec")),
        ("POST", format!("/v1.41/containers/{id}/start")),
        ("POST", "/v1.41/containers/create".to_owned()),
        ("GET", "/_ping".to_owned()),
        ("GET", "/v1.41/info".to_owned()),
        ("HEAD", "/_ping".to_owned()),
    ] {
        let request =
            AuthzRequest { method: method.to_owned(), uri: target.clone(), ..good.clone() };
        assert_eq!(refusal(&request), Refusal::CallNotGranted, "{method} {target}");
    }
}

#[test]
fn attach_and_wait_are_console_calls() {
    let request = SIGNER.request(|_| {});
    let Decision::Granted(granted) = decide(&request) else { panic!("granted") };
    let console = |call| {
        let (method, target) =
            granted.grant.call("1.41".parse().expect("a version"), call).expect("granted");
        let request =
            AuthzRequest { method: method.as_str().to_owned(), uri: target, ..request.clone() };
        assert!(matches!(decide(&request), Decision::Granted(_)));
        POLICY
            .console_call(&granted, &request)
            .map(|(console_call, id)| (console_call, String::from(id)))
    };
    for (call, console_call) in [
        (Call::AttachWebsocket, ConsoleCall::Stream),
        (Call::Attach, ConsoleCall::Stream),
        (Call::AttachOutput, ConsoleCall::ReadOnlyStream),
        (Call::Wait(WaitCondition::Removed), ConsoleCall::Wait),
        (Call::Wait(WaitCondition::NextExit), ConsoleCall::Wait),
        (Call::Wait(WaitCondition::NotRunning), ConsoleCall::Wait),
    ] {
        assert_eq!(console(call), Some((console_call, container())), "{call:?}");
    }
    assert_eq!(console(Call::Resize(TerminalSize { rows: 24, columns: 80 })), None);
}

fn noise() -> impl Strategy<Value = AuthzRequest> {
    let text = || prop_oneof![Just(String::new()), Just("g1".to_owned()), "\\PC{0,20}"];
    let method = prop_oneof![Just(String::new()), Just("TLS".to_owned()), "\\PC{0,5}"];
    let leaf = proptest::option::of("[A-Za-z0-9+/=\\n-]{0,200}");
    (text(), method, "[A-Z]{0,7}", "\\PC{0,80}", leaf).prop_map(
        |(user, auth_method, method, uri, leaf)| AuthzRequest {
            user,
            auth_method,
            method,
            uri,
            content_type: ContentType::Absent,
            certificates: PeerCertificates { leaf },
        },
    )
}

proptest! {
    #[test]
    fn random_input_is_allowed_only_if_no_field_mentions_tls(request in noise()) {
        let nothing_of_tls = request.user.is_empty()
            && request.auth_method.is_empty()
            && request.certificates.leaf.is_none();
        match decide(&request) {
            Decision::Local => prop_assert!(nothing_of_tls),
            Decision::Granted(_) => prop_assert!(false, "granted"),
            Decision::Refused(..) => {}
        }
    }

    #[test]
    fn random_bytes_in_pem_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(matches!(decide(&request(&text)), Decision::Refused(..)));
        let body = STANDARD.encode(&bytes);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        prop_assert!(matches!(decide(&request(&pem)), Decision::Refused(..)));
    }

    #[test]
    fn a_certificate_with_any_signed_byte_changed_is_refused(at in 0_usize..4096, bit in 0_u8..8) {
        let mut der = SIGNER.leaf(|_| {}).der;
        // The signed part follows the tag and length of the outer sequence. Only the signature comes after it.
        let signed = parse_x509_certificate(&der).expect("one").1.tbs_certificate.as_ref().len();
        der[ENVELOPE + at % signed] ^= 1 << bit;
        let body = STANDARD.encode(&der);
        let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        prop_assert!(matches!(decide(&request(&pem)), Decision::Refused(..)));
    }

    #[test]
    fn a_random_alternative_name_grants_nothing(text in "[ -~]{0,120}") {
        let names = vec![uri(&text)];
        let request = SIGNER.request(|params| params.subject_alt_names = names);
        prop_assert!(matches!(decide(&request), Decision::Refused(..)));
    }

    #[test]
    fn a_random_target_is_refused(tail in "[ -~]{0,60}") {
        let target = format!("/v1.41/containers/{}{tail}", container());
        let request = AuthzRequest { uri: target, ..SIGNER.request(|_| {}) };
        prop_assume!(!request.uri.contains("/resize?h=") && request.uri != wait_uri());
        prop_assert!(matches!(decide(&request), Decision::Refused(..)));
    }

    #[test]
    fn random_bytes_never_panic_the_request_parser(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(request) = serde_json::from_slice::<AuthzRequest>(&bytes) {
            prop_assert!(!matches!(decide(&request), Decision::Granted(_)));
        }
    }
}
