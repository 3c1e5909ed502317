//! Tests of the certificate's renewal, with a stub of zun-api.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
};
use zun_common::bus::{BusSettings, Incoming, Route, Router, connect};
use zun_common::rpc::Problem;
use zun_common::shutdown::Tasks;

use super::*;

/// A stub of zun-api that signs certificates.
struct TestApi {
    bus: Bus,
    signed: Arc<AtomicUsize>,
    now: Arc<Mutex<Signing>>,
    _tasks: Tasks,
}

/// The CA that signs, and the CA list.
#[derive(Clone)]
struct Signing {
    issuer: Arc<Issuer<'static, KeyPair>>,
    ca: String,
}

impl Signing {
    fn fresh() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).expect("a CA").pem();
        Self { issuer: Arc::new(Issuer::new(params, key)), ca }
    }

    /// The same CA with another CA list.
    fn trusting(&self, all: &[&Self]) -> Self {
        let ca = all.iter().map(|signing| signing.ca.as_str()).collect();
        Self { issuer: Arc::clone(&self.issuer), ca }
    }
}

impl TestApi {
    async fn start(days: i64) -> Self {
        let tasks = Tasks::new();
        let bus = connect(&BusSettings::at("memory://"), "zun-api", &tasks).expect("a bus");
        let now = Arc::new(Mutex::new(Signing::fresh()));
        let signed = Arc::new(AtomicUsize::new(0));
        let (counter, signing) = (Arc::clone(&signed), Arc::clone(&now));
        let trusted = Arc::clone(&now);
        let router = Router::new()
            .on(move |call: SignHostCertificate, _: Incoming| {
                counter.fetch_add(1, Ordering::SeqCst);
                let now = signing.lock().expect("no panic").clone();
                async move { Ok::<_, Problem>(sign(&now, &call, days)) }
            })
            .on(move |_: GetCaBundle, _: Incoming| {
                let ca = trusted.lock().expect("no panic").ca.clone();
                async move { Ok::<_, Problem>(CaBundle { ca }) }
            });
        let deliveries = bus.transport().consume(Route::Controller, 8).await.expect("deliveries");
        Arc::new(router).serve(deliveries, &tasks);
        Self { bus, signed, now, _tasks: tasks }
    }

    fn signed(&self) -> usize {
        self.signed.load(Ordering::SeqCst)
    }

    fn becomes(&self, signing: Signing) {
        *self.now.lock().expect("no panic") = signing;
    }
}

fn sign(now: &Signing, call: &SignHostCertificate, days: i64) -> HostCertificate {
    let mut request = CertificateSigningRequestParams::from_pem(&call.csr).expect("a request");
    let moment = time::OffsetDateTime::now_utc();
    request.params.not_before = moment - time::Duration::hours(1);
    request.params.not_after = moment + time::Duration::days(days);
    let certificate = request.signed_by(&now.issuer).expect("a certificate").pem();
    HostCertificate { certificate, ca: now.ca.clone() }
}

fn wanted(directory: &Path, names: &[&str]) -> CertificateSettings {
    CertificateSettings {
        directory: directory.join("tls"),
        host: "compute1".parse().expect("a name"),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_certificate_is_requested_once_and_its_key_is_private() {
    let (api, home) = (TestApi::start(365).await, tempfile::tempdir().expect("a directory"));
    let wanted = wanted(home.path(), &["127.0.0.1", "::1", "compute1.example"]);
    let files = ensure(&api.bus, &wanted).await.expect("a certificate");
    assert_eq!((mode(&files.key), mode(&wanted.directory)), (0o600, 0o755));
    assert_eq!((mode(&files.ca), mode(&files.certificate)), (0o644, 0o600));
    assert_eq!(ensure(&api.bus, &wanted).await.expect("the same"), files);
    assert_eq!(api.signed(), 1);
    assert_eq!(fs::read_dir(&wanted.directory).expect("a directory").count(), 3);
}

#[tokio::test]
async fn an_invalid_certificate_is_replaced() {
    let (api, home) = (TestApi::start(365).await, tempfile::tempdir().expect("a directory"));
    let first = wanted(home.path(), &["127.0.0.1"]);
    let files = ensure(&api.bus, &first).await.expect("a certificate");
    let more = wanted(home.path(), &["127.0.0.1", "compute1.example"]);
    ensure(&api.bus, &more).await.expect("one for the new name");
    assert_eq!(api.signed(), 2);
    let other = signing_request("other", Vec::new()).expect("a key");
    fs::write(&files.key, other.key.expose()).expect("another key");
    ensure(&api.bus, &more).await.expect("one for a new key");
    fs::set_permissions(&files.key, Permissions::from_mode(0o644)).expect("opened");
    ensure(&api.bus, &more).await.expect("one with a private key");
    assert_eq!((api.signed(), mode(&files.key)), (4, 0o600));
    let stranger = TestApi::start(365).await;
    let elsewhere = wanted(&home.path().join("elsewhere"), &[]);
    let strange = ensure(&stranger.bus, &elsewhere).await.expect("a certificate of another CA");
    fs::copy(strange.ca, &files.ca).expect("another CA");
    ensure(&api.bus, &more).await.expect("a certificate of this CA");
    assert_eq!(api.signed(), 5);
}

#[tokio::test]
async fn a_signed_certificate_that_expires_soon_is_not_written() {
    let (api, home) = (TestApi::start(29).await, tempfile::tempdir().expect("a directory"));
    let wanted = wanted(home.path(), &[]);
    let error = ensure(&api.bus, &wanted).await.expect_err("a short one");
    assert!(matches!(error, CertificateError::Bad { flaw: Flaw::Expiring, .. }), "{error}");
    assert!(!wanted.directory.exists());
}

#[tokio::test]
async fn a_rotation_updates_the_ca_list_and_replaces_the_certificate_when_the_new_ca_signs() {
    let (api, home) = (TestApi::start(365).await, tempfile::tempdir().expect("a directory"));
    let wanted = wanted(home.path(), &[]);
    let files = ensure(&api.bus, &wanted).await.expect("a certificate");
    let ca = || fs::read_to_string(&files.ca).expect("a file");
    let old = api.now.lock().expect("no panic").clone();
    let new = Signing::fresh();
    for (step, signed) in [
        (old.trusting(&[&old, &new]), 1),
        (new.trusting(&[&new, &old]), 2),
        (new.trusting(&[&new]), 2),
    ] {
        api.becomes(step.clone());
        for _again in 0..2 {
            ensure(&api.bus, &wanted).await.expect("a certificate");
            assert_eq!((api.signed(), ca()), (signed, step.ca.clone()));
        }
    }
}

#[tokio::test]
async fn a_valid_certificate_is_kept_while_zun_api_is_down_or_older() {
    let (api, home) = (TestApi::start(365).await, tempfile::tempdir().expect("a directory"));
    let wanted = wanted(home.path(), &[]);
    let files = ensure(&api.bus, &wanted).await.expect("a certificate");
    let tasks = Tasks::new();
    let older = connect(&BusSettings::at("memory://"), "zun-api", &tasks).expect("a bus");
    let deliveries = older.transport().consume(Route::Controller, 8).await.expect("deliveries");
    Arc::new(Router::new()).serve(deliveries, &tasks);
    assert_eq!(ensure(&older, &wanted).await.expect("the same"), files);
}
