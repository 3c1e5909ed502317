//! The object `engine_options` of a create request, and the fields next to it that limit what a container may do.

pub(super) mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use zun_common::engine_options::{Device, EngineOptions, Healthcheck, Ulimit};
use zun_common::ports::{ContainerPort, MOST_PUBLISHED};
use zun_common::units::{CONTAINER_SHM, Mebibytes};

use crate::app::{AppError, InvalidField};
use crate::http::field::{
    Field, Kind, boolean_field, field, invalid_value, text_field, texts_field, whole_field,
};
use crate::http::fields::Fields;
use crate::http::rules::{ARGUMENT, DIRECTORY, HOSTNAME, LABEL_NAME, LABELS};

/// Seconds in a day, the longest time that is accepted.
const DAY: u64 = 86_400;

/// The object `engine_options`.
pub(super) const ENGINE_OPTIONS: Field = field(
    "engine_options",
    Kind::Object(OPTIONS),
    "Additional options of the engine. Not in OpenStack Zun's API",
);

const OPTIONS: &[Field] = &[
    boolean_field("init", "Whether a small init process reaps zombies and forwards signals"),
    field(
        "tmpfs",
        Kind::Pairs { names: rules::MOUNT_POINT, values: rules::TMPFS, most: None },
        "Temporary file systems: paths, each with mount options",
    ),
    whole_field(
        "shm_size",
        (CONTAINER_SHM.0, CONTAINER_SHM.1, " of MiB"),
        "Size of `/dev/shm` in MiB",
    ),
    field(
        "memory_swap",
        Kind::Limit { most: 1_048_576 },
        "Memory and swap together in MiB; twice the memory if absent",
    ),
    whole_field(
        "cpu_shares",
        (2, 262_144, ""),
        "Weight relative to other containers when the CPUs of the host are busy",
    ),
    field("pids_limit", Kind::Limit { most: 4_194_304 }, "Maximum number of processes"),
    field("ulimits", Kind::Custom(ulimits_schema), "Resource limits of each process, by name"),
    texts_field("cap_add", rules::CAPABILITY, "Capabilities beyond the engine's default"),
    texts_field("cap_drop", rules::CAPABILITY, "Capabilities to drop"),
    texts_field("security_opt", rules::SECURITY_OPTION, "Security options"),
    texts_field("group_add", rules::GROUP, "Additional groups of the process"),
    field(
        "sysctls",
        Kind::Pairs { names: rules::SYSCTL, values: ARGUMENT, most: None },
        "Kernel parameters of the container's namespaces",
    ),
    whole_field(
        "stop_timeout",
        (0, DAY, " of seconds"),
        "Seconds from the stop signal to SIGKILL, unless a stop sets another time",
    ),
    text_field("domainname", HOSTNAME, "Domain name inside the container"),
    texts_field("extra_hosts", rules::EXTRA_HOST, "Lines for `/etc/hosts`"),
    texts_field("dns", rules::ADDRESS, "DNS servers"),
    texts_field("dns_search", rules::DNS_SEARCH, "DNS search domains"),
    texts_field("dns_options", rules::DNS_OPTION, "Options for `/etc/resolv.conf`"),
    text_field("log_driver", rules::PLUGIN, "Where the engine writes output"),
    field(
        "log_opts",
        Kind::Pairs { names: LABEL_NAME, values: ARGUMENT, most: Some(LABELS) },
        "Options of the log driver",
    ),
    field(
        "annotations",
        Kind::Pairs { names: LABEL_NAME, values: ARGUMENT, most: Some(LABELS) },
        "Annotations for the runtime; at most 256, and 64 KiB of keys and values",
    ),
    field("devices", Kind::Custom(devices_schema), "Devices of the host"),
    text_field("gpus", rules::GPUS, "GPUs of the host"),
    text_field("pid_mode", rules::PID_MODE, "PID namespace"),
    text_field("ipc_mode", rules::IPC_MODE, "IPC namespace"),
    text_field("platform", rules::PLATFORM, "Platform of the image"),
    boolean_field(
        "publish_all",
        "Publish each port that the image or `expose` names on a free port of the host, which may change at each start",
    ),
    texts_field("expose", rules::PORT, "Ports to expose in addition to those of the image"),
];

/// The object `healthcheck`, with OpenStack Zun's fields and `start_period` and `disable`.
pub(super) const HEALTHCHECK: Field = field(
    "healthcheck",
    Kind::Object(&[
        text_field("cmd", rules::HEALTH_COMMAND, "A shell command; the image's if absent"),
        whole_field("interval", (1, DAY, " of seconds"), "Seconds between two checks"),
        whole_field("retries", (1, 1000, ""), "Failures in a row after which it is unhealthy"),
        whole_field("timeout", (1, DAY, " of seconds"), "Seconds that one check may take"),
        whole_field(
            "start_period",
            (0, DAY, " of seconds"),
            "Seconds in which failures do not count",
        ),
        boolean_field("disable", "Disable the image's health check"),
    ]),
    "How its health is checked; the image's setting if absent",
)
.since(22);

/// Reads the object `engine_options`.
pub(super) fn engine_options(fields: &mut Fields) -> Result<EngineOptions, InvalidField> {
    let Some(mut options) = fields.object("engine_options") else {
        return Ok(EngineOptions::default());
    };
    read(&mut options).map_err(|refusal| refusal.within("engine_options"))
}

fn read(fields: &mut Fields) -> Result<EngineOptions, InvalidField> {
    Ok(EngineOptions {
        init: fields.flag("init"),
        tmpfs: fields.pairs("tmpfs"),
        shm_size: fields.whole("shm_size").map(Mebibytes),
        memory_swap: fields.limit("memory_swap"),
        cpu_shares: fields.whole("cpu_shares"),
        pids_limit: fields.limit("pids_limit"),
        ulimits: ulimits(fields)?,
        cap_add: capabilities(fields, "cap_add"),
        cap_drop: capabilities(fields, "cap_drop"),
        security_opt: security_options(fields),
        group_add: fields.texts("group_add").unwrap_or_default(),
        sysctls: fields.pairs("sysctls"),
        stop_timeout: fields.whole("stop_timeout"),
        domainname: fields.text("domainname"),
        extra_hosts: fields.texts("extra_hosts").unwrap_or_default(),
        dns: addresses(fields),
        dns_search: fields.texts("dns_search").unwrap_or_default(),
        dns_options: fields.texts("dns_options").unwrap_or_default(),
        log_driver: fields.text("log_driver"),
        log_opts: fields.pairs("log_opts"),
        annotations: fields.pairs("annotations"),
        devices: devices(fields)?,
        gpus: fields.parsed("gpus"),
        pid_mode: fields.text("pid_mode"),
        ipc_mode: fields.text("ipc_mode"),
        platform: fields.text("platform"),
        publish_all: fields.flag("publish_all"),
        expose: expose(fields)?,
    })
}

/// Reads the object `healthcheck`.
pub(super) fn healthcheck(fields: &mut Fields) -> Result<Option<Healthcheck>, InvalidField> {
    let Some(mut fields) = fields.object("healthcheck") else { return Ok(None) };
    let check = Healthcheck {
        cmd: fields.text("cmd"),
        interval: fields.whole("interval"),
        retries: fields.whole("retries"),
        timeout: fields.whole("timeout"),
        start_period: fields.whole("start_period"),
        disable: fields.flag("disable"),
    };
    let alone = Healthcheck { disable: true, ..Healthcheck::default() };
    if check.disable && check != alone {
        let rule = "left out if there are other fields, because they need a check";
        return Err(InvalidField::new("disable", "true", rule).within("healthcheck"));
    }
    Ok(Some(check).filter(|check| *check != Healthcheck::default()))
}

/// Checks `memory_swap` against the memory.
pub(super) fn check_swap(options: &EngineOptions, memory: Mebibytes) -> Result<(), AppError> {
    match options.memory_swap {
        Some(swap @ 0..) if swap.unsigned_abs() < memory.0 => {
            let rule = format!(
                "-1, or at least the memory ({} MiB), because it is the sum of memory and swap",
                memory.0
            );
            let refusal = InvalidField::new("memory_swap", &swap.to_string(), rule);
            Err(refusal.within("engine_options").into())
        }
        _ => Ok(()),
    }
}

fn expose(fields: &mut Fields) -> Result<Vec<ContainerPort>, InvalidField> {
    let texts = fields.texts("expose").unwrap_or_default();
    let ports: BTreeSet<ContainerPort> =
        texts.iter().filter_map(|text| text.parse().ok()).collect();
    if ports.len() > MOST_PUBLISHED {
        let rule = format!("at most {MOST_PUBLISHED} ports");
        return Err(InvalidField::new("expose", &format!("{} ports", ports.len()), rule));
    }
    Ok(ports.into_iter().collect())
}

fn ulimits_schema() -> Value {
    let limit = json!({"type": "integer", "minimum": -1});
    json!({
        "type": "object",
        "propertyNames": {"enum": rules::ULIMITS},
        "additionalProperties": {
            "type": "object",
            "properties": {"soft": limit, "hard": limit},
            "required": ["soft", "hard"],
        },
    })
}

fn ulimits(fields: &mut Fields) -> Result<BTreeMap<String, Ulimit>, InvalidField> {
    const RULE: &str = "an object such as {\"nofile\": {\"soft\": 1024, \"hard\": 2048}}";
    let Some(value) = fields.take("ulimits") else { return Ok(BTreeMap::new()) };
    let Value::Object(limits) = &value else { return Err(invalid_value("ulimits", &value, RULE)) };
    let limit = |(name, limit): (&String, &Value)| {
        if !rules::ULIMITS.contains(&name.as_str()) {
            let rule = format!("an object whose keys are among {}", rules::ULIMITS.join(", "));
            return Err(InvalidField::new("ulimits", name, rule));
        }
        let fits = |limit: &Ulimit| {
            limit.soft >= -1
                && limit.hard >= -1
                && (limit.hard == -1 || (0..=limit.hard).contains(&limit.soft))
        };
        let read = serde_json::from_value::<Ulimit>(limit.clone()).ok().filter(fits);
        let rule = "an object with the whole numbers soft and hard, -1 for unlimited, and soft at most hard";
        let read = read.ok_or_else(|| invalid_value(&format!("ulimits.{name}"), limit, rule))?;
        Ok((name.clone(), read))
    };
    limits.iter().map(limit).collect()
}

fn capabilities(fields: &mut Fields, name: &str) -> Vec<String> {
    let texts = fields.texts(name).unwrap_or_default();
    texts.iter().map(|text| rules::capability(text)).collect()
}

/// `no-new-privileges` has several forms.
fn security_options(fields: &mut Fields) -> Vec<String> {
    let texts = fields.texts("security_opt").unwrap_or_default();
    let normal = |text: String| match text.as_str() {
        "no-new-privileges=true" | "no-new-privileges:true" => "no-new-privileges".to_owned(),
        "no-new-privileges:false" => "no-new-privileges=false".to_owned(),
        _ => text,
    };
    texts.into_iter().map(normal).collect()
}

fn addresses(fields: &mut Fields) -> Vec<std::net::IpAddr> {
    let texts = fields.texts("dns").unwrap_or_default();
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn devices_schema() -> Value {
    let path = json!({"type": "string", "pattern": "^/"});
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "host_path": path,
                "container_path": path,
                "permissions": {"type": "string", "pattern": "^[rwm]{1,3}$"},
            },
            "required": ["host_path", "container_path", "permissions"],
        },
    })
}

fn devices(fields: &mut Fields) -> Result<Vec<Device>, InvalidField> {
    const RULE: &str = "a list of objects with host_path and container_path, which are absolute paths, and permissions, \
                        which are some of r, w and m";
    let Some(value) = fields.take("devices") else { return Ok(Vec::new()) };
    let fits = |device: &Device| {
        let Device { host_path, container_path, permissions } = device;
        (DIRECTORY.is_valid)(host_path)
            && (DIRECTORY.is_valid)(container_path)
            && (1..=3).contains(&permissions.len())
            && permissions.bytes().all(|byte| matches!(byte, b'r' | b'w' | b'm'))
    };
    serde_json::from_value::<Vec<Device>>(value.clone())
        .ok()
        .filter(|devices| devices.iter().all(fits))
        .ok_or_else(|| invalid_value("devices", &value, RULE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::microversion::Microversion;

    fn read_all(options: &Value) -> Result<EngineOptions, String> {
        let Value::Object(body) = json!({ "engine_options": options }) else { unreachable!() };
        let fields = Fields::new(Vec::new(), Some(body));
        let mut fields = fields
            .check(&[ENGINE_OPTIONS], (Microversion::NEWEST, None))
            .map_err(|refusal| refusal.to_string())?;
        engine_options(&mut fields).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn good_options_are_read_and_normalised() {
        let options = read_all(&json!({
            "init": true, "tmpfs": {"/run": "rw,size=64m"}, "shm_size": "128", "cpu_shares": 512, "pids_limit": -1,
            "ulimits": {"nofile": {"soft": 1024, "hard": 2048}}, "cap_drop": ["all"],
            "cap_add": ["CAP_NET_RAW", "chown"], "security_opt": ["no-new-privileges:true"],
            "extra_hosts": ["db:10.0.0.1", "v6:::1", "gate:host-gateway"], "dns": ["10.0.0.2"],
            "sysctls": {"net.ipv4.ip_forward": "1"}, "platform": "linux/arm64/v8",
            "devices": [{"host_path": "/dev/null", "container_path": "/dev/x", "permissions": "r"}],
            "publish_all": true, "expose": ["80", "53/udp", "80/tcp"],
        }))
        .expect("good options");
        assert_eq!(options.cap_add, ["NET_RAW", "CHOWN"]);
        assert_eq!(options.cap_drop, ["ALL"]);
        assert_eq!(options.security_opt, ["no-new-privileges"]);
        assert_eq!((options.shm_size, options.cpu_shares), (Some(Mebibytes(128)), Some(512)));
        let exposed: Vec<_> = options.expose.iter().map(ToString::to_string).collect();
        assert_eq!(
            (options.publish_all, exposed),
            (true, vec!["53/udp".to_owned(), "80/tcp".to_owned()])
        );
        assert_eq!(read_all(&json!({})), Ok(EngineOptions::default()));
    }

    #[test]
    fn a_bad_option_is_refused_with_its_name_its_value_and_the_rule() {
        for (bad, named) in [
            (json!({"tmpfs": {"run": ""}}), "engine_options.tmpfs"),
            (json!({"tmpfs": {"/run": "bind=/etc"}}), "engine_options.tmpfs./run"),
            (json!({"shm_size": 0}), "engine_options.shm_size"),
            (json!({"cpu_shares": 1}), "engine_options.cpu_shares"),
            (json!({"pids_limit": 0}), "engine_options.pids_limit"),
            (json!({"ulimits": {"fly": {"soft": 1, "hard": 1}}}), "engine_options.ulimits"),
            (json!({"ulimits": {"core": {"soft": 2, "hard": 1}}}), "engine_options.ulimits.core"),
            (json!({"ulimits": {"core": {"soft": -1, "hard": 1}}}), "engine_options.ulimits.core"),
            (json!({"cap_add": ["FLY"]}), "engine_options.cap_add"),
            (json!({"security_opt": ["fly=1"]}), "engine_options.security_opt"),
            (json!({"sysctls": {"a b": "1"}}), "engine_options.sysctls"),
            (json!({"extra_hosts": ["db"]}), "engine_options.extra_hosts"),
            (json!({"dns": ["nowhere"]}), "engine_options.dns"),
            (json!({"pid_mode": "container:x"}), "engine_options.pid_mode"),
            (json!({"platform": "linux"}), "engine_options.platform"),
            (json!({"devices": [{"host_path": "x"}]}), "engine_options.devices"),
            (json!({"gpus": "some"}), "engine_options.gpus"),
            (json!({"expose": ["80-90"]}), "engine_options.expose"),
        ] {
            let refusal = read_all(&bad).expect_err(named);
            assert!(
                refusal.starts_with(&format!("Invalid input for field '{named}'. Value: ")),
                "{refusal}"
            );
            assert!(refusal.contains("It must be "), "{refusal}");
        }
        let unknown = read_all(&json!({"fly": 1})).expect_err("unknown");
        assert!(unknown.contains("('engine_options.fly' was unexpected)"), "{unknown}");
    }

    #[test]
    fn a_check_of_health_has_the_fields_of_openstack_and_two_more() {
        let read = |check: Value| {
            let Value::Object(body) = json!({ "healthcheck": check }) else { unreachable!() };
            let fields = Fields::new(Vec::new(), Some(body));
            let mut fields = fields.check(&[HEALTHCHECK], (Microversion::NEWEST, None))?;
            healthcheck(&mut fields).map_err(AppError::from)
        };
        let good = read(json!({"cmd": "true", "interval": "5", "retries": 3, "timeout": 2}));
        assert_eq!(good.expect("good").expect("a check").interval, Some(5));
        assert_eq!(read(json!({})).expect("no check"), None);
        assert!(read(json!({"cmd": "true", "disable": true})).is_err());
        assert!(read(json!({"cmd": "true", "interval": 0})).is_err());
    }
}
