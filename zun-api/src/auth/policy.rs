//! Who may do what only some may do: one table of rules with OpenStack's names, and the operator's changes to it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};

use super::Identity;

/// Who has a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Who {
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
            const fn default_holder(self) -> Who {
                match self { $(Self::$variant => Who::$who),+ }
            }
        }
    };
}

permissions!(
    /// Everything but listing and showing containers: also their output, files and processes.
    UseContainers = "container:use", Member;
    /// Images of containers, which fill the disk of a host.
    Commit = "container:commit", Member;
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
    /// Annotations, which some runtimes obey.
    Annotate = "container:create:annotation", Nobody;
    /// A log driver that sends output elsewhere, or an option that uses the host's files or memory.
    ChooseLogDriver = "container:create:log_driver", Nobody;
);

/// The rules: the table, with the changes of the settings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Policy([Who; Permission::ALL.len()]);

impl Default for Policy {
    fn default() -> Self {
        let mut holders = [Who::Nobody; Permission::ALL.len()];
        for (holder, permission) in holders.iter_mut().zip(Permission::ALL) {
            *holder = permission.default_holder();
        }
        Self(holders)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = Permission::ALL.iter().zip(self.0);
        out.debug_map().entries(rules.map(|(rule, who)| (rule.policy(), who))).finish()
    }
}

impl Policy {
    /// Whether the caller has the permission.
    pub(crate) fn allows(&self, identity: &Identity, permission: Permission) -> bool {
        let place = Permission::ALL.iter().position(|other| *other == permission);
        match place.and_then(|place| self.0.get(place)) {
            Some(Who::Reader) => true,
            Some(Who::Member) => !identity.only_reads(),
            Some(Who::Admin) => identity.is_admin(),
            Some(Who::Nobody) | None => false,
        }
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut policy = Self::default();
        for (name, who) in BTreeMap::<String, Who>::deserialize(input)? {
            let place = Permission::ALL.iter().position(|rule| rule.policy() == name);
            let Some(holder) = place.and_then(|place| policy.0.get_mut(place)) else {
                let known = Permission::ALL.iter().map(|rule| rule.policy()).collect::<Vec<_>>();
                return Err(serde::de::Error::custom(format!(
                    "`{name}` is not a rule; the rules are {}",
                    known.join(", ")
                )));
            };
            *holder = who;
        }
        Ok(policy)
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
}
