//! Tests of the CA: its files, valid and invalid requests, enrolment and rotation.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use tempfile::TempDir;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::{AttributeTypeAndValue, X509Certificate};
use zun_common::grant::Grant;
use zun_common::pki::signing_request;

use super::*;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 700_000_000).expect("a time")
}

fn grant_of(id: &str) -> Grant {
    format!("zun://compute1/containers/{}/attach?mode=rw", id.repeat(32)).parse().expect("a grant")
}

fn new_ca() -> (TempDir, CertificateAuthority) {
    let directory = TempDir::new().expect("a directory");
    let ca = CertificateAuthority::init(directory.path()).expect("a CA");
    (directory, ca)
}

fn enrolled(host: &str, names: &[&str]) -> EnrolledHost {
    let names = names.iter().map(|name| name.parse().expect("a name or an address"));
    EnrolledHost::new(host.parse().expect("a host"), names)
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).expect("a file").permissions().mode() & 0o7777
}

fn block(pem: &str) -> Pem {
    parse_x509_pem(pem.as_bytes()).expect("pem").1
}

fn issuer_signed(certificate: &X509Certificate<'_>, ca: &CertificateAuthority) -> bool {
    let ca = block(ca.certificate_pem());
    let ca = ca.parse_x509().expect("a certificate");
    certificate.issuer().as_raw() == ca.subject().as_raw()
        && certificate.verify_signature(Some(ca.public_key())).is_ok()
}

fn request_with(change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    params.serialize_request(&key).expect("a request").pem().expect("pem")
}

#[test]
fn init_writes_a_key_that_only_its_owner_can_read_and_never_overwrites() {
    let (directory, first) = new_ca();
    assert_eq!(mode(&directory.path().join(KEY_FILE)), 0o600);
    assert_eq!(mode(&directory.path().join(CERTIFICATE_FILE)), 0o644);
    let again = CertificateAuthority::init(directory.path()).expect_err("files are there");
    assert!(matches!(again, CaError::Exists(_)), "{again}");
    let loaded = CertificateAuthority::load(directory.path()).expect("a CA");
    assert_eq!(loaded.certificate_pem(), first.certificate_pem());
    let ca = block(first.certificate_pem());
    assert!(ca.parse_x509().expect("a certificate").is_ca());
}

#[test]
fn init_refuses_a_directory_with_a_key_but_no_certificate() {
    let (directory, _ca) = new_ca();
    fs::remove_file(directory.path().join(CERTIFICATE_FILE)).expect("removed");
    let again = CertificateAuthority::init(directory.path()).expect_err("the key is there");
    assert!(matches!(again, CaError::Exists(file) if file.ends_with(KEY_FILE)));
    assert!(!directory.path().join(CERTIFICATE_FILE).exists());
}

#[test]
fn the_error_for_a_key_that_others_can_read_names_file_and_mode() {
    let (directory, _ca) = new_ca();
    let key = directory.path().join(KEY_FILE);
    for bad in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(&key, Permissions::from_mode(bad)).expect("a mode");
        let error = CertificateAuthority::load(directory.path())
            .expect_err("others can read it")
            .to_string();
        assert!(error.contains("ca.key"), "{error}");
        assert!(error.contains(&format!("{bad:04o}")), "{error}");
    }
}

#[test]
fn the_certificate_that_matches_the_key_is_found_among_others() {
    let (directory, ca) = new_ca();
    let (_, other) = new_ca();
    let file = directory.path().join(CERTIFICATE_FILE);
    fs::write(&file, other.certificate_pem()).expect("written");
    let error = CertificateAuthority::load(directory.path()).expect_err("another CA");
    assert!(matches!(error, CaError::InvalidFile { .. }), "{error}");
    let both = format!("{}{}", other.certificate_pem(), ca.certificate_pem());
    fs::write(&file, &both).expect("written");
    let loaded = CertificateAuthority::load(directory.path()).expect("a CA");
    assert_eq!(loaded.certificate_pem(), both);
    let csr = signing_request("x", Vec::new()).expect("a request").csr;
    let issued = loaded.grant(&csr, &grant_of("ab"), "g", now()).expect("a grant");
    let pem = block(&issued.certificate);
    assert!(issuer_signed(&pem.parse_x509().expect("a certificate"), &ca));
}

#[test]
fn the_error_for_a_missing_or_invalid_file_names_it() {
    let empty = TempDir::new().expect("a directory");
    let error = CertificateAuthority::load(empty.path()).expect_err("nothing there");
    assert!(error.to_string().contains(KEY_FILE), "{error}");
    let (directory, _ca) = new_ca();
    fs::write(directory.path().join(KEY_FILE), "nonsense").expect("written");
    let error = CertificateAuthority::load(directory.path()).expect_err("no key");
    assert!(error.to_string().contains("P-256"), "{error}");
}

#[test]
fn a_grant_allows_one_thing_for_two_minutes() {
    let (_directory, ca) = new_ca();
    let asked = request_with(|params| {
        params.distinguished_name.push(DnType::CommonName, "admin");
        params.subject_alt_names = vec![
            SanType::URI("zun://compute1/exec/all".try_into().expect("ascii")),
            SanType::DnsName("compute1".try_into().expect("ascii")),
        ];
    });
    let issued = ca.grant(&asked, &grant_of("ab"), "grant-1", now()).expect("a grant");
    assert_eq!(issued.expires_at.timestamp(), now().timestamp() + GRANT_LIFETIME_SECONDS);
    assert_eq!(issued.expires_at.timestamp_subsec_nanos(), 0);
    let pem = block(&issued.certificate);
    let leaf = pem.parse_x509().expect("a certificate");
    assert!(issuer_signed(&leaf, &ca));
    let names = leaf.subject_alternative_name().expect("once").expect("there");
    let uri = grant_of("ab").to_string();
    assert_eq!(names.value.general_names, [GeneralName::URI(&uri)]);
    let common: Vec<_> =
        leaf.subject().iter_common_name().map(AttributeTypeAndValue::as_str).collect();
    assert_eq!(common, [Ok("grant-1")]);
    let usage = leaf.extended_key_usage().expect("once").expect("there");
    assert!(usage.value.client_auth && !usage.value.server_auth && !usage.value.any);
    assert!(leaf.key_usage().expect("once").expect("there").value.digital_signature());
    assert!(!leaf.is_ca());
    assert_eq!(leaf.validity().not_before.timestamp(), now().timestamp() - 60);
    assert_eq!(leaf.validity().not_after.timestamp(), now().timestamp() + GRANT_LIFETIME_SECONDS);
}

#[test]
fn two_grants_for_one_key_have_two_serials() {
    let (_directory, ca) = new_ca();
    let csr = signing_request("x", Vec::new()).expect("a request").csr;
    let serial = || {
        let issued = ca.grant(&csr, &grant_of("ab"), "g", now()).expect("a grant");
        block(&issued.certificate).parse_x509().expect("a certificate").raw_serial().to_vec()
    };
    assert_ne!(serial(), serial());
}

#[test]
fn a_bad_grant_id_is_refused() {
    let (_directory, ca) = new_ca();
    let csr = signing_request("x", Vec::new()).expect("a request").csr;
    for bad in ["", " ", "a b", "ä", "a\n", &"x".repeat(65)] {
        let error = ca.grant(&csr, &grant_of("ab"), bad, now()).expect_err("a bad id");
        assert!(matches!(error, CaError::GrantId(_)), "{bad}: {error}");
    }
}

fn why(error: CaError) -> InvalidCsr {
    let CaError::Request(why) = error else { panic!("{error}") };
    why
}

fn refusal(ca: &CertificateAuthority, csr: &str) -> InvalidCsr {
    why(ca.grant(csr, &grant_of("ab"), "g", now()).expect_err("a bad request"))
}

#[test]
fn texts_that_are_not_signing_requests_are_refused() {
    let (_directory, ca) = new_ca();
    let good = signing_request("x", Vec::new()).expect("a request").csr;
    let key = signing_request("x", Vec::new()).expect("a request").key.expose().clone();
    for bad in ["", "x", &key, ca.certificate_pem(), &good.repeat(2), &"x".repeat(20_000)] {
        assert_eq!(refusal(&ca, bad), InvalidCsr::NotPem);
    }
    let hollow = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    assert_eq!(refusal(&ca, hollow), InvalidCsr::NotPkcs10);
}

#[test]
fn a_request_signed_with_another_key_is_refused() {
    let (_directory, ca) = new_ca();
    let csr = signing_request("x", Vec::new()).expect("a request").csr;
    let end = csr.find("\n-----END").expect("an end");
    // The signature is at the end, so changing a character there changes nothing else.
    let (before, after) = csr.split_at(end - 9);
    let (letter, after) = after.split_at(1);
    let forged = format!("{before}{}{after}", if letter == "A" { "B" } else { "A" });
    assert_eq!(refusal(&ca, &forged), InvalidCsr::Signature);
    assert!(ca.grant(&csr, &grant_of("ab"), "g", now()).is_ok());
}

#[test]
fn other_types_of_keys_are_refused() {
    let (_directory, ca) = new_ca();
    for kind in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = KeyPair::generate_for(kind).expect("a key");
        let csr = CertificateParams::default().serialize_request(&key).expect("a request");
        assert_eq!(refusal(&ca, &csr.pem().expect("pem")), InvalidCsr::Key);
    }
}

#[test]
fn a_host_certificate_has_the_requested_names_for_a_year() {
    let (_directory, ca) = new_ca();
    let names = ["compute1.example", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let csr = signing_request("whoever", names).expect("a request").csr;
    let host = enrolled("compute1", &["compute1.example", "127.0.0.1", "::1"]);
    let pem = ca.host_certificate(&host, &csr, Utc::now()).expect("a certificate");
    let pem = block(&pem);
    let leaf = pem.parse_x509().expect("a certificate");
    assert!(issuer_signed(&leaf, &ca));
    let usage = leaf.extended_key_usage().expect("once").expect("there");
    assert!(usage.value.server_auth && !usage.value.client_auth);
    let names = leaf.subject_alternative_name().expect("once").expect("there");
    let mut one = [0; 16];
    one[15] = 1;
    assert_eq!(
        names.value.general_names,
        [
            GeneralName::DNSName("compute1.example"),
            GeneralName::IPAddress(&[127, 0, 0, 1]),
            GeneralName::IPAddress(&one),
        ]
    );
    assert_eq!(leaf.subject().to_string(), "CN=compute1");
    let days = (leaf.validity().not_after.timestamp() - Utc::now().timestamp()) / 86_400;
    assert!((364..=365).contains(&days), "{days}");
}

#[test]
fn a_host_certificate_expires_with_the_ca() {
    let (_directory, ca) = new_ca();
    let csr = signing_request("x", vec!["c1".to_owned()]).expect("a request").csr;
    let late = ca.expires_at - chrono::Duration::days(3);
    let pem = ca.host_certificate(&enrolled("c1", &[]), &csr, late).expect("one");
    let pem = block(&pem);
    let end = pem.parse_x509().expect("a certificate").validity().not_after.timestamp();
    assert_eq!(end, ca.expires_at.timestamp());
}

#[test]
fn a_host_request_without_names_or_with_invalid_ones_is_refused() {
    let (_directory, ca) = new_ca();
    let ascii = |text: &str| text.try_into().expect("ascii");
    let host = enrolled("c1", &[]);
    let refused = |names: Vec<SanType>| {
        let csr = request_with(|params| params.subject_alt_names = names);
        why(ca.host_certificate(&host, &csr, now()).expect_err("bad names"))
    };
    assert_eq!(refused(Vec::new()), InvalidCsr::Names);
    let many = (0..33).map(|number| SanType::DnsName(ascii(&format!("h{number}")))).collect();
    assert_eq!(refused(many), InvalidCsr::Names);
    for strange in [
        SanType::DnsName(ascii("*.example")),
        SanType::DnsName(ascii("a b")),
        SanType::DnsName(ascii("Upper")),
        SanType::URI(ascii("zun://c1/exec/x")),
        SanType::Rfc822Name(ascii("root@c1")),
    ] {
        let why = refused(vec![SanType::DnsName(ascii("c1")), strange]);
        assert!(matches!(why, InvalidCsr::Name(_)), "{why}");
    }
}

#[test]
fn a_host_certificate_contains_only_enrolled_names() {
    let (directory, ca) = new_ca();
    let hosts = EnrolledHosts::of_ca(directory.path());
    let host: HostName = "c1".parse().expect("a host");
    assert!(matches!(ca.enrolled(&host), Err(CaError::NotEnrolled(name)) if name == host));
    hosts.enrol(&enrolled("c1", &["c1.example", "192.0.2.7", "2001:db8::7"])).expect("enrolled");
    let sign = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let csr = signing_request("c1", names).expect("a request").csr;
        ca.host_certificate(&ca.enrolled(&host)?, &csr, Utc::now())
    };
    sign(&["c1"]).expect("its own name");
    sign(&["2001:db8:0:0::7", "c1.example", "c1", "192.0.2.7"]).expect("all of them");
    for other in ["c2", "example", "c1.example.org", "192.0.2.8", "127.0.0.1", "::ffff:192.0.2.7"] {
        let error = sign(&["c1", other]).expect_err("a name of another").to_string();
        assert!(error.contains("`c1`") && error.contains("--name"), "{error}");
    }
    // A change takes effect at once, also for a CA that is already loaded.
    hosts.enrol(&enrolled("c1", &["192.0.2.8"])).expect("enrolled anew");
    sign(&["192.0.2.8"]).expect("the new one");
    assert!(sign(&["192.0.2.7"]).is_err());
    hosts.remove(&host).expect("removed");
    assert!(matches!(sign(&["c1"]), Err(CaError::NotEnrolled(_))));
    assert!(matches!(hosts.remove(&host), Err(CaError::NotEnrolled(_))));
}

#[test]
fn enrolled_hosts_are_listed_and_invalid_files_are_reported() {
    let (directory, _ca) = new_ca();
    let hosts = EnrolledHosts::of_ca(directory.path());
    assert_eq!(hosts.all().expect("none yet"), []);
    let all = [enrolled("a", &["192.0.2.1"]), enrolled("b.example", &[])];
    all.iter().rev().for_each(|host| hosts.enrol(host).expect("enrolled"));
    fs::write(directory.path().join("hosts/.c.new"), "half").expect("written");
    assert_eq!(hosts.all().expect("both"), all);
    fs::write(directory.path().join("hosts/c"), "not a name\n").expect("written");
    let error = hosts.all().expect_err("a bad file").to_string();
    assert!(error.contains("hosts/c`"), "{error}");
    let many: Vec<String> = (0..32).map(|number| format!("h{number}")).collect();
    let many = enrolled("d", &many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(matches!(hosts.enrol(&many), Err(CaError::TooManyNames(_))));
}

fn roles(directory: &Path) -> Vec<Role> {
    trusted_cas(directory).expect("CAs").into_iter().map(|trusted| trusted.role).collect()
}

#[test]
fn a_rotation_replaces_the_ca_in_three_steps() {
    let (directory, old) = new_ca();
    let here = directory.path();
    let csr = signing_request("x", Vec::new()).expect("a request").csr;
    // The position of the signing CA in the file, and the number of CAs.
    let signer = || {
        let now = CertificateAuthority::load(here).expect("a CA");
        let issued = now.grant(&csr, &grant_of("ab"), "g", Utc::now()).expect("a grant");
        let leaf = block(&issued.certificate);
        let leaf = leaf.parse_x509().expect("a certificate");
        let all: Vec<_> = Pem::iter_from_buffer(now.certificate_pem().as_bytes())
            .map(|pem| pem.expect("pem").contents)
            .collect();
        let signs = |der: &Vec<u8>| {
            let (_, ca) = x509_parser::parse_x509_certificate(der).expect("a certificate");
            leaf.verify_signature(Some(ca.public_key())).is_ok()
        };
        (all.iter().position(signs), all.len())
    };
    assert_eq!((roles(here), signer()), (vec![Role::Signing], (Some(0), 1)));
    assert!(matches!(rotate(here, Step::Switch), Err(CaError::Rotation(_))));
    rotate(here, Step::Prepare).expect("prepared");
    assert_eq!((roles(here), signer()), (vec![Role::Signing, Role::Next], (Some(0), 2)));
    assert_eq!(mode(&here.join(NEXT_KEY_FILE)), 0o600);
    for early in [Step::Prepare, Step::Finish] {
        assert!(matches!(rotate(here, early), Err(CaError::Rotation(_))));
    }
    rotate(here, Step::Switch).expect("switched");
    assert_eq!((roles(here), signer()), (vec![Role::Signing, Role::Previous], (Some(0), 2)));
    assert!(!here.join(NEXT_KEY_FILE).exists());
    assert!(matches!(rotate(here, Step::Prepare), Err(CaError::Rotation(_))));
    rotate(here, Step::Finish).expect("finished");
    assert_eq!((roles(here), signer()), (vec![Role::Signing], (Some(0), 1)));
    let new = CertificateAuthority::load(here).expect("a CA");
    assert_ne!(new.certificate_pem(), old.certificate_pem());
    assert_eq!((mode(&here.join(KEY_FILE)), mode(&here.join(CERTIFICATE_FILE))), (0o600, 0o644));
}

#[test]
fn an_interrupted_step_can_be_repeated() {
    let (directory, _old) = new_ca();
    let here = directory.path();
    // Interrupted after the key was written and before the certificate.
    fs::write(here.join(NEXT_KEY_FILE), KeyPair::generate().expect("a key").serialize_pem())
        .expect("written");
    fs::set_permissions(here.join(NEXT_KEY_FILE), Permissions::from_mode(0o600)).expect("a mode");
    assert!(matches!(rotate(here, Step::Switch), Err(CaError::Rotation(_))));
    rotate(here, Step::Prepare).expect("prepared");
    // Interrupted after the certificates were swapped and before the keys.
    let text = fs::read_to_string(here.join(CERTIFICATE_FILE)).expect("a file");
    let at = text.rfind("-----BEGIN").expect("two");
    let (first, second) = text.split_at(at);
    fs::write(here.join(CERTIFICATE_FILE), format!("{second}{first}")).expect("written");
    assert_eq!(roles(here), [Role::Signing, Role::Next]);
    rotate(here, Step::Switch).expect("switched");
    assert_eq!(roles(here), [Role::Signing, Role::Previous]);
    let now = CertificateAuthority::load(here).expect("a CA");
    assert!(now.certificate_pem().starts_with(second.trim_end()));
}
