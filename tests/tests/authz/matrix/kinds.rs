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

/// The kind whose certificate has no common name.
pub(super) const NAMELESS: &str = "no common name";
/// The kind whose holder has not its key.
pub(super) const STOLEN: &str = "a grant with another key";
/// The kind that may do all with the scene's exec.
pub(super) const EXEC: &str = "an exec's";

type Make<'a> = Box<dyn Fn(&str) -> Identity + Send + Sync + 'a>;

/// Somebody who comes.
pub(super) struct Kind<'a> {
    pub(super) name: &'static str,
    identity: Option<Make<'a>>,
    /// The engine itself cuts them off at the handshake.
    pub(super) handshake: bool,
    /// All that they may do.
    pub(super) granted: Vec<Line>,
}

impl<'a> Kind<'a> {
    fn nobody(name: &'static str, make: impl Fn(&str) -> Identity + Send + Sync + 'a) -> Self {
        Self { name, identity: Some(Box::new(make)), handshake: false, granted: Vec::new() }
    }

    /// What it shows now: a grant is good for two minutes.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity.as_ref().map(|make| make(&self.id()))
    }

    /// Its grant's id.
    pub(super) fn id(&self) -> String {
        self.name.replace(' ', "-")
    }
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
pub(super) fn all<'a>(scene: &Scene, forge: &'a Forge) -> Vec<Kind<'a>> {
    let grant = scene.console(&scene.ours, "rw");
    let ours = &scene.ours;
    let exec = |id: &str| format!("zun://{}/exec/{id}", scene.host);
    let with = |name, uri: String, granted| Kind {
        granted,
        ..Kind::nobody(name, move |id| forge.identity(&uri, |params| called(params, id)))
    };
    let changed = |name, change: fn(&mut CertificateParams)| {
        let grant = grant.clone();
        Kind::nobody(name, move |id| {
            forge.identity(&grant, |params| {
                called(params, id);
                change(params);
            })
        })
    };
    let host = grant.replace(&scene.host, "elsewhere");
    let mut kinds = vec![
        with("read-write", grant.clone(), scene.typing(ours)),
        with("read-only", scene.console(ours, "ro"), scene.reading(ours)),
        with("its output", scene.data("logs"), scene.output(ours)),
        with("its files", scene.data("archive?mode=ro"), scene.looking(ours)),
        with("its files, to write", scene.data("archive?mode=rw"), scene.writing(ours)),
        with(
            "another container's",
            scene.console(&scene.victim, "rw"),
            scene.typing(&scene.victim),
        ),
        with(EXEC, exec(&scene.exec), scene.executing(&scene.exec)),
        with("an exec's of the container's id", exec(ours), scene.executing(ours)),
        with("another host's", host, Vec::new()),
        changed(NAMELESS, |params| params.distinguished_name = common_name("")),
        changed("no grant", |params| params.subject_alt_names = vec![dns("compute1")]),
        changed("clients and servers", |params| {
            params.extended_key_usages = vec![Purpose::ClientAuth, Purpose::ServerAuth];
        }),
        changed("longer than any", |params| {
            params.not_before = moment(-Duration::days(1));
            params.not_after = moment(Duration::days(1));
        }),
        Kind::nobody("the authority itself", |_| forge.itself()),
    ];
    kinds.extend(refused_at_the_handshake(&grant, forge));
    kinds
}

fn called(params: &mut CertificateParams, id: &str) {
    params.distinguished_name = common_name(id);
}

fn refused_at_the_handshake<'a>(grant: &str, forge: &'a Forge) -> Vec<Kind<'a>> {
    let hour = Duration::hours(1);
    let kind = |name, make: fn(&Forge, &str) -> Identity| {
        let grant = grant.to_owned();
        Kind { handshake: true, ..Kind::nobody(name, move |_| make(forge, &grant)) }
    };
    let valid = |name, from: Duration, until: Duration| {
        let grant = grant.to_owned();
        let make = move |_: &str| {
            forge.identity(&grant, |params| {
                (params.not_before, params.not_after) = (moment(from), moment(until));
            })
        };
        Kind { handshake: true, ..Kind::nobody(name, make) }
    };
    let minute = Duration::minutes(1);
    let none = Kind { identity: None, ..kind("no certificate", |forge, _| forge.itself()) };
    vec![
        none,
        valid("expired", -hour, minute - hour),
        valid("not yet valid", hour, hour + minute),
        kind("another authority's", |_, grant| Forge::named("theirs").identity(grant, |_| {})),
        kind("an authority's of our name", |forge, grant| {
            forge.double_of().identity(grant, |_| {})
        }),
        kind("a server's", |forge, grant| {
            forge.identity(grant, |params| {
                params.extended_key_usages = vec![Purpose::ServerAuth];
                params.subject_alt_names = vec![dns("compute1"), uri(grant)];
            })
        }),
        kind(STOLEN, |forge, grant| forge.identity(grant, |_| {}).stolen()),
    ]
}

fn moment(from_now: Duration) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp((Utc::now() + from_now).timestamp()).expect("a time")
}
