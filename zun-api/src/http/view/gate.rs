//! The fields of responses that not every request sees: those that are newer than its microversion, and those for
//! administrators. The tables drive the responses and the OpenAPI document. A field that a request has too has the
//! version of the request's table.

use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Value;
use zun_common::api::v1::action::ContainerAction;
use zun_common::api::v1::container::Container;
use zun_common::api::v1::host::Host;

use crate::app::containers::NewContainer;
use crate::http::extract::FromFields as _;
use crate::http::microversion::Microversion;

/// A field of a response that not every request sees.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Gated {
    pub(in crate::http) name: &'static str,
    since: Since,
    pub(in crate::http) is_for_admins: bool,
}

/// The first microversion that has a field.
#[derive(Debug, Clone, Copy)]
enum Since {
    Version(Microversion),
    /// That of this field of a create request.
    Requested(&'static str),
}

impl Gated {
    const fn new(name: &'static str, since: Since) -> Self {
        Self { name, since, is_for_admins: false }
    }

    /// Since `1.MINOR`.
    const fn since_minor(name: &'static str, minor: u16) -> Self {
        Self::new(name, Since::Version(Microversion::new(minor)))
    }

    /// As a create request has the field.
    const fn as_requested(name: &'static str) -> Self {
        Self::new(name, Since::Requested(name))
    }

    /// Only administrators see it.
    const fn for_admins(self) -> Self {
        Self { is_for_admins: true, ..self }
    }

    /// The first microversion that has it.
    pub(in crate::http) fn since(&self) -> Microversion {
        match self.since {
            Since::Version(version) => version,
            Since::Requested(name) => {
                let field = NewContainer::FIELDS.iter().find(|field| field.name == name);
                debug_assert!(field.is_some(), "a create request has no field {name}");
                field.map_or(Microversion::OLDEST, |field| field.since)
            }
        }
    }
}

/// A response with fields that not every request sees.
pub(in crate::http) trait Versioned: Serialize {
    const GATED: &'static [Gated];
}

impl Versioned for Container {
    const GATED: &'static [Gated] = &[
        Gated::as_requested("auto_remove"),
        Gated::as_requested("runtime").for_admins(),
        Gated::as_requested("hostname"),
        Gated::as_requested("mounts"),
        Gated::as_requested("privileged").for_admins(),
        Gated::as_requested("healthcheck"),
        Gated::as_requested("cpu_policy"),
        Gated::new("registry_id", Since::Requested("registry")),
        // Requests may have it in all versions, as in Docker.
        Gated::since_minor("tty", 36),
        Gated::as_requested("entrypoint"),
        Gated::as_requested("image_pull_policy").for_admins(),
        // Requests have it since 1.39.
        Gated::since_minor("host", 1).for_admins(),
    ];
}

impl Versioned for Host {
    const GATED: &'static [Gated] = &[Gated::since_minor("enable_cpu_pinning", 29)];
}

impl Versioned for ContainerAction {
    const GATED: &'static [Gated] = &[Gated::since_minor("finish_time", 33)];
}

/// All tables, by the name of the schema.
pub(in crate::http) const TABLES: [(&str, &[Gated]); 3] = [
    ("Container", Container::GATED),
    ("Host", Host::GATED),
    ("ContainerAction", ContainerAction::GATED),
];

/// The microversion of a request, and whether its caller is an administrator.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Reader {
    pub(in crate::http) version: Microversion,
    pub(in crate::http) is_admin: bool,
}

impl Reader {
    fn sees(self, field: &Gated) -> bool {
        self.version >= field.since() && (self.is_admin || !field.is_for_admins)
    }
}

/// A response without the fields that its reader does not see.
#[derive(Debug)]
pub(in crate::http) struct Seen<T> {
    pub(super) whole: T,
    pub(super) reader: Reader,
}

impl<T: Versioned> Serialize for Seen<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut hidden = T::GATED.iter().filter(|field| !self.reader.sees(field)).peekable();
        if hidden.peek().is_none() {
            return self.whole.serialize(serializer);
        }
        let mut shown = serde_json::to_value(&self.whole).map_err(S::Error::custom)?;
        if let Value::Object(object) = &mut shown {
            for field in hidden {
                object.remove(field.name);
            }
        }
        shown.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_that_not_every_request_sees_has_its_first_version() {
        let row = |(schema, field): (&str, &Gated)| {
            let who = if field.is_for_admins { ", administrators" } else { "" };
            format!("{schema} {}: {}{who}", field.name, field.since())
        };
        let fields =
            TABLES.iter().flat_map(|(schema, fields)| fields.iter().map(|it| (*schema, it)));
        insta::assert_snapshot!(fields.map(row).collect::<Vec<_>>().join("\n"), @r"
        Container auto_remove: 1.3
        Container runtime: 1.5, administrators
        Container hostname: 1.9
        Container mounts: 1.11
        Container privileged: 1.21, administrators
        Container healthcheck: 1.22
        Container cpu_policy: 1.28
        Container registry_id: 1.31
        Container tty: 1.36
        Container entrypoint: 1.40
        Container image_pull_policy: 1.1, administrators
        Container host: 1.1, administrators
        Host enable_cpu_pinning: 1.29
        ContainerAction finish_time: 1.33
        ");
    }
}
