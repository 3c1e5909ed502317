//! Which ports a container publishes: those that zun-api has chosen and, with `publish_all`, all others that it exposes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use zun_common::ports::{ContainerPort, MOST_PUBLISHED_ALL, PublishedPort};
use zun_common::rpc::container::ContainerSpec;

use super::work::Work;
use crate::driver::DriverError;
use crate::host::within;

/// Returns the ports to publish. The host must have the image.
pub(super) async fn ports(
    work: &Work<'_>,
    spec: &ContainerSpec,
) -> Result<Vec<PublishedPort>, DriverError> {
    if !spec.options.publish_all {
        return Ok(spec.ports.clone());
    }
    let host = work.host;
    let inspecting = host.driver.image_ports(&spec.image);
    let image = within(host.engine_timeout(), "inspect the image", inspecting).await?;
    let exposed = image.into_iter().chain(spec.options.expose.iter().copied());
    with_others(&spec.ports, exposed.collect(), host.publish_address)
}

/// Adds the ports that are exposed and not published yet, each on a free port of the address. Docker's own option would
/// publish them on all addresses of the host.
fn with_others(
    chosen: &[PublishedPort],
    mut exposed: BTreeSet<ContainerPort>,
    host_address: IpAddr,
) -> Result<Vec<PublishedPort>, DriverError> {
    for port in chosen {
        exposed.remove(&port.inside());
    }
    let number = exposed.len();
    if number > MOST_PUBLISHED_ALL {
        let words = format!(
            "`--publish-all` would publish {number} ports, and may publish {MOST_PUBLISHED_ALL}: name the ports that you need with `--publish`"
        );
        return Err(DriverError::Invalid { words });
    }
    let others = exposed.into_iter().map(|ContainerPort { port, protocol }| PublishedPort {
        port,
        protocol,
        host_address,
        host_port: 0,
    });
    Ok(chosen.iter().copied().chain(others).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(ports: &[&str]) -> BTreeSet<ContainerPort> {
        ports.iter().map(|port| port.parse().expect("a port")).collect()
    }

    #[test]
    fn a_port_that_is_exposed_and_published_keeps_its_place() {
        let own = IpAddr::from([192, 0, 2, 1]);
        let chosen = PublishedPort {
            port: 80,
            protocol: zun_common::ports::Protocol::Tcp,
            host_address: IpAddr::from([127, 0, 0, 1]),
            host_port: 8080,
        };
        let all = with_others(&[chosen], exposed(&["80", "80/udp", "443"]), own).expect("ports");
        let shown: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["80/tcp -> 127.0.0.1:8080", "80/udp -> 192.0.2.1:0", "443/tcp -> 192.0.2.1:0"]
        );
    }

    #[test]
    fn an_image_with_too_many_ports_is_refused() {
        let port = |port| ContainerPort { port, protocol: zun_common::ports::Protocol::Tcp };
        let own = IpAddr::from([127, 0, 0, 1]);
        assert!(with_others(&[], (1..=64).map(port).collect(), own).is_ok());
        let refusal = with_others(&[], (1..=65).map(port).collect(), own).expect_err("too many");
        assert!(refusal.to_string().contains("65 ports"), "{refusal}");
    }
}
