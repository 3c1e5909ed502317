//! The whole product on the plugin's decision alone: also what an engine never lets come so far.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use zun_compute::authz::{AuthzRequest, Decision, PeerCertificates, Phase, Policy, TrustedCas};
use zun_tests::profile;

use super::kinds::{self, Kind};
use super::routes;
use super::site::made_up;
use super::spellings;
use crate::authz::ask::Line;

/// What the engine says of a kind's certificate, its line left out.
fn certified(kind: &Kind<'_>) -> AuthzRequest {
    let leaf = kind.identity().map(|identity| STANDARD.encode(identity.leaf_pem()));
    let named = leaf.is_some() && kind.name != kinds::NAMELESS;
    AuthzRequest {
        user: if named { kind.id() } else { String::new() },
        auth_method: "TLS".to_owned(),
        certificates: PeerCertificates { leaf },
        ..AuthzRequest::default()
    }
}

/// Tries a kind on every line. How many, and how many were allowed.
fn decided(policy: &Policy, kind: &Kind<'_>, lines: &[(&'static str, Line)]) -> (usize, usize) {
    let (mut request, now) = (certified(kind), Utc::now().timestamp());
    let mut allowed = 0;
    for (name, line) in lines {
        (request.method, request.uri) = (line.method.clone(), line.target.clone());
        let decision = policy.decide(&request, Phase::Request, now);
        let passes = matches!(decision, Decision::Granted(_));
        let granted = kind.granted.contains(line);
        assert_eq!(passes, granted, "{}, {name}: {line:?} {decision:?}", kind.name);
        assert_ne!(decision, Decision::Local, "{}: {line:?}", kind.name);
        allowed += usize::from(passes);
    }
    (lines.len(), allowed)
}

#[test]
fn of_the_whole_product_exactly_the_granted_calls_are_allowed() {
    // The version is one word in a target, and the engine's own is tried against the engine itself.
    let versions: &[&str] = if profile::is_long() { &["1.41", "1.45"] } else { &["1.41"] };
    for version in versions {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut scene, forge) = made_up(directory.path());
        scene.version = version.parse().expect("a version");
        let cas = TrustedCas::from_pem(forge.ca_pem().as_bytes()).expect("an authority");
        let host = scene.host.parse().expect("a host");
        let policy = Policy { host, version: scene.version, cas };
        let bases = routes::bases(&scene);
        let lines: Vec<_> = bases.iter().flat_map(|base| spellings::all(&scene, base)).collect();
        let mut kinds = kinds::all(&scene, &forge);
        // A stolen certificate looks like the real one: its holder never gets past the handshake.
        kinds.retain(|kind| kind.name != kinds::STOLEN);
        let (policy, lines) = (&policy, &lines);
        let (tried, allowed) = std::thread::scope(|scope| {
            let deciding: Vec<_> = kinds
                .iter()
                .map(|kind| scope.spawn(move || decided(policy, kind, lines)))
                .collect();
            let decided = deciding.into_iter().map(|kind| kind.join().expect("no panic"));
            decided.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
        });
        println!("API {version}: {tried} decided, {allowed} allowed, as many as are granted");
        assert!(tried > 50_000 && allowed > 10, "{tried} {allowed}");
    }
}
