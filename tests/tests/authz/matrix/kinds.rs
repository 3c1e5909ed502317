//! Who comes, with which certificate, and what exactly each may do: written out by hand.

use chrono::{Duration, Utc};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose as Purpose};
use time::OffsetDateTime;
use zun_common::grant::ApiVersion;
use zun_tests::tls::{Forge, Identity, common_name, dns, uri};

use crate::authz::ask::Line;

/// What everything is about: two containers and an exec on one host.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    pub(super) host: String,
    pub(super) version: ApiVersion,
    pub(super) ours: String,
    pub(super) victim: String,
    pub(super) exec: String,
}

/// Somebody who comes.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) identity: Option<Identity>,
    /// The engine itself cuts them off at the handshake.
    pub(super) handshake: bool,
    /// All that they may do.
    pub(super) granted: Vec<Line>,
}

impl Scene {
    /// What the engine's own version looks like in a target.
    pub(super) fn prefix(&self) -> String {
        format!("/v{}", self.version)
    }

    fn line(&self, method: &str, tail: &str) -> Line {
        Line::new(method, format!("{}{tail}", self.prefix()))
    }

    fn typing(&self, container: &str) -> Vec<Line> {
        let keys = "detachKeys=%FF,%FE,%FD,%FC,%FB,%FA";
        let streams = format!("logs=0&stream=1&stdin=1&stdout=1&stderr=1&{keys}");
        let mut lines = vec![
            self.line("GET", &format!("/containers/{container}/attach/ws?{streams}")),
            self.line("POST", &format!("/containers/{container}/attach?{streams}")),
            self.line("POST", &format!("/containers/{container}/resize?h=24&w=80")),
        ];
        lines.extend(self.reading(container));
        lines
    }

    fn reading(&self, container: &str) -> Vec<Line> {
        let output = "logs=0&stream=1&stdin=0&stdout=1&stderr=1";
        let mut lines =
            vec![self.line("POST", &format!("/containers/{container}/attach?{output}"))];
        lines.extend(["not-running", "next-exit", "removed"].map(|condition| {
            self.line("POST", &format!("/containers/{container}/wait?condition={condition}"))
        }));
        lines
    }

    fn executing(&self, exec: &str) -> Vec<Line> {
        vec![
            self.line("POST", &format!("/exec/{exec}/start")),
            self.line("POST", &format!("/exec/{exec}/resize?h=24&w=80")),
            self.line("GET", &format!("/exec/{exec}/json")),
        ]
    }

    fn output(&self, container: &str) -> Vec<Line> {
        let all = "follow=0&stdout=1&stderr=1&timestamps=0&since=0&until=0&tail=all";
        let some =
            "follow=0&stdout=1&stderr=0&timestamps=1&since=1700000000.000000005&until=0&tail=10";
        [all, some]
            .map(|query| self.line("GET", &format!("/containers/{container}/logs?{query}")))
            .to_vec()
    }

    fn looking(&self, container: &str) -> Vec<Line> {
        let tail = format!("/containers/{container}/archive?path=/bin");
        ["GET", "HEAD"].map(|method| self.line(method, &tail)).to_vec()
    }

    fn writing(&self, container: &str) -> Vec<Line> {
        let tail = format!("/containers/{container}/archive?noOverwriteDirNonDir=1&path=/bin");
        [self.looking(container), vec![self.line("PUT", &tail)]].concat()
    }

    /// All that any grant about our container and exec is good for.
    pub(super) fn granted(&self) -> Vec<Line> {
        let ours = &self.ours;
        [self.typing(ours), self.output(ours), self.writing(ours), self.executing(&self.exec)]
            .concat()
    }

    fn data(&self, what: &str) -> String {
        format!("zun://{}/containers/{}/{what}", self.host, self.ours)
    }

    fn console(&self, container: &str, mode: &str) -> String {
        format!("zun://{}/containers/{container}/attach?mode={mode}", self.host)
    }
}

/// Everybody. `forge` has our authority's key.
pub(super) fn all(scene: &Scene, forge: &Forge) -> Vec<Kind> {
    let grant = scene.console(&scene.ours, "rw");
    let plain = |uri: &str| Some(forge.identity(uri, |_| {}));
    let changed = |change: fn(&mut CertificateParams)| Some(forge.identity(&grant, change));
    let nobody = |name, identity| Kind { name, identity, handshake: false, granted: Vec::new() };
    let with = |name, identity, granted| Kind { name, identity, handshake: false, granted };
    let host = scene.console(&scene.ours, "rw").replace(&scene.host, "elsewhere");
    let mut kinds = vec![
        with("read-write", plain(&grant), scene.typing(&scene.ours)),
        with("read-only", plain(&scene.console(&scene.ours, "ro")), scene.reading(&scene.ours)),
        with("its output", plain(&scene.data("logs")), scene.output(&scene.ours)),
        with("its files", plain(&scene.data("archive?mode=ro")), scene.looking(&scene.ours)),
        with(
            "its files, to write",
            plain(&scene.data("archive?mode=rw")),
            scene.writing(&scene.ours),
        ),
        with(
            "another container's",
            plain(&scene.console(&scene.victim, "rw")),
            scene.typing(&scene.victim),
        ),
        with(
            "an exec's",
            plain(&format!("zun://{}/exec/{}", scene.host, scene.exec)),
            scene.executing(&scene.exec),
        ),
        with(
            "an exec's of the container's id",
            plain(&format!("zun://{}/exec/{}", scene.host, scene.ours)),
            scene.executing(&scene.ours),
        ),
        nobody("another host's", plain(&host)),
        nobody("no common name", changed(|params| params.distinguished_name = common_name(""))),
        nobody("no grant", changed(|params| params.subject_alt_names = vec![dns("compute1")])),
        nobody(
            "clients and servers",
            changed(|params| {
                params.extended_key_usages = vec![Purpose::ClientAuth, Purpose::ServerAuth];
            }),
        ),
        nobody("the authority itself", Some(forge.itself())),
    ];
    kinds.extend(refused_at_the_handshake(&grant, forge));
    kinds
}

fn refused_at_the_handshake(grant: &str, forge: &Forge) -> Vec<Kind> {
    let kind = |name, identity| Kind { name, identity, handshake: true, granted: Vec::new() };
    let valid = |from: Duration, until: Duration| {
        Some(forge.identity(grant, |params| {
            (params.not_before, params.not_after) = (moment(from), moment(until));
        }))
    };
    let hour = Duration::hours(1);
    vec![
        kind("no certificate", None),
        kind("expired", valid(-hour * 2, -hour)),
        kind("not yet valid", valid(hour, hour * 2)),
        kind("another authority's", Some(Forge::named("theirs").identity(grant, |_| {}))),
        kind("an authority's of our name", Some(forge.double_of().identity(grant, |_| {}))),
        kind(
            "a server's",
            Some(forge.identity(grant, |params| {
                params.extended_key_usages = vec![Purpose::ServerAuth];
                params.subject_alt_names = vec![dns("compute1"), uri(grant)];
            })),
        ),
        kind("a grant with another key", Some(forge.identity(grant, |_| {}).stolen())),
    ]
}

fn moment(from_now: Duration) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp((Utc::now() + from_now).timestamp()).expect("a time")
}
