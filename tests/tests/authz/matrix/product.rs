//! The whole product on the plugin's decision alone: also what an engine never lets come so far.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use zun_compute::authz::{Authorities, Chain, Decision, Phase, Policy, Question};
use zun_tests::profile;

use super::kinds::{self, Kind};
use super::routes;
use super::site::made_up;
use super::spellings;
use crate::authz::ask::Line;

fn question(kind: &Kind, line: &Line) -> Question {
    let leaf = kind.identity.as_ref().map(|identity| STANDARD.encode(identity.leaf_pem()));
    Question {
        user: if leaf.is_some() && kind.name != "no common name" { "forged" } else { "" }
            .to_owned(),
        auth_method: "TLS".to_owned(),
        method: line.method.clone(),
        uri: line.target.clone(),
        certificates: Chain { leaf },
    }
}

#[test]
fn of_the_whole_product_exactly_the_granted_calls_are_allowed() {
    // The version is one word in a target, and the engine's own is tried against the engine itself.
    let versions: &[&str] = if profile::is_long() { &["1.41", "1.45"] } else { &["1.41"] };
    for version in versions {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut scene, forge) = made_up(directory.path());
        scene.version = version.parse().expect("a version");
        let authorities = Authorities::from_pem(forge.ca_pem().as_bytes()).expect("an authority");
        let host = scene.host.parse().expect("a host");
        let policy = Policy { host, version: scene.version, authorities };
        let kinds = kinds::all(&scene, &forge);
        let (mut tried, mut allowed, mut expected) = (0, 0, 0);
        for kind in &kinds {
            // A stolen certificate looks like the real one: its holder never gets past the handshake.
            if kind.name == "a grant with another key" {
                continue;
            }
            for base in routes::bases(&scene) {
                for (name, line) in spellings::all(&scene, &base) {
                    let asked = question(kind, &line);
                    let decision = policy.decide(&asked, Phase::Request, Utc::now().timestamp());
                    let passes = matches!(decision, Decision::Granted(_));
                    let granted = kind.granted.contains(&line);
                    assert_eq!(passes, granted, "{}, {name}: {line:?} {decision:?}", kind.name);
                    assert_ne!(decision, Decision::Local, "{}: {line:?}", kind.name);
                    tried += 1;
                    allowed += usize::from(passes);
                    expected += usize::from(granted);
                }
            }
        }
        println!("API {version}: {tried} decided, {allowed} allowed, {expected} granted");
        assert!(tried > 50_000 && allowed > 10, "{tried} {allowed}");
    }
}
