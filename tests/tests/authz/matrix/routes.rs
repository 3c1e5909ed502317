//! The list of the engine's routes, and the request lines for them.

use zun_common::grant::ApiVersion;

use super::callers::Fixture;

const LIST: &str = include_str!("../../../data/engine-routes.txt");

/// One route of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) method: String,
    /// The path, with placeholders.
    pub(super) path: String,
    since: ApiVersion,
    /// Whether some builds of the engine lack it.
    pub(super) maybe: bool,
}

/// A method and a target without the API version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) method: String,
    pub(super) target: String,
    /// Whether the engine must know the route. If it must, a forbidden request in the plain spelling gets the plugin's
    /// refusal and not a 404.
    pub(super) known: bool,
    /// It is a console route, so every run tries all its spellings.
    pub(super) console: bool,
}

/// Returns all routes of the list.
pub(super) fn all() -> Vec<Route> {
    let lines = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(route).collect()
}

fn route(line: &str) -> Route {
    let mut path_parts = line.split(' ');
    let mut word = || path_parts.next().unwrap_or_else(|| panic!("{line}")).to_owned();
    let (method, path) = (word(), word());
    let mut route = Route { method, path, since: "1.41".parse().expect("a version"), maybe: false };
    for word in path_parts {
        match word.split_once('=') {
            Some(("since", version)) => route.since = version.parse().expect("a version"),
            None if word == "maybe" => route.maybe = true,
            Some(_) | None => panic!("{line}: {word}"),
        }
    }
    route
}

/// Returns every route with the fixture's container and exec, and every call that some grant of the fixture allows.
pub(super) fn bases(fixture: &Fixture) -> Vec<Base> {
    let routes = all().into_iter().map(|route| {
        let target = route
            .path
            .replace("{container}", &fixture.ours)
            .replace("{exec}", &fixture.exec)
            .replace("{name}", "some");
        let console = ["/attach", "/attach/ws", "/resize", "/wait", "/logs", "/archive", "/export"]
            .iter()
            .any(|end| route.path.ends_with(end))
            || route.path.contains("{exec}");
        let known = !route.maybe && route.since <= fixture.version;
        Base { method: route.method, target, known, console }
    });
    let prefix = fixture.prefix();
    let granted = fixture.granted().into_iter().map(|line| Base {
        method: line.method,
        target: line.target.strip_prefix(&prefix).expect("a version").to_owned(),
        known: true,
        console: true,
    });
    routes.chain(granted).collect()
}

#[test]
fn the_list_has_every_route_once() {
    let all = all();
    for (index, route) in all.iter().enumerate() {
        assert!(route.path.starts_with('/'), "{route:?}");
        assert!(!all[..index].contains(route), "{route:?} twice");
    }
    assert!(all.len() > 110, "{}", all.len());
}
