//! A certificate that expires soon.

use chrono::{TimeDelta, Utc};
use zun_api::ca::{CertificateAuthority, EnrolledHosts};
use zun_common::pki::signing_request;
use zun_compute::docker_setup::{Outcome, Services, UnitAction, dry_run};

use super::host::{HOST, Host};

/// Gives the host's Docker a certificate signed this number of days ago, in two files as older versions wrote them.
async fn signed_days_ago(host: &Host, days: i64) {
    let ca = host.directory.path().join("ca");
    let name = HOST.parse().expect("a name");
    let enrolled = EnrolledHosts::of_ca(&ca).find(&name).expect("enrolled");
    let names = vec![HOST.to_owned(), "127.0.0.1".to_owned()];
    let request = signing_request(HOST, names).expect("a request");
    let signed = CertificateAuthority::load(&ca)
        .expect("a CA")
        .host_certificate(&enrolled, &request.csr, Utc::now() - TimeDelta::days(days))
        .expect("signed");
    let place = host.directory.path().join("pki");
    let (certificate, key) = (place.join("cert.pem"), place.join("key.pem"));
    std::fs::remove_file(&certificate).expect("removed");
    std::fs::write(&certificate, signed).expect("written");
    std::fs::write(&key, request.key.expose()).expect("written");
    host.units.control(UnitAction::Restart, "docker.service").await.expect("restarted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_without_restarting_docker_unless_it_has_expired() {
    let host = Host::start("{}\n").await;
    host.set_up().await.expect("set up");
    let place = host.directory.path().join("pki");
    signed_days_ago(&host, 350).await;
    let (dockerd, pair) = (host.units.dockerd(), std::fs::read(place.join("key.pem")));
    let shown = dry_run(&host.machine, &host.settings, Some(host.address())).await.expect("shown");
    assert!(!shown.to_string().contains("would restart"), "{shown}");

    let outcome = host.set_up().await.expect("set up");
    assert!(matches!(&outcome, Outcome::CertificateUpdated(_)), "{outcome:?}");
    assert!(outcome.to_string().contains("Docker uses it after its next restart"), "{outcome}");
    assert_eq!(
        host.units.dockerd(),
        dockerd,
        "Docker must not be restarted: it would end consoles"
    );
    assert_ne!(std::fs::read(place.join("key.pem")).ok(), pair.ok(), "there must be a new key");
    assert!(place.join("cert.pem").is_symlink(), "in one file");
    // Docker loads it at its next restart.
    host.units.control(UnitAction::Restart, "docker.service").await.expect("restarted");
    assert!(std::net::TcpStream::connect(host.address()).is_ok());
    assert_eq!(host.set_up().await.expect("set up"), Outcome::Unchanged);

    signed_days_ago(&host, 400).await;
    let done = host.set_up().await.expect("set up");
    let Outcome::Done(summary) = &done else { panic!("{done:?}") };
    assert!(summary.signed && summary.restarted, "nobody can dial it: {summary:?}");
    host.stop().await;
}
