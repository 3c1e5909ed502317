//! Tests of what a grant permits on the engine, through the CLI's library.

use std::process::Command;

use zun_common::pki::signing_request;
use zun_common::shutdown::Tasks;
use zun_tests::profile::is_long;
use zun_tests::recorder;
use zun_tests::tls::RogueCa;
use zun_tests::zun_cli::ZunCli;
use zunclient::console::docker::address::Address;
use zunclient::console::docker::dial::Dialer;
use zunclient::console::docker::hijack::{Framing, hijack};
use zunclient::console::{ConsoleError, Dial, connection};

use super::library::{endpoint, running};

async fn refusal(dialer: &Dialer, url: &str) -> String {
    let address = Address::parse(url).expect("an address");
    match hijack(dialer, &address, "", Framing::Raw).await {
        Ok(_) => panic!("{url} was accepted"),
        Err(error) => zun_common::chain(&error),
    }
}

#[tokio::test]
async fn c52_a_grant_covers_only_its_container_verbs_and_key() {
    let mut recorder = recorder!();
    let zun = ZunCli::shared();
    let (own, other) = (running(&zun, "c52-own"), running(&zun, "c52-other"));
    let (ours, key) = endpoint(&zun, own.as_str()).await;
    let (theirs, _) = endpoint(&zun, other.as_str()).await;
    let dialer = Dialer::new(&ours.tls, &key).expect("a dialer");
    let url = |endpoint: &zun_common::api::v1::console::ConsoleEndpoint| {
        endpoint.calls.attach.clone().expect("an address")
    };
    let other_container = refusal(&dialer, &url(&theirs)).await;
    assert!(other_container.contains("403"), "{other_container}");
    let other_verb = refusal(&dialer, &url(&ours).replace("/attach?", "/start?")).await;
    assert!(other_verb.contains("403"), "{other_verb}");
    let another = signing_request("client", Vec::new()).expect("a key").key;
    let other_key = match Dialer::new(&ours.tls, &another) {
        Ok(dialer) => refusal(&dialer, &url(&ours)).await,
        Err(error) => error.to_string(),
    };
    assert!(!other_key.contains("101"), "{other_key}");
    hijack(&dialer, &Address::parse(&url(&ours)).expect("an address"), "", Framing::Raw)
        .await
        .expect("the right key is accepted");
    if is_long() {
        let left = ours.expires_at - chrono::Utc::now() + chrono::TimeDelta::seconds(1);
        tokio::time::sleep(left.to_std().expect("in the future")).await;
        let expired = refusal(&dialer, &url(&ours)).await;
        // Go before 1.21 has one alert for every certificate error.
        let alerts = ["BadCertificate", "CertificateExpired"];
        assert!(alerts.iter().any(|word| expired.contains(word)), "{expired}");
        recorder.measured("refused one second after it expired");
    }
}

#[tokio::test]
async fn c55_the_address_without_the_key_gets_no_handshake() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let own = running(&zun, "c55");
    let (endpoint, _) = endpoint(&zun, own.as_str()).await;
    let url = endpoint.calls.attach.expect("an address");
    let output = Command::new("curl")
        .args(["-sSk", "-m", "10", "-X", "POST", &url])
        .output()
        .expect("curl runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{message}");
    assert!(message.contains("certificate"), "{message}");
}

#[tokio::test]
async fn c57_a_host_of_another_ca_is_refused_before_a_byte_of_input() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let own = running(&zun, "c57");
    let (mut endpoint, key) = endpoint(&zun, own.as_str()).await;
    endpoint.tls.ca = RogueCa::named("another CA").ca_pem().to_owned();
    let dial = Dial::new(endpoint, key, Tasks::new());
    let refused = connection(dial).expect("an endpoint").open().await.err().expect("a refusal");
    assert!(matches!(refused, ConsoleError::Handshake { .. }), "{refused}");
    assert_eq!(zun.field(own.as_str(), "attached"), 0);
}
