//! One route of the API.

use std::fmt;

use actix_web::http::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::app::NotServed;
use crate::auth::Permission;
use crate::http::extract::FromFields;
use crate::http::field::Field;
use crate::http::microversion::Microversion;

/// The method of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    /// The methods that it serves. `HEAD` gets the headers of `GET`.
    pub(in crate::http) const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Get => &["GET", "HEAD"],
            Self::Post => &["POST"],
            Self::Put => &["PUT"],
            Self::Patch => &["PATCH"],
            Self::Delete => &["DELETE"],
        }
    }

    pub(in crate::http) fn serves(self, method: &Method) -> bool {
        self.methods().contains(&method.as_str())
    }
}

/// Whether a request may take as long as its caller wants. [`crate::app::App::wait_for`] limits those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Waits {
    Never,
    Always,
    /// With this query parameter.
    With(&'static str),
    /// Always, for the work of the host, such as a measurement or a command. Such a request counts against the limit of
    /// open requests.
    ForHost,
}

/// The body of a success.
#[derive(Clone, Copy)]
pub(in crate::http) enum Reply {
    Nothing,
    /// `null`, OpenStack Zun's answer to a command.
    Null,
    /// JSON with this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Another media type.
    Text(&'static str),
    /// A stream of JSON items with this schema, with another media type, until the request ends.
    Stream(&'static str, fn(&mut SchemaGenerator) -> Schema),
    /// There is none: the answer is 501, and names the missing service.
    NotOffered,
}

/// A route of the API.
#[derive(Clone, Copy)]
pub(in crate::http) struct Route {
    pub(in crate::http) verb: Verb,
    pub(in crate::http) path: &'static str,
    /// What it does, as an imperative.
    pub(in crate::http) summary: &'static str,
    /// The first microversion that has it.
    pub(in crate::http) since: Microversion,
    /// The last microversion that has it.
    pub(in crate::http) until: Microversion,
    /// The permission that every request of the route needs. Some fields need more.
    pub(in crate::http) permission: Option<Permission>,
    /// The status of a success.
    pub(in crate::http) success: u16,
    pub(in crate::http) reply: Reply,
    pub(in crate::http) fields: &'static [Field],
    pub(in crate::http) waits: Waits,
    /// The size of the largest body, if it is more than the setting.
    pub(in crate::http) largest_body: usize,
    pub(super) handler: fn() -> actix_web::Route,
}

impl fmt::Debug for Route {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} {}", self.verb, self.path)
    }
}

/// A handler for [`Route`].
macro_rules! to {
    ($handler:path) => {
        || actix_web::web::route().to($handler)
    };
}
pub(in crate::http) use to;

type Handler = fn() -> actix_web::Route;

impl Route {
    const fn new(
        verb: Verb,
        path: &'static str,
        (summary, handler): (&'static str, Handler),
    ) -> Self {
        Self {
            verb,
            path,
            summary,
            since: Microversion::OLDEST,
            until: Microversion::NEWEST,
            permission: Some(Permission::UseContainers),
            success: 200,
            reply: Reply::Null,
            fields: &[],
            waits: Waits::Never,
            largest_body: 0,
            handler,
        }
    }

    pub(in crate::http) const fn get(
        path: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Verb::Get, path, (summary, handler))
    }

    pub(in crate::http) const fn post(
        path: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Verb::Post, path, (summary, handler))
    }

    pub(in crate::http) const fn put(
        path: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Verb::Put, path, (summary, handler))
    }

    pub(in crate::http) const fn patch(
        path: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Verb::Patch, path, (summary, handler))
    }

    pub(in crate::http) const fn delete(
        path: &'static str,
        summary: &'static str,
        handler: Handler,
    ) -> Self {
        Self::new(Verb::Delete, path, (summary, handler))
    }

    /// The first microversion that has it, `1.MINOR`.
    pub(in crate::http) const fn since(self, minor: u16) -> Self {
        Self { since: Microversion::new(minor), ..self }
    }

    /// The last microversion that has it, `1.MINOR`.
    pub(in crate::http) const fn until(self, minor: u16) -> Self {
        Self { until: Microversion::new(minor), ..self }
    }

    /// Every request needs the permission. By default, it is [`Permission::UseContainers`].
    pub(in crate::http) const fn only(self, permission: Permission) -> Self {
        Self { permission: Some(permission), ..self }
    }

    /// Every caller may use it, also one who may only read.
    pub(in crate::http) const fn for_all(self) -> Self {
        Self { permission: None, ..self }
    }

    /// It has the fields of the request `T`.
    pub(in crate::http) const fn reads<T: FromFields>(self) -> Self {
        Self { fields: T::FIELDS, ..self }
    }

    /// A success has a `T` as its body; `null` by default.
    pub(in crate::http) const fn returns<T: JsonSchema>(self) -> Self {
        Self { reply: Reply::Json(SchemaGenerator::subschema_for::<T>), ..self }
    }

    /// A success has no body.
    pub(in crate::http) const fn returns_nothing(self) -> Self {
        Self { reply: Reply::Nothing, success: 204, ..self }
    }

    /// A success has a body of another media type than JSON.
    pub(in crate::http) const fn returns_text(self, media_type: &'static str) -> Self {
        Self { reply: Reply::Text(media_type), ..self }
    }

    /// A success has a body of another media type than JSON, with a `T` for each item.
    pub(in crate::http) const fn streams<T: JsonSchema>(self, media_type: &'static str) -> Self {
        Self { reply: Reply::Stream(media_type, SchemaGenerator::subschema_for::<T>), ..self }
    }

    /// It is refused with 501.
    pub(in crate::http) const fn not_offered(self) -> Self {
        Self { reply: Reply::NotOffered, success: 501, ..self }
    }

    /// The size of the largest body in bytes, if it is more than the setting.
    pub(in crate::http) const fn largest_body(self, bytes: usize) -> Self {
        Self { largest_body: bytes, ..self }
    }

    /// The status of a success; 200 by default.
    pub(in crate::http) const fn success(self, status: u16) -> Self {
        Self { success: status, ..self }
    }

    pub(in crate::http) const fn waits(self, waits: Waits) -> Self {
        Self { waits, ..self }
    }

    /// The rules of the policy for what it does, by OpenStack Zun's names such as `container:start`, its own first. The
    /// operator may change them.
    pub(in crate::http) fn policy_verbs(&self) -> Vec<String> {
        let mut parts = self.path.strip_prefix("/v1/").unwrap_or_default().split('/');
        let resource = match parts.next() {
            Some("containers") => "container",
            Some("images") => "image",
            Some("hosts") => "host",
            Some("registries") => "registry",
            Some("networks") => "network",
            Some("volumes") => "volume",
            Some("capsules") => "capsule",
            Some(_) | None => return Vec::new(),
        };
        let rest: Vec<&str> = parts.collect();
        let own = match (self.verb, rest.as_slice()) {
            (Verb::Post, []) if resource == "image" => "pull",
            (Verb::Post, []) => "create",
            (Verb::Get, []) => "get_all",
            (Verb::Get, [_]) if resource == "host" => "get",
            (Verb::Get, [_]) => "get_one",
            (Verb::Patch, [_]) => "update",
            (Verb::Delete, [_]) => "delete",
            (_, [_, "container_actions", ..]) => "actions",
            (_, [_, action, ..]) => action,
            (_, [] | [_]) => return Vec::new(),
        };
        let more: &[&str] = match own {
            "archive" => &["get_archive", "put_archive"],
            "execute_attach" => &["execute"],
            // It opens a console, or an exec.
            "console_ticket" => &["attach", "execute"],
            "rename" | "resize_container" => &["update"],
            _ => &[],
        };
        let verbs = std::iter::once(&own).chain(more);
        verbs.map(|verb| format!("{resource}:{verb}")).collect()
    }

    /// Whether it needs no authentication.
    pub(in crate::http) fn is_public(&self) -> bool {
        self.path == "/v1" || !self.path.starts_with("/v1/")
    }

    /// Returns an error if the microversion does not have it.
    pub(in crate::http) fn check_version(&self, version: Microversion) -> Result<(), NotServed> {
        if (self.since..=self.until).contains(&version) {
            Ok(())
        } else {
            Err(NotServed::Route(version.to_string()))
        }
    }
}
