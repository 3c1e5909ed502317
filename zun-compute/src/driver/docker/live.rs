//! What Docker shows of a container only while it runs: its health, its addresses and its published ports.

use std::net::IpAddr;

use bollard::models::{ContainerState, HealthStatusEnum, NetworkSettings, PortBinding};
use zun_common::ports::{Protocol, PublishedPort};
use zun_common::rpc::report::{LONGEST_HEALTH_OUTPUT, LiveState};
use zun_common::status::{Health, Status};

/// Converts the state. It is empty unless the container runs: Docker keeps what the last check said.
pub(super) fn state(
    status: Status,
    state: &ContainerState,
    network: Option<&NetworkSettings>,
) -> LiveState {
    if !matches!(status, Status::Running | Status::Paused) {
        return LiveState::default();
    }
    let health = state.health.as_ref().and_then(|health| health.status);
    LiveState {
        health: health.and_then(converted),
        health_output: state.health.as_ref().and_then(failed_check),
        addresses: network.map(addresses).unwrap_or_default(),
        ports: network.map(ports).unwrap_or_default(),
    }
}

/// The output of the last check, if that failed.
fn failed_check(health: &bollard::models::Health) -> Option<String> {
    let last = health.log.as_ref()?.last()?;
    let output = last.output.as_deref().filter(|_| last.exit_code != Some(0))?.trim();
    (!output.is_empty()).then(|| output.chars().take(LONGEST_HEALTH_OUTPUT).collect())
}

const fn converted(health: HealthStatusEnum) -> Option<Health> {
    match health {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

fn addresses(network: &NetworkSettings) -> std::collections::BTreeMap<String, Vec<IpAddr>> {
    let networks = network.networks.iter().flatten();
    let of_network = networks.map(|(name, endpoint)| {
        let texts = [endpoint.ip_address.as_deref(), endpoint.global_ipv6_address.as_deref()];
        let addresses = texts.into_iter().flatten().filter_map(|text| text.parse().ok());
        (name.clone(), addresses.collect::<Vec<IpAddr>>())
    });
    of_network.filter(|(_, addresses)| !addresses.is_empty()).collect()
}

fn ports(network: &NetworkSettings) -> Vec<PublishedPort> {
    let ports = network.ports.iter().flatten();
    let bound = ports.flat_map(|(port, bindings)| {
        bindings.iter().flatten().filter_map(|binding| published(port, binding))
    });
    let mut all: Vec<_> = bound.collect();
    all.sort_unstable();
    all
}

/// Converts one binding of a port such as `80/tcp`.
fn published(port: &str, binding: &PortBinding) -> Option<PublishedPort> {
    let (port, protocol) = port.split_once('/')?;
    let protocol: Protocol = protocol.parse().ok()?;
    Some(PublishedPort {
        port: port.parse().ok()?,
        protocol,
        host_address: binding.host_ip.as_deref()?.parse().ok()?,
        host_port: binding.host_port.as_deref()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_container_has_health_addresses_and_ports_and_a_stopped_one_has_none() {
        let shown: ContainerState = serde_json::from_str(
            r#"{"Status":"running","Health":{"Status":"unhealthy","Log":[
                {"ExitCode":0,"Output":"ok"}, {"ExitCode":1,"Output":"no route\n"}]}}"#,
        )
        .expect("a state");
        let network: NetworkSettings = serde_json::from_str(
            r#"{"Networks":{"bridge":{"IPAddress":"172.17.0.2","GlobalIPv6Address":""}},
                "Ports":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}],"53/udp":null}}"#,
        )
        .expect("a network");
        let live = state(Status::Running, &shown, Some(&network));
        assert_eq!(live.health, Some(Health::Unhealthy));
        assert_eq!(live.health_output.as_deref(), Some("no route"));
        assert_eq!(live.addresses["bridge"], ["172.17.0.2".parse::<IpAddr>().expect("an address")]);
        let ports: Vec<_> = live.ports.iter().map(ToString::to_string).collect();
        assert_eq!(ports, ["80/tcp -> 127.0.0.1:8080"]);
        assert!(state(Status::Stopped, &shown, Some(&network)).is_empty());
    }
}
