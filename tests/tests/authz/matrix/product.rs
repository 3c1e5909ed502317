//! The whole product of callers and lines against the plugin's decision function, including lines that no engine would
//! pass on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use zun_authz::{AuthzRequest, Decision, PeerCertificates, Phase, Policy};
use zun_common::client_certificate::TrustedCas;
use zun_tests::profile;

use super::callers::{self, Caller};
use super::routes;
use super::site::without_engine;
use super::spellings;
use crate::authz::request::RequestLine;

/// Returns the engine's request for a caller's certificate, without a request line.
fn certified(caller: &Caller<'_>) -> AuthzRequest {
    let leaf = caller.identity().map(|identity| STANDARD.encode(identity.leaf_pem()));
    let named = leaf.is_some() && caller.name != callers::NAMELESS;
    AuthzRequest {
        user: if named { caller.id() } else { String::new() },
        auth_method: "TLS".to_owned(),
        certificates: PeerCertificates { leaf },
        ..AuthzRequest::default()
    }
}

/// Decides every line for a caller. Returns the number of lines and the number of allowed ones.
fn decided(
    policy: &Policy,
    caller: &Caller<'_>,
    lines: &[(&'static str, RequestLine)],
) -> (usize, usize) {
    let (mut request, now) = (certified(caller), Utc::now().timestamp());
    let mut allowed = 0;
    for (name, line) in lines {
        (request.method, request.uri) = (line.method.clone(), line.target.clone());
        let decision = policy.decide(&request, Phase::Request, now);
        let passes = matches!(decision, Decision::Granted(_));
        let granted = caller.granted.contains(line);
        assert_eq!(passes, granted, "{}, {name}: {line:?} {decision:?}", caller.name);
        assert_ne!(decision, Decision::Local, "{}: {line:?}", caller.name);
        allowed += usize::from(passes);
    }
    (lines.len(), allowed)
}

#[test]
fn exactly_the_granted_calls_of_the_whole_product_are_allowed() {
    // The API version changes only one part of each target, so a short run tries one version. The tests against a real
    // engine use the version of that engine.
    let versions: &[&str] = if profile::is_long() { &["1.41", "1.45"] } else { &["1.41"] };
    for version in versions {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut fixture, rogue_ca) = without_engine(directory.path());
        fixture.version = version.parse().expect("a version");
        let cas = TrustedCas::from_pem(rogue_ca.ca_pem().as_bytes()).expect("a CA");
        let host = fixture.host.parse().expect("a host");
        let policy = Policy { host, version: fixture.version, cas };
        let bases = routes::bases(&fixture);
        let lines: Vec<_> = bases.iter().flat_map(|base| spellings::all(&fixture, base)).collect();
        let mut callers = callers::all(&fixture, &rogue_ca);
        // To the plugin, a stolen certificate looks like the real one. The handshake stops its holder.
        callers.retain(|caller| caller.name != callers::STOLEN);
        let (policy, lines) = (&policy, &lines);
        let (tried, allowed) = std::thread::scope(|scope| {
            let deciding: Vec<_> = callers
                .iter()
                .map(|caller| scope.spawn(move || decided(policy, caller, lines)))
                .collect();
            let decided = deciding.into_iter().map(|caller| caller.join().expect("no panic"));
            decided.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
        });
        println!(
            "API {version}: {tried} decided, {allowed} allowed, which are exactly the granted ones"
        );
        assert!(tried > 50_000 && allowed > 10, "{tried} {allowed}");
    }
}
