//! Permissions: one table of rules with OpenStack's names, and the operator's changes to it.

mod expression;
mod verbs;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::Identity;
use expression::{Expression, ExpressionError, Reader};
pub(crate) use verbs::VERBS;

/// Who has a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Grantee {
    /// Not even administrators, until the operator's settings allow it.
    Nobody,
    /// Administrators.
    Admin,
    /// Every caller who may do more than read, in their own project.
    Member,
    /// Every caller.
    Reader,
}

/// Generates the permissions from the table.
macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $who:ident;)+) => {
        /// A permission that not every caller has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Permission { $($(#[$doc])* $variant),+ }

        impl Permission {
            const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name of its rule.
            pub(crate) const fn policy(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Who has it if the settings do not say.
            const fn default_holder(self) -> Grantee {
                match self { $(Self::$variant => Grantee::$who),+ }
            }
        }
    };
}

permissions!(
    /// Everything but listing and showing containers: also their output, files and processes.
    UseContainers = "container:use", Member;
    /// Links to consoles, which give access to anyone who has them.
    ShareConsole = "container:share", Member;
    /// Images that are created from containers. They fill the disk of a host.
    Commit = "container:commit", Member;
    /// The recordings of one's own project's sessions: what their users saw.
    PlayRecording = "recording:play", Member;
    /// Recordings may be evidence.
    DeleteRecording = "recording:delete", Admin;
    SeeAllProjects = "container:get_all_all_projects", Admin;
    SeeHosts = "host:get_all", Admin;
    /// One's own project's.
    SeeQuota = "quota:get", Reader;
    SetQuota = "quota:update", Admin;
    ResetQuota = "quota:delete", Admin;
    SeeQuotaClass = "quota_class:get", Admin;
    SetQuotaClass = "quota_class:update", Admin;
    SeeServices = "zun-service:get_all", Admin;
    EnableService = "zun-service:enable", Admin;
    DisableService = "zun-service:disable", Admin;
    ForceDownService = "zun-service:force_down", Admin;
    DeleteService = "zun-service:delete", Admin;
    ChooseHost = "container:create:requested_destination", Admin;
    FilterByHost = "container:get_one:host", Admin;
    ForceDelete = "container:delete_force", Admin;
    ExecutePrivileged = "container:execute:privileged", Admin;
    /// One's own project's.
    SeeImages = "image:get_all", Reader;
    /// A pull onto a host, which fills its disk.
    PullImage = "image:pull", Admin;
    /// One's own project's.
    DeleteImage = "image:delete", Member;
    SearchImages = "image:search", Admin;
    /// The subnet of a network. A subnet that is in use elsewhere becomes unreachable from the host.
    ChooseSubnet = "network:create:subnet", Admin;
    ReplaceHost = "host:replace", Admin;
    RecoverHost = "host:recover", Admin;
    CleanHost = "host:clean", Admin;
    /// A port of the host below 1024, where others expect the host's own services.
    TakeLowPort = "container:create:low_port", Admin;
    /// All devices and capabilities of the host: root on the host.
    Privileged = "container:create:privileged", Nobody;
    /// Capabilities that Docker does not give by default.
    AddCapability = "container:create:cap_add", Nobody;
    /// A device of the host.
    UseDevice = "container:create:device", Nobody;
    /// GPUs of the host, which zun does not count.
    UseGpu = "container:create:gpus", Nobody;
    /// A path of the host.
    MountHostPath = "container:create:host_path", Nobody;
    /// The host's network.
    ShareNetwork = "container:create:host_network", Nobody;
    /// The host's processes.
    ShareProcesses = "container:create:pid_mode", Nobody;
    /// The host's shared memory.
    ShareIpc = "container:create:ipc_mode", Nobody;
    /// Security options other than `no-new-privileges`.
    SecurityOption = "container:create:security_opt", Nobody;
    /// Kernel parameters that are not the container's own.
    SetSysctl = "container:create:sysctl", Nobody;
    /// Limits with which a process can take CPU time from others.
    SetPriority = "container:create:ulimit", Nobody;
    /// More swap than memory.
    MoreSwap = "container:create:memory_swap", Nobody;
    /// Another runtime.
    ChooseRuntime = "container:create:runtime", Nobody;
    /// Annotations, which some runtimes act on.
    Annotate = "container:create:annotation", Nobody;
    /// A log driver that sends output elsewhere, or an option that uses the host's files or memory.
    ChooseLogDriver = "container:create:log_driver", Nobody;
);

/// The rules: the table, with the operator's changes. Cloning it is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    changed: Arc<BTreeMap<&'static str, Rule>>,
    common: Arc<Common>,
}

/// The common rules of OpenStack Zun that a file has changed. Its other rules refer to them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Common {
    /// `context_is_admin`: who is an administrator; otherwise, who has the role `admin`.
    is_admin: Option<Expression>,
    /// `admin_api`: who has the permissions of administrators; otherwise, administrators.
    admin_api: Option<Expression>,
    /// `admin_or_owner`: which callers have the permissions of members, of those who may do more than read.
    owner: Option<Expression>,
}

/// A rule that the operator has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Grantee(Grantee),
    Expression(Expression),
}

/// Why the file of rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] std::io::Error),
    /// It is not a YAML mapping of names to strings.
    #[error(
        "it must be a YAML mapping of rule names to strings, such as `\"host:get_all\": \"role:operator\"`"
    )]
    Yaml(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has an unknown rule.
    #[error("{0}")]
    Unknown(String),
    /// The settings have the rule too.
    #[error(
        "the rule `{0}` is also in the section [policy] of the settings; remove one of the two"
    )]
    Twice(&'static str),
    /// A rule cannot be read.
    #[error("the rule `{name}`")]
    Rule {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        cause: ExpressionError,
    },
}

impl Policy {
    /// Whether the caller has the permission.
    pub(crate) fn allows(&self, identity: &Identity, permission: Permission) -> bool {
        match self.changed.get(permission.policy()) {
            Some(rule) => self.holds(identity, rule),
            None => self.is(identity, permission.default_holder()),
        }
    }

    /// Whether the caller may use a route by the operator's rules for its verbs. `None` if they have none for the first
    /// one, the route's own.
    pub(crate) fn allows_verbs<'a>(
        &self,
        identity: &Identity,
        verbs: &[&'a str],
    ) -> Result<Option<()>, &'a str> {
        let mut own = None;
        for (number, verb) in verbs.iter().enumerate() {
            match self.changed.get(verb) {
                Some(rule) if !self.holds(identity, rule) => return Err(verb),
                Some(_) if number == 0 => own = Some(()),
                Some(_) | None => {}
            }
        }
        Ok(own)
    }

    /// Whether the caller is an administrator.
    pub(crate) fn is_admin(&self, identity: &Identity) -> bool {
        let has_role = || identity.roles.iter().any(|role| role == "admin");
        self.common.is_admin.as_ref().map_or_else(has_role, |rule| rule.holds(identity))
    }

    fn holds(&self, identity: &Identity, rule: &Rule) -> bool {
        match rule {
            Rule::Expression(expression) => expression.holds(identity),
            Rule::Grantee(who) => self.is(identity, *who),
        }
    }

    fn is(&self, identity: &Identity, who: Grantee) -> bool {
        let Common { is_admin: _, admin_api, owner } = &*self.common;
        match who {
            Grantee::Reader => true,
            Grantee::Member => {
                !identity.only_reads() && owner.as_ref().is_none_or(|rule| rule.holds(identity))
            }
            Grantee::Admin => match admin_api {
                Some(rule) => rule.holds(identity),
                None => self.is_admin(identity),
            },
            Grantee::Nobody => false,
        }
    }

    /// Adds the rules of a file: YAML, with the rules' names and the language of oslo.policy.
    pub(crate) fn with_file(&self, path: &Path) -> Result<Self, PolicyError> {
        let text = std::fs::read_to_string(path).map_err(PolicyError::Read)?;
        let rules: Option<BTreeMap<String, String>> =
            serde_saphyr::from_str(&text).map_err(|cause| PolicyError::Yaml(cause.into()))?;
        let rules = rules.unwrap_or_default();
        let reader = Reader::new(&rules);
        let mut changed = BTreeMap::clone(&self.changed);
        let mut common = Common::default();
        for (name, text) in &rules {
            let expression = reader
                .read(text)
                .map_err(|cause| PolicyError::Rule { name: name.clone(), cause })?;
            match name.as_str() {
                "context_is_admin" => common.is_admin = Some(expression.clone()),
                "admin_api" => common.admin_api = Some(expression.clone()),
                "admin_or_owner" => common.owner = Some(expression.clone()),
                _ => {}
            }
            match named(name) {
                Ok(rule) if changed.contains_key(rule) => return Err(PolicyError::Twice(rule)),
                Ok(rule) => drop(changed.insert(rule, Rule::Expression(expression))),
                Err(_) if reader.is_used(name) => {}
                Err(unknown) => return Err(PolicyError::Unknown(unknown)),
            }
        }
        Ok(Self { changed: Arc::new(changed), common: Arc::new(common) })
    }
}

/// Returns the name of a rule, or why there is none.
fn named(name: &str) -> Result<&'static str, String> {
    let names = || {
        let permissions = || Permission::ALL.iter().map(|permission| permission.policy());
        let other = VERBS.iter().copied().filter(move |verb| !permissions().any(|it| it == *verb));
        permissions().chain(other)
    };
    names().find(|known| *known == name).ok_or_else(|| {
        let known = names().collect::<Vec<_>>();
        format!("`{name}` is not a rule; the rules are {}", known.join(", "))
    })
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut changed = BTreeMap::new();
        for (name, who) in BTreeMap::<String, Grantee>::deserialize(input)? {
            let rule = named(&name).map_err(serde::de::Error::custom)?;
            changed.insert(rule, Rule::Grantee(who));
        }
        Ok(Self { changed: Arc::new(changed), common: Arc::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(roles: &[&str]) -> Identity {
        Identity {
            user: "ann".parse().expect("a user"),
            project: "web".parse().expect("a project"),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        }
    }

    #[test]
    fn what_touches_the_host_is_off_until_the_settings_allow_it() {
        let (admin, member) = (identity(&["admin"]), identity(&[]));
        let policy = Policy::default();
        assert!(policy.allows(&admin, Permission::SeeHosts));
        assert!(!policy.allows(&member, Permission::SeeHosts));
        assert!(!policy.allows(&admin, Permission::Privileged));
        let changed: Policy = toml::from_str(
            "\"container:create:privileged\" = \"admin\"\n\"container:create:cap_add\" = \"member\"",
        )
        .expect("rules");
        assert!(changed.allows(&admin, Permission::Privileged));
        assert!(!changed.allows(&member, Permission::Privileged));
        assert!(changed.allows(&member, Permission::AddCapability));
        assert!(!changed.allows(&admin, Permission::UseDevice));
    }

    #[test]
    fn a_caller_with_the_role_reader_alone_uses_nothing() {
        let policy = Policy::default();
        let allows = |roles: &[&str]| policy.allows(&identity(roles), Permission::UseContainers);
        assert!(!allows(&["reader"]));
        assert!(!allows(&["reader", "auditor"]));
        for roles in [
            &[][..],
            &["member", "reader"],
            &["admin", "manager", "member", "reader"],
            &["developer"],
        ] {
            assert!(allows(roles), "{roles:?}");
        }
        let open: Policy = toml::from_str("\"container:use\" = \"reader\"").expect("a rule");
        assert!(open.allows(&identity(&["reader"]), Permission::UseContainers));
    }

    #[test]
    fn an_unknown_rule_is_refused_with_those_that_exist() {
        let refusal =
            toml::from_str::<Policy>("\"container:fly\" = \"admin\"").expect_err("unknown");
        let words = refusal.to_string();
        assert!(words.contains("`container:fly` is not a rule"), "{words}");
        assert!(words.contains("container:create:privileged"), "{words}");
    }

    fn file(text: &str) -> Result<Policy, PolicyError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("policy.yaml");
        std::fs::write(&path, text).expect("written");
        let settings = "\"container:create:cap_add\" = \"member\"";
        toml::from_str::<Policy>(settings).expect("rules").with_file(&path)
    }

    #[test]
    fn a_file_in_openstacks_form_changes_rules() {
        let policy = file(
            "# Operators see hosts.\n\"host:get_all\": \"rule:operators\"\n\
             \"operators\": \"role:operator or rule:context_is_admin\"\n\
             \"container:create:privileged\": \"role:operator and role:trusted\"\n",
        );
        let policy = policy.expect("a policy");
        let allows = |roles: &[&str], permission| policy.allows(&identity(roles), permission);
        assert!(allows(&["operator"], Permission::SeeHosts));
        assert!(allows(&["admin"], Permission::SeeHosts));
        assert!(!allows(&["member"], Permission::SeeHosts));
        assert!(!allows(&["operator"], Permission::Privileged));
        assert!(allows(&["operator", "trusted"], Permission::Privileged));
        assert!(allows(&["member"], Permission::AddCapability), "from the settings");
        assert!(
            file("").expect("an empty file").allows(&identity(&["admin"]), Permission::SeeHosts)
        );
    }

    #[test]
    fn a_file_says_who_is_an_administrator() {
        let policy = file("\"context_is_admin\": \"role:boss\"\n").expect("a policy");
        let (boss, admin) = (identity(&["boss"]), identity(&["admin"]));
        assert!(policy.is_admin(&boss) && !policy.is_admin(&admin));
        for (identity, holds) in [(&boss, true), (&admin, false)] {
            assert_eq!(policy.allows(identity, Permission::SeeServices), holds);
        }
        let referring = file(
            "\"context_is_admin\": \"role:boss\"\n\"host:get_all\": \"is_admin:True\"\n\
             \"image:pull\": \"rule:admin_api\"\n\"admin_api\": \"role:operator\"\n",
        );
        let policy = referring.expect("a policy");
        assert!(policy.allows(&boss, Permission::SeeHosts));
        assert!(!policy.allows(&admin, Permission::SeeHosts));
        let operator = identity(&["operator"]);
        assert!(policy.allows(&operator, Permission::PullImage));
        assert!(policy.allows(&operator, Permission::SeeServices), "its default is admin_api");
        assert!(!policy.is_admin(&operator), "it sees other projects only by other rules");
    }

    #[test]
    fn a_file_narrows_who_uses_containers_and_opens_nothing_to_readers() {
        let policy = file("\"admin_or_owner\": \"role:developer\"\n").expect("a policy");
        let allows = |roles: &[&str]| policy.allows(&identity(roles), Permission::UseContainers);
        assert!(allows(&["developer"]) && !allows(&["member"]));
        let open = file("\"admin_or_owner\": \"\"\n").expect("a policy");
        assert!(!open.allows(&identity(&["reader"]), Permission::UseContainers));
    }

    #[test]
    fn a_file_has_rules_for_verbs_by_openstacks_names() {
        let policy = file(
            "\"container:start\": \"rule:admin_or_owner\"\n\"container:execute\": \"role:operator\"\n",
        );
        let policy = policy.expect("a policy");
        let (member, operator) = (identity(&["member"]), identity(&["operator"]));
        assert_eq!(policy.allows_verbs(&member, &["container:start"]), Ok(Some(())));
        assert_eq!(policy.allows_verbs(&member, &["container:stop"]), Ok(None));
        let exec = ["container:execute_attach", "container:execute"];
        assert_eq!(policy.allows_verbs(&member, &exec), Err("container:execute"));
        assert_eq!(policy.allows_verbs(&operator, &exec), Ok(None));
        let settings = toml::from_str::<Policy>("\"container:stop\" = \"nobody\"").expect("rules");
        assert_eq!(settings.allows_verbs(&member, &["container:stop"]), Err("container:stop"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_the_rule_and_the_reason() {
        for (text, words) in [
            ("- a", "it must be a YAML mapping"),
            ("\"host:get_all\": {a: b}", "it must be a YAML mapping"),
            (
                "\"container:fly\": \"@\"",
                "`container:fly` is not a rule; the rules are container:use",
            ),
            ("\"unused\": \"@\"", "`unused` is not a rule"),
            ("\"host:get_all\": \"roles:a\"", "the rule `host:get_all`: `roles:a` is not a check"),
            ("\"container:create:cap_add\": \"@\"", "is also in the section [policy]"),
        ] {
            let refusal = zun_common::chain(&file(text).expect_err(text));
            assert!(refusal.contains(words), "{text}: {refusal}");
        }
    }
}
