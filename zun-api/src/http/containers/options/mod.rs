//! The object `engine_options` of a create request, and the fields beside it that limit what a container may do.

mod rules;

use std::collections::BTreeMap;

use serde_json::Value;
use zun_common::engine_options::{Device, EngineOptions, Healthcheck, Ulimit};
use zun_common::units::{Gibibytes, Mebibytes};

use crate::app::{AppError, InvalidField};
use crate::http::fields::{Fields, invalid_value};
use crate::http::rules::{ARGUMENT, DIRECTORY, HOSTNAME, LABEL_NAME};

/// Seconds in a day, the longest time that is accepted.
const DAY: u64 = 86_400;

/// Reads the object `engine_options`.
pub(super) fn engine_options(fields: &mut Fields) -> Result<EngineOptions, AppError> {
    Ok(within(fields, "engine_options", read)?.unwrap_or_default())
}

/// Reads an object in the body. Errors name its fields as `OBJECT.FIELD`.
fn within<T>(
    fields: &mut Fields,
    object: &str,
    read: impl FnOnce(&mut Fields) -> Result<T, InvalidField>,
) -> Result<Option<T>, AppError> {
    let values = match fields.take(object) {
        None => return Ok(None),
        Some(Value::Object(values)) => values,
        Some(value) => return Err(invalid_value(object, &value, "an object").into()),
    };
    let mut inner = Fields::new(Vec::new(), Some(values));
    let value = read(&mut inner).map_err(|refusal| refusal.within(object))?;
    match inner.finish() {
        Err(AppError::UnknownField(names)) => {
            Err(AppError::UnknownField(format!("{object}.{names}")))
        }
        finished => finished.map(|()| Some(value)),
    }
}

fn read(fields: &mut Fields) -> Result<EngineOptions, InvalidField> {
    Ok(EngineOptions {
        init: fields.boolean("init")?.unwrap_or(false),
        tmpfs: fields.pairs("tmpfs", &rules::MOUNT_POINT, &rules::TMPFS)?,
        shm_size: fields.whole("shm_size", 1..=8192)?.map(Mebibytes),
        memory_swap: integer(fields, "memory_swap", 1_048_576)?,
        pids_limit: integer(fields, "pids_limit", 4_194_304)?,
        ulimits: ulimits(fields)?,
        cap_add: capabilities(fields, "cap_add")?,
        cap_drop: capabilities(fields, "cap_drop")?,
        security_opt: security_options(fields)?,
        group_add: fields.texts("group_add", &rules::GROUP)?.unwrap_or_default(),
        sysctls: fields.pairs("sysctls", &rules::SYSCTL, &ARGUMENT)?,
        stop_timeout: fields.whole("stop_timeout", 0..=DAY)?.and_then(|it| u32::try_from(it).ok()),
        domainname: fields.text("domainname", &HOSTNAME)?,
        extra_hosts: fields.texts("extra_hosts", &rules::EXTRA_HOST)?.unwrap_or_default(),
        dns: addresses(fields)?,
        dns_search: fields.texts("dns_search", &rules::DNS_SEARCH)?.unwrap_or_default(),
        dns_options: fields.texts("dns_options", &rules::DNS_OPTION)?.unwrap_or_default(),
        log_driver: fields.text("log_driver", &rules::PLUGIN)?,
        log_opts: fields.pairs("log_opts", &LABEL_NAME, &ARGUMENT)?,
        annotations: fields.pairs("annotations", &LABEL_NAME, &ARGUMENT)?,
        devices: devices(fields)?,
        pid_mode: fields.text("pid_mode", &rules::PID_MODE)?,
        ipc_mode: fields.text("ipc_mode", &rules::IPC_MODE)?,
        platform: fields.text("platform", &rules::PLATFORM)?,
    })
}

/// Reads `healthcheck`, with OpenStack Zun's fields and `start_period` and `disable`.
pub(super) fn healthcheck(fields: &mut Fields) -> Result<Option<Healthcheck>, AppError> {
    let check = within(fields, "healthcheck", |fields| {
        let check = Healthcheck {
            cmd: fields.text("cmd", &rules::HEALTH_COMMAND)?,
            interval: fields.whole("interval", 1..=DAY)?,
            retries: fields.whole("retries", 1..=1000)?,
            timeout: fields.whole("timeout", 1..=DAY)?,
            start_period: fields.whole("start_period", 0..=DAY)?,
            disable: fields.boolean("disable")?.unwrap_or(false),
        };
        let alone = Healthcheck { disable: true, ..Healthcheck::default() };
        if check.disable && check != alone {
            let rule = "left out if there are other fields, because they need a check";
            return Err(InvalidField::new("disable", "true", rule));
        }
        Ok(check)
    })?;
    Ok(check.filter(|check| *check != Healthcheck::default()))
}

/// Reads `runtime`.
pub(super) fn runtime(fields: &mut Fields) -> Result<Option<String>, InvalidField> {
    fields.text("runtime", &rules::PLUGIN)
}

/// Reads `disk`.
pub(super) fn disk(fields: &mut Fields) -> Result<Option<Gibibytes>, InvalidField> {
    let size = fields.whole_number("disk", 1..=160, "a whole number of GiB from 1 to 160")?;
    Ok(size.map(Gibibytes))
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

/// Reads a positive number, or -1.
fn integer(fields: &mut Fields, name: &str, largest: i64) -> Result<Option<i64>, InvalidField> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    let number = match &value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let number = number.filter(|number| *number == -1 || (1..=largest).contains(number));
    number.map(Some).ok_or_else(|| {
        let rule = format!("-1 (unlimited), or a whole number from 1 to {largest}");
        invalid_value(name, &value, &rule)
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

fn capabilities(fields: &mut Fields, name: &str) -> Result<Vec<String>, InvalidField> {
    let texts = fields.texts(name, &rules::CAPABILITY)?.unwrap_or_default();
    Ok(texts.iter().map(|text| rules::capability(text)).collect())
}

/// `no-new-privileges` has several forms.
fn security_options(fields: &mut Fields) -> Result<Vec<String>, InvalidField> {
    let texts = fields.texts("security_opt", &rules::SECURITY_OPTION)?.unwrap_or_default();
    let normal = |text: String| match text.as_str() {
        "no-new-privileges=true" | "no-new-privileges:true" => "no-new-privileges".to_owned(),
        "no-new-privileges:false" => "no-new-privileges=false".to_owned(),
        _ => text,
    };
    Ok(texts.into_iter().map(normal).collect())
}

fn addresses(fields: &mut Fields) -> Result<Vec<std::net::IpAddr>, InvalidField> {
    let texts = fields.texts("dns", &rules::ADDRESS)?.unwrap_or_default();
    Ok(texts.iter().filter_map(|text| text.parse().ok()).collect())
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
    use serde_json::json;

    use super::*;

    fn read_all(options: &Value) -> Result<EngineOptions, String> {
        let Value::Object(body) = json!({ "engine_options": options }) else { unreachable!() };
        let mut fields = Fields::new(Vec::new(), Some(body));
        engine_options(&mut fields).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn good_options_are_read_and_normalised() {
        let options = read_all(&json!({
            "init": true, "tmpfs": {"/run": "rw,size=64m"}, "shm_size": "128", "pids_limit": -1,
            "ulimits": {"nofile": {"soft": 1024, "hard": 2048}}, "cap_drop": ["all"],
            "cap_add": ["CAP_NET_RAW", "chown"], "security_opt": ["no-new-privileges:true"],
            "extra_hosts": ["db:10.0.0.1", "v6:::1", "gate:host-gateway"], "dns": ["10.0.0.2"],
            "sysctls": {"net.ipv4.ip_forward": "1"}, "platform": "linux/arm64/v8",
            "devices": [{"host_path": "/dev/null", "container_path": "/dev/x", "permissions": "r"}],
        }))
        .expect("good options");
        assert_eq!(options.cap_add, ["NET_RAW", "CHOWN"]);
        assert_eq!(options.cap_drop, ["ALL"]);
        assert_eq!(options.security_opt, ["no-new-privileges"]);
        assert_eq!(options.shm_size, Some(Mebibytes(128)));
        assert_eq!(read_all(&json!({})), Ok(EngineOptions::default()));
    }

    #[test]
    fn a_bad_option_is_refused_with_its_name_its_value_and_the_rule() {
        for (bad, named) in [
            (json!({"tmpfs": {"run": ""}}), "engine_options.tmpfs"),
            (json!({"tmpfs": {"/run": "bind=/etc"}}), "engine_options.tmpfs./run"),
            (json!({"shm_size": 0}), "engine_options.shm_size"),
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
            healthcheck(&mut Fields::new(Vec::new(), Some(body)))
        };
        let good = read(json!({"cmd": "true", "interval": "5", "retries": 3, "timeout": 2}));
        assert_eq!(good.expect("good").expect("a check").interval, Some(5));
        assert_eq!(read(json!({})).expect("none"), None);
        assert!(read(json!({"cmd": "true", "disable": true})).is_err());
        assert!(read(json!({"cmd": "true", "interval": 0})).is_err());
    }
}
