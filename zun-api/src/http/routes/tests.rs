use super::*;
use crate::auth::VERBS;
use crate::http::field::Field;
use crate::http::microversion::Microversion;

fn versions(route: &Route) -> String {
    if route.until == Microversion::NEWEST {
        format!("{}-", route.since)
    } else {
        format!("{}-{}", route.since, route.until)
    }
}

#[test]
fn each_route_has_its_versions_permission_and_status() {
    let row = |route: &Route| {
        let permission = match route.permission {
            _ if route.is_public() => "no token",
            None => "any caller",
            Some(permission) => permission.policy(),
        };
        let Route { verb, path, success, .. } = route;
        let verb = format!("{verb:?}").to_uppercase();
        format!("{verb} {path} {} {success} {permission}", versions(route))
    };
    insta::assert_snapshot!(all().map(row).collect::<Vec<_>>().join("\n"));
}

#[test]
fn each_verb_of_a_route_is_a_rule_that_a_policy_may_have() {
    let of_routes: BTreeSet<String> = all().flat_map(Route::policy_verbs).collect();
    let known: BTreeSet<String> = VERBS.iter().map(|&verb| verb.to_owned()).collect();
    assert_eq!(of_routes, known);
}

#[test]
fn each_field_that_is_not_in_every_version_has_its_first() {
    let row = |(route, field): (&Route, &Field)| {
        format!("{:?} {} {}: {}", route.verb, route.path, field.name, field.since)
    };
    let fields = all().flat_map(|route| route.fields.iter().map(move |field| (route, field)));
    let newer = fields.filter(|(_, field)| field.since > Microversion::OLDEST);
    insta::assert_snapshot!(newer.map(row).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_route_is_found_by_its_path_and_method_and_head_is_like_get() {
    let path = Some("/v1/containers/{ident}");
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(of(&method, path).map(|route| route.verb), Some(Verb::Get));
    }
    assert!(of(&Method::POST, path).is_none());
    assert_eq!(allowed("/v1/containers/{ident}"), "GET, HEAD, PATCH, DELETE, OPTIONS");
}

#[test]
fn a_route_is_refused_outside_its_versions() {
    let route = Route::get("/v1/x", "", to!(health::metrics)).since(4).until(13);
    for minor in [4, 13] {
        assert!(route.check_version(Microversion::new(minor)).is_ok());
    }
    for minor in [3, 14] {
        let refusal = route.check_version(Microversion::new(minor)).expect_err("not in it");
        let words = format!(
            "Version 1.{minor} was requested but the requested API is not supported for this version."
        );
        assert_eq!(refusal.to_string(), words);
    }
}
