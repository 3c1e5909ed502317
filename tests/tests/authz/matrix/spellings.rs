//! Spellings of a request line that a server might mistake for another line.

use std::collections::HashSet;

use super::callers::Fixture;
use super::routes::Base;
use crate::authz::request::RequestLine;

/// A name, and a function that spells a target differently. `all` keeps only one of several equal lines.
type Spelling = (&'static str, fn(&Fixture, &str) -> String);

/// Methods to try besides the route's own.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "post", "XPOST"];

const SPELLINGS: &[Spelling] = &[
    ("no version", |_, target| target.to_owned()),
    ("an older version", |_, target| format!("/v1.40{target}")),
    ("the oldest version", |_, target| format!("/v1.12{target}")),
    ("a future version", |_, target| format!("/v1.99{target}")),
    ("a version with a zero", |fixture, target| versioned("0", fixture, target)),
    ("the other engine's version", |fixture, target| {
        let other = if fixture.version.minor == 41 { "1.45" } else { "1.41" };
        format!("/v{other}{target}")
    }),
    ("the version twice", |fixture, target| {
        format!("{}{}{target}", fixture.prefix(), fixture.prefix())
    }),
    ("an upper-case V", |fixture, target| format!("{}{target}", fixture.prefix().to_uppercase())),
    ("an encoded letter", |fixture, target| {
        let letter = target.get(1..2).unwrap_or("x");
        let code = format!("/%{:02x}", letter.bytes().next().unwrap_or(b'x'));
        fixture.prefix() + &target.replacen(&format!("/{letter}"), &code, 1)
    }),
    ("the last letter, encoded", |fixture, target| {
        let (path, query) = split(target);
        let end = path.len() - 1;
        format!("{}{}%{:02X}{query}", fixture.prefix(), &path[..end], path.as_bytes()[end])
    }),
    ("the first letter of the id, encoded", |fixture, target| {
        let code = format!("%{:02x}{}", fixture.ours.as_bytes()[0], &fixture.ours[1..]);
        fixture.prefix() + &target.replace(&fixture.ours, &code)
    }),
    ("encoded slashes", |fixture, target| {
        let (path, query) = split(target);
        format!("{}/{}{query}", fixture.prefix(), path[1..].replace('/', "%2F"))
    }),
    ("an encoded question mark", |fixture, target| fixture.prefix() + &target.replace('?', "%3F")),
    ("encoded separators in the query", |fixture, target| {
        fixture.prefix() + &target.replace('=', "%3D").replace('&', "%26")
    }),
    ("double encoding", |fixture, target| fixture.prefix() + &target.replacen("/c", "/%2563", 1)),
    ("a dot", |fixture, target| format!("{}/.{target}", fixture.prefix())),
    ("dots", |fixture, target| format!("{}/containers/..{target}", fixture.prefix())),
    ("dots before the version", |fixture, target| format!("/x/..{}{target}", fixture.prefix())),
    ("encoded dots", |fixture, target| format!("{}/containers/%2e%2e{target}", fixture.prefix())),
    ("encoded dots and slash", |fixture, target| {
        format!("{}/containers/{}/%2e%2e%2f..{target}", fixture.prefix(), fixture.ours)
    }),
    ("up from our container", |fixture, target| {
        format!("{}/containers/{}/wait/../../..{target}", fixture.prefix(), fixture.ours)
    }),
    ("two leading slashes", |fixture, target| format!("/{}{target}", fixture.prefix())),
    ("two slashes inside", |fixture, target| format!("{}/{target}", fixture.prefix())),
    ("backslashes", |fixture, target| fixture.prefix() + &target.replace('/', "\\")),
    ("an absolute URL", |fixture, target| format!("http://engine{}{target}", fixture.prefix())),
    ("an absolute URL with user and password", |fixture, target| {
        format!("https://root:x@{}:2376{}{target}", fixture.host, fixture.prefix())
    }),
    ("a leading host name", |fixture, target| {
        format!("//{}{}{target}", fixture.host, fixture.prefix())
    }),
    ("a granted line in the query", |fixture, target| {
        let join = if target.contains('?') { '&' } else { '?' };
        format!("{}{target}{join}x={}", fixture.prefix(), granted_line(fixture))
    }),
    ("a granted line as the query", |fixture, target| {
        format!("{}{}?{}", fixture.prefix(), split(target).0, granted_line(fixture))
    }),
    ("a granted line in the fragment", |fixture, target| {
        format!("{}{target}#{}", fixture.prefix(), granted_line(fixture))
    }),
    ("a leading granted line", |fixture, target| {
        format!("{}/../../../..{target}", granted_line(fixture))
    }),
    ("our id in the query", |fixture, target| {
        let join = if target.contains('?') { '&' } else { '?' };
        format!("{}{target}{join}id={}&name={}", fixture.prefix(), fixture.ours, fixture.ours)
    }),
    ("the victim's id", |fixture, target| {
        fixture.prefix() + &target.replace(&fixture.ours, &fixture.victim)
    }),
    ("the victim's id followed by ours", |fixture, target| {
        let both = format!("{}%00{}", fixture.victim, fixture.ours);
        fixture.prefix() + &target.replace(&fixture.ours, &both)
    }),
    ("a prefix of the id", |fixture, target| {
        fixture.prefix() + &target.replace(&fixture.ours, &fixture.ours[..12])
    }),
    ("the name", |fixture, target| {
        fixture.prefix() + &target.replace(&fixture.ours, "matrix-ours")
    }),
    ("the id in upper case", |fixture, target| {
        fixture.prefix() + &target.replace(&fixture.ours, &fixture.ours.to_uppercase())
    }),
    ("a trailing slash", |fixture, target| {
        let (path, query) = split(target);
        format!("{}{path}/{query}", fixture.prefix())
    }),
    ("an empty query", |fixture, target| format!("{}{target}?", fixture.prefix())),
    ("an additional key", |fixture, target| format!("{}{target}&x=1", fixture.prefix())),
    ("keys separated by semicolons", |fixture, target| {
        fixture.prefix() + &target.replace('&', ";")
    }),
    ("a key twice", |fixture, target| format!("{}{target}&stdin=1&h=1", fixture.prefix())),
    ("stdin=1", |fixture, target| fixture.prefix() + &target.replace("stdin=0", "stdin=1")),
    ("stdin=true", |fixture, target| fixture.prefix() + &target.replace("stdin=0", "stdin=true")),
    ("an encoded path", |fixture, target| fixture.prefix() + &target.replace("path=/", "path=%2F")),
    ("any path", |fixture, target| fixture.prefix() + &target.replace("path=/bin", "path=")),
    ("a relative path", |fixture, target| {
        fixture.prefix() + &target.replace("path=/bin", "path=bin")
    }),
    ("overwriting", |fixture, target| {
        fixture.prefix() + &target.replace("noOverwriteDirNonDir=1&", "")
    }),
    ("numbers with leading zeros", |fixture, target| {
        fixture.prefix() + &target.replace("since=0", "since=00").replace("tail=10", "tail=010")
    }),
    ("the websocket route", |fixture, target| {
        fixture.prefix() + &target.replace("/attach?", "/attach/ws?")
    }),
    ("lower-case percent-encoding", |fixture, target| {
        fixture.prefix() + &target.replace("%F", "%f")
    }),
    ("a trailing NUL", |fixture, target| format!("{}{target}%00", fixture.prefix())),
    ("a trailing line break", |fixture, target| {
        format!("{}{target}%0d%0aX:%20y", fixture.prefix())
    }),
    ("a long tail", |fixture, target| format!("{}{target}#{}", fixture.prefix(), "x".repeat(8000))),
];

/// Returns the plain line of a base.
pub(super) fn plain(fixture: &Fixture, base: &Base) -> RequestLine {
    RequestLine::new(&base.method, format!("{}{}", fixture.prefix(), base.target))
}

/// Returns every spelling of a base, the plain one first, without duplicates.
pub(super) fn all(fixture: &Fixture, base: &Base) -> Vec<(&'static str, RequestLine)> {
    let plain = plain(fixture, base);
    let others = SPELLINGS
        .iter()
        .map(|(name, spell)| (*name, RequestLine::new(&base.method, spell(fixture, &base.target))));
    let methods =
        METHODS.iter().map(|method| (*method, RequestLine::new(method, plain.target.clone())));
    let mut seen = HashSet::new();
    std::iter::once(("plain", plain.clone()))
        .chain(others)
        .chain(methods)
        .filter(|(_, line)| seen.insert(line.clone()))
        .collect()
}

/// Returns a line that a read-write grant on our container allows.
fn granted_line(fixture: &Fixture) -> String {
    format!("{}/containers/{}/resize?h=24&w=80", fixture.prefix(), fixture.ours)
}

fn versioned(before_minor: &str, fixture: &Fixture, target: &str) -> String {
    format!("/v{}.{before_minor}{}{target}", fixture.version.major, fixture.version.minor)
}

/// Splits a target into the path and the query with its `?`.
fn split(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}
