//! All the ways to write a request line that might be taken for another one.

use std::collections::HashSet;

use super::kinds::Scene;
use super::routes::Base;
use crate::authz::ask::Line;

/// A way to write a target. Where it makes no difference the same line comes out, and is tried once.
type Spelling = (&'static str, fn(&Scene, &str) -> String);

/// Methods beside the route's own.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "post", "XPOST"];

const SPELLINGS: &[Spelling] = &[
    ("no version", |_, target| target.to_owned()),
    ("an older version", |_, target| format!("/v1.40{target}")),
    ("the oldest version", |_, target| format!("/v1.12{target}")),
    ("a version to come", |_, target| format!("/v1.99{target}")),
    ("a version with a zero", |scene, target| versioned("0", scene, target)),
    ("the other engine's version", |scene, target| {
        let other = if scene.version.minor == 41 { "1.45" } else { "1.41" };
        format!("/v{other}{target}")
    }),
    ("the version twice", |scene, target| format!("{}{}{target}", scene.prefix(), scene.prefix())),
    ("a large v", |scene, target| format!("{}{target}", scene.prefix().to_uppercase())),
    ("a letter encoded", |scene, target| {
        let letter = target.get(1..2).unwrap_or("x");
        let code = format!("/%{:02x}", letter.bytes().next().unwrap_or(b'x'));
        scene.prefix() + &target.replacen(&format!("/{letter}"), &code, 1)
    }),
    ("the last letter encoded", |scene, target| {
        let (path, query) = split(target);
        let end = path.len() - 1;
        format!("{}{}%{:02X}{query}", scene.prefix(), &path[..end], path.as_bytes()[end])
    }),
    ("the id's first letter encoded", |scene, target| {
        let code = format!("%{:02x}{}", scene.ours.as_bytes()[0], &scene.ours[1..]);
        scene.prefix() + &target.replace(&scene.ours, &code)
    }),
    ("slashes encoded", |scene, target| {
        let (path, query) = split(target);
        format!("{}/{}{query}", scene.prefix(), path[1..].replace('/', "%2F"))
    }),
    ("the query's mark encoded", |scene, target| scene.prefix() + &target.replace('?', "%3F")),
    ("signs of the query encoded", |scene, target| {
        scene.prefix() + &target.replace('=', "%3D").replace('&', "%26")
    }),
    ("encoded twice", |scene, target| scene.prefix() + &target.replacen("/c", "/%2563", 1)),
    ("a dot", |scene, target| format!("{}/.{target}", scene.prefix())),
    ("dots", |scene, target| format!("{}/containers/..{target}", scene.prefix())),
    ("dots before the version", |scene, target| format!("/x/..{}{target}", scene.prefix())),
    ("dots encoded", |scene, target| format!("{}/containers/%2e%2e{target}", scene.prefix())),
    ("dots and a slash encoded", |scene, target| {
        format!("{}/containers/{}/%2e%2e%2f..{target}", scene.prefix(), scene.ours)
    }),
    ("from our container up", |scene, target| {
        format!("{}/containers/{}/wait/../../..{target}", scene.prefix(), scene.ours)
    }),
    ("two slashes before", |scene, target| format!("/{}{target}", scene.prefix())),
    ("two slashes within", |scene, target| format!("{}/{target}", scene.prefix())),
    ("backslashes", |scene, target| scene.prefix() + &target.replace('/', "\\")),
    ("absolute", |scene, target| format!("http://engine{}{target}", scene.prefix())),
    ("absolute, by name and password", |scene, target| {
        format!("https://root:x@{}:2376{}{target}", scene.host, scene.prefix())
    }),
    ("a host's name before", |scene, target| format!("//{}{}{target}", scene.host, scene.prefix())),
    ("a granted line in the query", |scene, target| {
        let join = if target.contains('?') { '&' } else { '?' };
        format!("{}{target}{join}x={}", scene.prefix(), granted_line(scene))
    }),
    ("a granted line as the query", |scene, target| {
        format!("{}{}?{}", scene.prefix(), split(target).0, granted_line(scene))
    }),
    ("a granted line in the fragment", |scene, target| {
        format!("{}{target}#{}", scene.prefix(), granted_line(scene))
    }),
    ("a granted line before", |scene, target| {
        format!("{}/../../../..{target}", granted_line(scene))
    }),
    ("our id in the query", |scene, target| {
        let join = if target.contains('?') { '&' } else { '?' };
        format!("{}{target}{join}id={}&name={}", scene.prefix(), scene.ours, scene.ours)
    }),
    ("the victim's id", |scene, target| {
        scene.prefix() + &target.replace(&scene.ours, &scene.victim)
    }),
    ("the victim's id, ours behind it", |scene, target| {
        let both = format!("{}%00{}", scene.victim, scene.ours);
        scene.prefix() + &target.replace(&scene.ours, &both)
    }),
    ("the beginning of the id", |scene, target| {
        scene.prefix() + &target.replace(&scene.ours, &scene.ours[..12])
    }),
    ("the name", |scene, target| scene.prefix() + &target.replace(&scene.ours, "matrix-ours")),
    ("the id in large letters", |scene, target| {
        scene.prefix() + &target.replace(&scene.ours, &scene.ours.to_uppercase())
    }),
    ("a slash behind", |scene, target| {
        let (path, query) = split(target);
        format!("{}{path}/{query}", scene.prefix())
    }),
    ("an empty query", |scene, target| format!("{}{target}?", scene.prefix())),
    ("one more key", |scene, target| format!("{}{target}&x=1", scene.prefix())),
    ("keys by semicolon", |scene, target| scene.prefix() + &target.replace('&', ";")),
    ("a key twice", |scene, target| format!("{}{target}&stdin=1&h=1", scene.prefix())),
    ("typing after all", |scene, target| scene.prefix() + &target.replace("stdin=0", "stdin=1")),
    ("typing, said otherwise", |scene, target| {
        scene.prefix() + &target.replace("stdin=0", "stdin=true")
    }),
    ("a path encoded", |scene, target| scene.prefix() + &target.replace("path=/", "path=%2F")),
    ("any path", |scene, target| scene.prefix() + &target.replace("path=/bin", "path=")),
    ("a path that is none", |scene, target| {
        scene.prefix() + &target.replace("path=/bin", "path=bin")
    }),
    ("overwriting", |scene, target| {
        scene.prefix() + &target.replace("noOverwriteDirNonDir=1&", "")
    }),
    ("a time otherwise", |scene, target| {
        scene.prefix() + &target.replace("since=0", "since=00").replace("tail=10", "tail=010")
    }),
    ("by websocket", |scene, target| scene.prefix() + &target.replace("/attach?", "/attach/ws?")),
    ("small percents", |scene, target| scene.prefix() + &target.replace("%F", "%f")),
    ("a nothing behind", |scene, target| format!("{}{target}%00", scene.prefix())),
    ("a line end behind", |scene, target| format!("{}{target}%0d%0aX:%20y", scene.prefix())),
    ("a long tail", |scene, target| format!("{}{target}#{}", scene.prefix(), "x".repeat(8000))),
];

/// The plain line of a base.
pub(super) fn plain(scene: &Scene, base: &Base) -> Line {
    Line::new(&base.method, format!("{}{}", scene.prefix(), base.target))
}

/// Every spelling of a base, each line once, the plain one first.
pub(super) fn all(scene: &Scene, base: &Base) -> Vec<(&'static str, Line)> {
    let plain = plain(scene, base);
    let others = SPELLINGS
        .iter()
        .map(|(name, spell)| (*name, Line::new(&base.method, spell(scene, &base.target))));
    let methods = METHODS.iter().map(|method| (*method, Line::new(method, plain.target.clone())));
    let mut seen = HashSet::new();
    std::iter::once(("plain", plain.clone()))
        .chain(others)
        .chain(methods)
        .filter(|(_, line)| seen.insert(line.clone()))
        .collect()
}

/// A line that a read-write grant on our container is good for.
fn granted_line(scene: &Scene) -> String {
    format!("{}/containers/{}/resize?h=24&w=80", scene.prefix(), scene.ours)
}

fn versioned(before_minor: &str, scene: &Scene, target: &str) -> String {
    format!("/v{}.{before_minor}{}{target}", scene.version.major, scene.version.minor)
}

/// The path, and the query with its mark.
fn split(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}
