//! `zun port`

use clap::Args;
use zun_common::ports::{ContainerPort, PublishedPort};

use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// List the published ports of a container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun port web
  zun port web 80
  zun port dns 53/udp")]
pub(in crate::cmd) struct Port {
    /// Name or UUID of the container
    container: String,
    /// Show only where this port of the container is published
    #[arg(value_name = "PORT[/PROTOCOL]", value_parser = port)]
    port: Option<ContainerPort>,
}

impl Port {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let container = context.api.show(&self.container).await?;
        let mut ports = container.published_ports;
        let Some(port) = self.port else {
            let lines = || ports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            context.printer.value(&ports, lines)?;
            return Ok(Exit::OK);
        };
        ports.retain(|published| published.inside() == port);
        if ports.is_empty() {
            let name = container.name;
            return Err(Failure::new(format!("{name} does not publish {port}")));
        }
        context
            .printer
            .value(&ports, || ports.iter().map(on_host).collect::<Vec<_>>().join("\n"))?;
        Ok(Exit::OK)
    }
}

fn on_host(published: &PublishedPort) -> String {
    std::net::SocketAddr::new(published.host_address, published.host_port).to_string()
}

fn port(text: &str) -> Result<ContainerPort, String> {
    text.parse().map_err(|_invalid| "use a port, such as 80 or 53/udp".to_owned())
}
