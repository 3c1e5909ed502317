//! The fields `mounts` and `nets` of a create request: OpenStack Zun's, with a few more keys.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zun_common::id::ResourceId;

use crate::app::containers::{MountRequest, NetworkRequest, SourceRequest};
use crate::app::{AppError, InvalidField};
use crate::http::field::{
    Field, Kind, Rule, boolean_field, field, invalid_value, text_field, texts_field,
};
use crate::http::fields::Fields;
use crate::http::openapi;
use crate::http::rules::{DIRECTORY, HOSTNAME, NAME};

/// The largest number of mounts of a container.
const MOST_MOUNTS: usize = 64;
/// The largest size of a file, and of all files of a container, in bytes.
const LARGEST_FILE: usize = 64 << 10;
const LARGEST_FILES: usize = 256 << 10;
/// The largest number of further names.
const MOST_ALIASES: usize = 32;

/// The field `mounts`.
pub(super) const MOUNTS: Field = field(
    "mounts",
    Kind::Custom(|| list_of(MOUNT, MOST_MOUNTS)),
    "Volumes, files with the given content, and host paths (rule `container:create:host_path`)",
)
.since(11);
/// The field `nets`.
pub(super) const NETS: Field = field(
    "nets",
    Kind::Custom(|| list_of(NET, 1)),
    "Network: the name or ID of a network of the project, `none`, or `host` (rule `container:create:host_network`); \
     if absent, the host's default network",
)
.since(2);

const MOUNT: &[Field] = &[
    field(
        "type",
        Kind::Word(&["volume", "bind", "host"]),
        "`volume`, `bind` (a file with this content) or `host` (a path of the host)",
    )
    .since(23),
    field(
        "source",
        Kind::Custom(|| json!({"type": "string"})),
        "The name or ID of a volume, the content of a file in base64, or a path of the host",
    ),
    text_field("destination", TARGET, "The path in the container"),
    boolean_field("read_only", "Mount it read-only. Not in OpenStack Zun's API"),
    field(
        "size",
        Kind::NotOffered {
            has_no_effect: is_empty,
            rule: "left out or empty",
            reason: "Volumes with a size are not supported, because they need Cinder. Volumes of a host have no size.",
        },
        "Not supported",
    ),
];
const NET: &[Field] = &[
    text_field("network", NETWORK, "The network"),
    text_field("v4-fixed-ip", ADDRESS, "The container's address"),
    texts_field("aliases", HOSTNAME, "Additional names in the network. Not in OpenStack Zun's API"),
    field(
        "port",
        Kind::NotOffered {
            has_no_effect: is_empty,
            rule: "left out or empty",
            reason: "Network ports are not supported, because they need Neutron. Name a network of the project.",
        },
        "Not supported",
    ),
    field(
        "v6-fixed-ip",
        Kind::NotOffered {
            has_no_effect: is_empty,
            rule: "left out or empty",
            reason: "Fixed IPv6 addresses are not supported, because they need Neutron. Networks of a host have IPv4 only.",
        },
        "Not supported",
    ),
];

const TARGET: Rule = Rule {
    description: "an absolute path in the container of at most 4096 characters, without `..`, other than `/`",
    is_valid: |text| {
        (DIRECTORY.is_valid)(text)
            && !text.trim_matches('/').is_empty()
            && !text.split('/').any(|part| matches!(part, ".." | "."))
    },
};
const NETWORK: Rule =
    Rule { description: "the name or ID of a network, `none` or `host`", is_valid: is_ident };
const ADDRESS: Rule = Rule {
    description: "an IPv4 address in the subnet of the network",
    is_valid: |text| text.parse::<Ipv4Addr>().is_ok(),
};

fn is_ident(text: &str) -> bool {
    (NAME.is_valid)(text) || text.parse::<ResourceId>().is_ok()
}

fn is_empty(value: &Value) -> bool {
    value.as_str() == Some("")
}

fn list_of(fields: &'static [Field], most: usize) -> Value {
    json!({"type": "array", "maxItems": most, "items": openapi::object(fields)})
}

/// Takes a list of objects with these fields.
fn objects(
    fields: &mut Fields,
    (name, table): (&'static str, &'static [Field]),
    most: usize,
) -> Result<Vec<Fields>, AppError> {
    let Some(value) = fields.take(name) else { return Ok(Vec::new()) };
    let rule = format!("a list of at most {most} objects");
    let items = value.as_array().filter(|items| items.len() <= most);
    let items = items.ok_or_else(|| invalid_value(name, &value, &rule))?;
    let version = fields.version();
    let object = |item: &Value| {
        let object = item.as_object().ok_or_else(|| invalid_value(name, item, &rule))?;
        let unknown = object.keys().find(|key| table.iter().all(|field| field.name != **key));
        if let Some(unknown) = unknown {
            return Err(AppError::UnknownField(unknown.chars().take(80).collect()).within(name));
        }
        let fields = Fields::new(Vec::new(), Some(object.clone()));
        fields.check(table, (version, None)).map_err(|refusal| refusal.within(name))
    };
    items.iter().map(object).collect()
}

/// Reads `mounts`.
pub(super) fn mounts(fields: &mut Fields) -> Result<Vec<MountRequest>, AppError> {
    let objects = objects(fields, ("mounts", MOUNT), MOST_MOUNTS)?.into_iter();
    let mounts = objects.map(|mut fields| mount(&mut fields).map_err(|it| it.within("mounts")));
    let mounts: Vec<MountRequest> = mounts.collect::<Result<_, _>>()?;
    check(&mounts)?;
    Ok(mounts)
}

fn mount(fields: &mut Fields) -> Result<MountRequest, InvalidField> {
    let missing = fields.missing("destination");
    let target = fields.text("destination").ok_or(missing)?;
    let source = match fields.word("type") {
        Some("bind") => SourceRequest::File(content(fields)?),
        Some("host") => SourceRequest::Host(source(fields, &DIRECTORY)?),
        Some(_) | None => match fields.text("source") {
            Some(name) if name.is_empty() => SourceRequest::Anonymous,
            None => SourceRequest::Anonymous,
            Some(name) if is_ident(&name) => SourceRequest::Volume(name),
            Some(name) => {
                let rule = "the ID of a volume, or a name: 2 to 255 letters, digits, `_`, `.` or `-`, starting with a \
                            letter or digit";
                return Err(InvalidField::new("source", &name, rule));
            }
        },
    };
    let read_only = fields.flag("read_only");
    if read_only && matches!(source, SourceRequest::File(_)) {
        let rule = "left out or false for a file, which is a part of the container";
        return Err(InvalidField::new("read_only", "true", rule));
    }
    Ok(MountRequest { source, target, read_only })
}

fn source(fields: &mut Fields, rule: &Rule) -> Result<String, InvalidField> {
    let text = fields.text("source");
    let text = text.ok_or_else(|| InvalidField::missing("source", rule.description))?;
    if (rule.is_valid)(&text) {
        Ok(text)
    } else {
        Err(InvalidField::new("source", &text, rule.description))
    }
}

/// Reads the content of a file. An error does not repeat it.
fn content(fields: &mut Fields) -> Result<Vec<u8>, InvalidField> {
    const RULE: &str = "the file's content in base64, at most 65536 bytes of content";
    let Some(value) = fields.take("source") else {
        return Err(InvalidField::missing("source", RULE));
    };
    let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
    bytes
        .filter(|bytes| bytes.len() <= LARGEST_FILE)
        .ok_or_else(|| InvalidField::new("source", "…", RULE))
}

/// Refuses a path that is mounted twice, and too much content.
fn check(mounts: &[MountRequest]) -> Result<(), InvalidField> {
    for (place, one) in mounts.iter().enumerate() {
        if mounts.iter().skip(place + 1).any(|other| plain(&other.target) == plain(&one.target)) {
            let rule = "a path that is not mounted twice";
            return Err(InvalidField::new("mounts.destination", &one.target, rule));
        }
    }
    let content = mounts.iter().map(|mount| match &mount.source {
        SourceRequest::File(content) => content.len(),
        SourceRequest::Volume(_) | SourceRequest::Anonymous | SourceRequest::Host(_) => 0,
    });
    let total: usize = content.sum();
    if total > LARGEST_FILES {
        let rule = format!("files of at most {LARGEST_FILES} bytes in total");
        return Err(InvalidField::new("mounts", &format!("{total} bytes"), rule));
    }
    Ok(())
}

/// The names of a path, without the slashes that change nothing.
fn plain(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !matches!(*name, "" | ".")).collect()
}

/// Refuses a temporary file system that would hide a mount.
pub(super) fn check_tmpfs<'a>(
    mounts: &[MountRequest],
    tmpfs: impl Iterator<Item = &'a String>,
) -> Result<(), InvalidField> {
    for path in tmpfs {
        if mounts.iter().any(|mount| plain(&mount.target) == plain(path)) {
            let rule = "paths where nothing else is mounted";
            return Err(InvalidField::new("engine_options.tmpfs", path, rule));
        }
    }
    Ok(())
}

/// Reads `nets`.
pub(super) fn network(fields: &mut Fields) -> Result<Option<NetworkRequest>, AppError> {
    let Some(mut fields) = objects(fields, ("nets", NET), 1)?.pop() else { return Ok(None) };
    Ok(Some(net(&mut fields).map_err(|refusal| refusal.within("nets"))?))
}

fn net(fields: &mut Fields) -> Result<NetworkRequest, InvalidField> {
    let missing = fields.missing("network");
    let ident = fields.text("network").ok_or(missing)?;
    let address = fields.parsed::<Ipv4Addr>("v4-fixed-ip");
    let aliases = fields.texts("aliases").unwrap_or_default();
    if aliases.len() > MOST_ALIASES {
        let rule = format!("at most {MOST_ALIASES} names");
        return Err(InvalidField::new("aliases", &format!("{} names", aliases.len()), rule));
    }
    let alone = address.is_none() && aliases.is_empty();
    match ident.as_str() {
        "none" if alone => Ok(NetworkRequest::None),
        "host" if alone => Ok(NetworkRequest::Host),
        "none" | "host" => {
            let rule = "without v4-fixed-ip and aliases";
            Err(InvalidField::new("network", &ident, rule))
        }
        _ => Ok(NetworkRequest::Named { ident, aliases, address: address.map(Into::into) }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::microversion::Microversion;

    fn fields(value: Value) -> Fields {
        let Value::Object(object) = value else { panic!("not an object") };
        let fields = Fields::new(Vec::new(), Some(object));
        fields.check(&[MOUNTS, NETS], (Microversion::NEWEST, None)).expect("good fields")
    }

    fn good(nets: &Value) -> Option<NetworkRequest> {
        network(&mut fields(json!({ "nets": nets }))).expect("a good network")
    }

    #[test]
    fn mounts_are_volumes_files_or_paths_of_the_host() {
        let read = |value: Value| {
            mounts(&mut fields(json!({ "mounts": value }))).map_err(|refusal| refusal.to_string())
        };
        let good = read(json!([
            {"source": "data", "destination": "/data", "type": "volume", "read_only": true},
            {"type": "bind", "source": "YT0xCg==", "destination": "/etc/app.conf"},
            {"destination": "/scratch"},
            {"type": "host", "source": "/srv", "destination": "/srv"},
        ]))
        .expect("good mounts");
        let hidden = |path: &str| check_tmpfs(&good, std::iter::once(&path.to_owned())).is_err();
        assert!(hidden("/data") && hidden("//data/") && hidden("/./data") && !hidden("/data/x"));
        let twice =
            read(json!([{"destination": "/x"}, {"destination": "//x"}])).expect_err("twice");
        assert!(twice.contains("mounted twice"), "{twice}");
        let sources: Vec<_> = good.iter().map(|mount| mount.source.clone()).collect();
        assert_eq!(
            sources,
            [
                SourceRequest::Volume("data".to_owned()),
                SourceRequest::File(b"a=1\n".to_vec()),
                SourceRequest::Anonymous,
                SourceRequest::Host("/srv".to_owned()),
            ]
        );
        for (bad, named) in [
            (json!("x"), "'mounts'"),
            (json!([{"source": "data"}]), "'mounts.destination'"),
            (json!([{"source": "data", "destination": "data"}]), "'mounts.destination'"),
            (json!([{"source": "data", "destination": "/a/../b"}]), "'mounts.destination'"),
            (json!([{"source": "/data", "destination": "/data"}]), "'mounts.source'"),
            (json!([{"source": "data", "destination": "/x", "size": "1"}]), "they need Cinder"),
            (json!([{"type": "bind", "source": "?", "destination": "/x"}]), "'mounts.source'"),
            (json!([{"type": "nfs", "destination": "/x"}]), "'mounts.type'"),
            (json!([{"destination": "/x"}, {"destination": "/x/"}]), "'mounts.destination'"),
            (json!([{"destination": "/x", "color": "red"}]), "color"),
        ] {
            let refusal = read(bad).expect_err(named);
            assert!(refusal.contains(named), "{refusal}");
        }
        let large = STANDARD.encode(vec![0; LARGEST_FILE + 1]);
        assert!(read(json!([{"type": "bind", "source": large, "destination": "/x"}])).is_err());
    }

    #[test]
    fn the_type_of_a_mount_is_newer_than_mounts() {
        let read = |minor| {
            let mounts = json!([{"type": "bind", "source": "YT0xCg==", "destination": "/x"}]);
            let Value::Object(object) = json!({ "mounts": mounts }) else { panic!("an object") };
            let fields = Fields::new(Vec::new(), Some(object));
            let version = Microversion::new(minor);
            super::mounts(&mut fields.check(&[MOUNTS], (version, None)).expect("mounts"))
        };
        assert!(read(23).is_ok());
        let refusal = read(22).expect_err("too old").to_string();
        assert!(refusal.contains("mounts.type is only supported from version 1.23"), "{refusal}");
    }

    #[test]
    fn a_container_has_one_network_at_most() {
        assert_eq!(good(&json!([])), None);
        assert_eq!(good(&json!([{"network": "none"}])), Some(NetworkRequest::None));
        let named = good(&json!([
            {"network": "back", "v4-fixed-ip": "10.5.0.7", "aliases": ["db"], "port": ""}
        ]));
        assert_eq!(
            named,
            Some(NetworkRequest::Named {
                ident: "back".to_owned(),
                aliases: vec!["db".to_owned()],
                address: Some([10, 5, 0, 7].into()),
            })
        );
        for bad in [
            json!([{"network": "aa"}, {"network": "bb"}]),
            json!([{"network": "host", "aliases": ["db"]}]),
            json!([{"network": "back", "v4-fixed-ip": "10.5"}]),
        ] {
            assert!(network(&mut fields(json!({ "nets": bad.clone() }))).is_err(), "{bad}");
        }
        for neutrons in [json!([{"port": "x"}]), json!([{"network": "back", "v6-fixed-ip": "::1"}])]
        {
            let refusal = network(&mut fields(json!({ "nets": neutrons }))).expect_err("Neutron's");
            assert!(matches!(refusal, AppError::NotSupported(_)), "{refusal}");
            assert!(refusal.to_string().contains("Neutron"), "{refusal}");
        }
    }
}
