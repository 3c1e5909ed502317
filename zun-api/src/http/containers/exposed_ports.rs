//! The field `exposed_ports` of a create request. OpenStack Zun's objects are empty; ours may say where on the host.

use serde_json::{Value, json};
use zun_common::api::v1::container::PortBinding;
use zun_common::ports::{ContainerPort, HostPorts, MOST_PUBLISHED, PortRequest};

use crate::app::InvalidField;
use crate::http::field::{Field, Kind, field, invalid_value};
use crate::http::fields::Fields;

const FIELD: &str = "exposed_ports";
const KEY: &str =
    "an object whose keys are ports from 1 to 65535, with /tcp or /udp, such as `80/tcp`";
const BINDING: &str = "an empty object, an object with host_port (0 to 65535; 0 is a free port), last_host_port (if the \
                       first free port of a range is to be used: from host_port to 65535) and host_address (an IP \
                       address), or a list of such objects";

/// The field.
pub(super) const EXPOSED_PORTS: Field = field(
    FIELD,
    Kind::Custom(|| {
        let binding = json!({
            "type": "object",
            "properties": {
                "host_port": {"type": "integer", "minimum": 0, "maximum": 65535},
                "last_host_port": {"type": "integer", "minimum": 1, "maximum": 65535},
                "host_address": {"type": "string", "format": "ip"},
            },
            "additionalProperties": false,
        });
        let bindings = json!({"type": "array", "items": binding, "minItems": 1});
        json!({"type": "object", "additionalProperties": {"anyOf": [binding, bindings]}})
    }),
    "Ports to publish, such as `80/tcp`. The value is an empty object (zun-api chooses a port of the host), or one or more \
     objects with `host_port` and `host_address`. With `last_host_port`, the first free port from `host_port` to that one is used",
)
.since(24);

/// Reads the field.
pub(super) fn read(fields: &mut Fields) -> Result<Vec<PortRequest>, InvalidField> {
    let Some(value) = fields.take(FIELD) else { return Ok(Vec::new()) };
    let Value::Object(ports) = &value else { return Err(invalid_value(FIELD, &value, KEY)) };
    let mut all = Vec::new();
    for (key, bindings) in ports {
        let ContainerPort { port, protocol } =
            key.parse().map_err(|_invalid| InvalidField::new(FIELD, key, KEY))?;
        let wrong = || invalid_value(&format!("{FIELD}.{key}"), bindings, BINDING);
        let one = std::slice::from_ref(bindings);
        let list = bindings.as_array().map_or(one, Vec::as_slice);
        if list.is_empty() {
            return Err(wrong());
        }
        for binding in list {
            let binding = binding_of(binding).ok_or_else(wrong)?;
            let host_ports = host_ports(binding).map_err(|NoRange| wrong())?;
            let PortBinding { host_address, .. } = binding;
            all.push(PortRequest { port, protocol, host_address, host_ports });
        }
    }
    if all.len() > MOST_PUBLISHED {
        let rule = format!("at most {MOST_PUBLISHED} ports");
        return Err(InvalidField::new(FIELD, &format!("{} ports", all.len()), rule));
    }
    all.sort_unstable();
    refuse_twice(&all)?;
    Ok(all)
}

/// Refuses a port of the host that is requested twice.
fn refuse_twice(all: &[PortRequest]) -> Result<(), InvalidField> {
    for (place, one) in all.iter().enumerate() {
        let clashes = |other: &&PortRequest| {
            one.host_ports.is_some_and(|ports| ports.single().is_some())
                && (one.host_ports, one.protocol) == (other.host_ports, other.protocol)
                && match (one.host_address, other.host_address) {
                    (Some(one), Some(other)) => zun_common::ports::overlap(one, other),
                    (None, _) | (_, None) => true,
                }
        };
        if let Some(twice) = all.iter().skip(place + 1).find(clashes) {
            let rule = "a port of the host that is not requested twice";
            let numbers = twice.host_ports.map(|ports| ports.to_string()).unwrap_or_default();
            return Err(InvalidField::new(FIELD, &format!("{numbers}/{}", twice.protocol), rule));
        }
    }
    Ok(())
}

/// The last port is before the first, or there is only a last one.
struct NoRange;

/// The ports of the host; `None` for any free one.
fn host_ports(binding: PortBinding) -> Result<Option<HostPorts>, NoRange> {
    match (binding.host_port, binding.last_host_port) {
        (None | Some(0), None) => Ok(None),
        (Some(first), None) => Ok(Some(HostPorts { first, last: first })),
        (Some(first @ 1..), Some(last)) if first <= last => Ok(Some(HostPorts { first, last })),
        (None | Some(_), Some(_)) => Err(NoRange),
    }
}

fn binding_of(value: &Value) -> Option<PortBinding> {
    let object = value.as_object()?;
    let is_known =
        |key: &String| matches!(key.as_str(), "host_port" | "last_host_port" | "host_address");
    if !object.keys().all(is_known) {
        return None;
    }
    serde_json::from_value(value.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::microversion::Microversion;

    fn read_all(ports: &Value) -> Result<Vec<PortRequest>, String> {
        let Value::Object(body) = json!({ FIELD: ports }) else { unreachable!() };
        let fields = Fields::new(Vec::new(), Some(body));
        let fields = fields.check(&[EXPOSED_PORTS], (Microversion::NEWEST, None));
        read(&mut fields.expect("a field")).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn ports_are_read_in_openstacks_form_and_with_a_place_on_the_host() {
        let ports = read_all(&json!({"80/tcp": {}, "53/udp": {"host_port": 5353}, "90": [
            {"host_port": 8090, "host_address": "127.0.0.1"}, {"host_port": 0},
            {"host_port": 8090, "last_host_port": 8092}]}))
        .expect("ports");
        assert_eq!(ports.len(), 5);
        let named = ports.iter().filter_map(|port| port.host_ports);
        let named: Vec<String> = named.map(|ports| ports.to_string()).collect();
        assert_eq!(named, ["5353", "8090-8092", "8090"]);
        let free = ports.iter().filter(|port| port.host_ports.is_none()).count();
        assert_eq!(free, 2);
    }

    #[test]
    fn a_wrong_port_is_refused_by_name() {
        for bad in [
            json!([]),
            json!({"0": {}}),
            json!({"80/sctp": {}}),
            json!({"+80": {}}),
            json!({"80": {"host_port": 70000}}),
            json!({"80": {"host_port": 8092, "last_host_port": 8090}}),
            json!({"80": {"last_host_port": 8090}}),
            json!({"80": {"host_ip": "127.0.0.1"}}),
            json!({"80": []}),
            json!({"80": {"host_port": 1}, "81": {"host_port": 1, "host_address": "127.0.0.1"}}),
        ] {
            let refusal = read_all(&bad).expect_err("wrong");
            assert!(refusal.contains("'exposed_ports"), "{bad}: {refusal}");
        }
    }
}
