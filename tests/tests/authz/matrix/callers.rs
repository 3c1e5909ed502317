//! The callers of the matrix: their certificates, and the calls that each may make, written by hand.

use chrono::{Duration, Utc};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose as Purpose};
use time::OffsetDateTime;
use zun_common::grant::ApiVersion;
use zun_tests::tls::{Identity, RogueCa, common_name, dns, uri};

use crate::authz::request::RequestLine;

/// The objects of all requests: two containers and an exec on one host.
#[derive(Debug, Clone)]
pub(super) struct Fixture {
    pub(super) host: String,
    pub(super) version: ApiVersion,
    pub(super) ours: String,
    pub(super) victim: String,
    pub(super) exec: String,
}

/// The caller whose certificate has no common name.
pub(super) const NAMELESS: &str = "no common name";
/// The caller with a stolen certificate but another key.
pub(super) const STOLEN: &str = "a grant with another key";
/// The caller with a grant for the fixture's exec.
pub(super) const EXEC: &str = "exec";

type Make<'a> = Box<dyn Fn(&str) -> Identity + Send + Sync + 'a>;

/// A caller.
pub(super) struct Caller<'a> {
    pub(super) name: &'static str,
    identity: Option<Make<'a>>,
    /// Whether the engine refuses the handshake.
    pub(super) handshake: bool,
    /// All calls that the caller may make.
    pub(super) granted: Vec<RequestLine>,
}

impl<'a> Caller<'a> {
    fn without_calls(
        name: &'static str,
        make: impl Fn(&str) -> Identity + Send + Sync + 'a,
    ) -> Self {
        Self { name, identity: Some(Box::new(make)), handshake: false, granted: Vec::new() }
    }

    /// Issues a new certificate. A grant is valid for two minutes.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity.as_ref().map(|make| make(&self.id()))
    }

    /// Returns the ID of its grant.
    pub(super) fn id(&self) -> String {
        self.name.replace(' ', "-")
    }
}

impl Fixture {
    /// Returns the prefix of a target with the engine's API version.
    pub(super) fn prefix(&self) -> String {
        format!("/v{}", self.version)
    }

    fn line(&self, method: &str, tail: &str) -> RequestLine {
        RequestLine::new(method, format!("{}{tail}", self.prefix()))
    }

    fn typing(&self, container: &str) -> Vec<RequestLine> {
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

    fn reading(&self, container: &str) -> Vec<RequestLine> {
        let output = "logs=0&stream=1&stdin=0&stdout=1&stderr=1";
        let mut lines =
            vec![self.line("POST", &format!("/containers/{container}/attach?{output}"))];
        lines.extend(["not-running", "next-exit", "removed"].map(|condition| {
            self.line("POST", &format!("/containers/{container}/wait?condition={condition}"))
        }));
        lines
    }

    fn exec_calls(&self, exec: &str) -> Vec<RequestLine> {
        vec![
            self.line("POST", &format!("/exec/{exec}/start")),
            self.line("POST", &format!("/exec/{exec}/resize?h=24&w=80")),
            self.line("GET", &format!("/exec/{exec}/json")),
        ]
    }

    fn output(&self, container: &str) -> Vec<RequestLine> {
        let all = "follow=0&stdout=1&stderr=1&timestamps=0&since=0&until=0&tail=all";
        let some =
            "follow=0&stdout=1&stderr=0&timestamps=1&since=1700000000.000000005&until=0&tail=10";
        [all, some]
            .map(|query| self.line("GET", &format!("/containers/{container}/logs?{query}")))
            .to_vec()
    }

    fn file_reads(&self, container: &str) -> Vec<RequestLine> {
        let tail = format!("/containers/{container}/archive?path=/bin");
        let mut lines = ["GET", "HEAD"].map(|method| self.line(method, &tail)).to_vec();
        lines.push(self.line("GET", &format!("/containers/{container}/export")));
        lines
    }

    fn writing(&self, container: &str) -> Vec<RequestLine> {
        let tail = format!("/containers/{container}/archive?noOverwriteDirNonDir=1&path=/bin");
        [self.file_reads(container), vec![self.line("PUT", &tail)]].concat()
    }

    /// Returns all calls that any grant on our container and exec allows.
    pub(super) fn granted(&self) -> Vec<RequestLine> {
        let ours = &self.ours;
        [self.typing(ours), self.output(ours), self.writing(ours), self.exec_calls(&self.exec)]
            .concat()
    }

    fn data(&self, what: &str) -> String {
        format!("zun://{}/containers/{}/{what}", self.host, self.ours)
    }

    fn console(&self, container: &str, mode: &str) -> String {
        format!("zun://{}/containers/{container}/attach?mode={mode}", self.host)
    }
}

/// Returns all callers. `rogue_ca` has the key of our CA.
pub(super) fn all<'a>(fixture: &Fixture, rogue_ca: &'a RogueCa) -> Vec<Caller<'a>> {
    let grant = fixture.console(&fixture.ours, "rw");
    let ours = &fixture.ours;
    let exec = |id: &str| format!("zun://{}/exec/{id}", fixture.host);
    let with = |name, uri: String, granted| Caller {
        granted,
        ..Caller::without_calls(name, move |id| {
            rogue_ca.identity(&uri, |params| set_common_name(params, id))
        })
    };
    let changed = |name, change: fn(&mut CertificateParams)| {
        let grant = grant.clone();
        Caller::without_calls(name, move |id| {
            rogue_ca.identity(&grant, |params| {
                set_common_name(params, id);
                change(params);
            })
        })
    };
    let host = grant.replace(&fixture.host, "elsewhere");
    let mut callers = vec![
        with("read-write", grant.clone(), fixture.typing(ours)),
        with("read-only", fixture.console(ours, "ro"), fixture.reading(ours)),
        with("logs", fixture.data("logs"), fixture.output(ours)),
        with("files, read-only", fixture.data("archive?mode=ro"), fixture.file_reads(ours)),
        with("files, read and write", fixture.data("archive?mode=rw"), fixture.writing(ours)),
        with(
            "another container",
            fixture.console(&fixture.victim, "rw"),
            fixture.typing(&fixture.victim),
        ),
        with(EXEC, exec(&fixture.exec), fixture.exec_calls(&fixture.exec)),
        with("exec with the container's id", exec(ours), fixture.exec_calls(ours)),
        with("another host", host, Vec::new()),
        changed(NAMELESS, |params| params.distinguished_name = common_name("")),
        changed("no grant", |params| params.subject_alt_names = vec![dns("compute1")]),
        changed("client and server purposes", |params| {
            params.extended_key_usages = vec![Purpose::ClientAuth, Purpose::ServerAuth];
        }),
        changed("longer than any grant", |params| {
            params.not_before = moment(-Duration::days(1));
            params.not_after = moment(Duration::days(1));
        }),
        Caller::without_calls("the CA itself", |_| rogue_ca.itself()),
    ];
    callers.extend(refused_at_the_handshake(&grant, rogue_ca));
    callers
}

fn set_common_name(params: &mut CertificateParams, id: &str) {
    params.distinguished_name = common_name(id);
}

fn refused_at_the_handshake<'a>(grant: &str, rogue_ca: &'a RogueCa) -> Vec<Caller<'a>> {
    let hour = Duration::hours(1);
    let caller = |name, make: fn(&RogueCa, &str) -> Identity| {
        let grant = grant.to_owned();
        Caller { handshake: true, ..Caller::without_calls(name, move |_| make(rogue_ca, &grant)) }
    };
    let valid = |name, from: Duration, until: Duration| {
        let grant = grant.to_owned();
        let make = move |_: &str| {
            rogue_ca.identity(&grant, |params| {
                (params.not_before, params.not_after) = (moment(from), moment(until));
            })
        };
        Caller { handshake: true, ..Caller::without_calls(name, make) }
    };
    let minute = Duration::minutes(1);
    let none =
        Caller { identity: None, ..caller("no certificate", |rogue_ca, _| rogue_ca.itself()) };
    vec![
        none,
        valid("expired", -hour, minute - hour),
        valid("not yet valid", hour, hour + minute),
        caller("another CA", |_, grant| RogueCa::named("theirs").identity(grant, |_| {})),
        caller("another CA with our name", |rogue_ca, grant| {
            rogue_ca.with_another_key().identity(grant, |_| {})
        }),
        caller("a server certificate", |rogue_ca, grant| {
            rogue_ca.identity(grant, |params| {
                params.extended_key_usages = vec![Purpose::ServerAuth];
                params.subject_alt_names = vec![dns("compute1"), uri(grant)];
            })
        }),
        caller(STOLEN, |rogue_ca, grant| rogue_ca.identity(grant, |_| {}).stolen()),
    ]
}

fn moment(from_now: Duration) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp((Utc::now() + from_now).timestamp()).expect("a time")
}
