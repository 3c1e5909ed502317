//! `zun login` and `zun logout`: like docker's, but for all containers of the project.

use clap::Args;
use zun_common::api::v1::registry::{Registry, RegistryFields};
use zun_common::image_name::DOCKER_IO;

use super::password::{ask_username, from_stdin, from_terminal};
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Log in to a registry, for all containers of the project
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun login registry.example.org:5000
  zun login --username ann --password-stdin <token.txt

The login is encrypted and stored by the service for the project. Hosts use it
when they pull images of this registry. It is checked at the first pull. The
members of the project can use the login, and cannot read the password.")]
pub(in crate::cmd) struct Login {
    /// Domain of the registry, with its port if it is not 443 (default docker.io)
    server: Option<String>,
    /// User (zun asks for it if absent)
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    /// Read the password from stdin (zun asks for it without echo if absent)
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

/// Delete the login to a registry
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun logout registry.example.org:5000")]
pub(in crate::cmd) struct Logout {
    /// Domain of the registry, with its port if it is not 443 (default docker.io)
    server: Option<String>,
}

impl Login {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let domain = domain(self.server.as_deref());
        let username = match self.username {
            Some(username) => username,
            None => ask_username()?,
        };
        let password = if self.password_stdin { from_stdin()? } else { from_terminal()? };
        let login = RegistryFields {
            username: Some(username),
            password: Some(password),
            ..RegistryFields::default()
        };
        if let Some(registry) = known(context, &domain).await? {
            context.api.update_registry(&registry.uuid.to_string(), login).await?;
        } else {
            let (name, domain) = (Some(domain.clone()), Some(domain.clone()));
            context.api.create_registry(RegistryFields { name, domain, ..login }).await?;
        }
        context.printer.line(&format!("Login stored: {domain}"))?;
        Ok(Exit::OK)
    }
}

impl Logout {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let domain = domain(self.server.as_deref());
        let Some(registry) = known(context, &domain).await? else {
            context.printer.line(&format!("Not logged in to {domain}"))?;
            return Ok(Exit::OK);
        };
        context.api.delete_registry(&registry.uuid.to_string()).await?;
        context.printer.line(&format!("Login deleted: {domain}"))?;
        Ok(Exit::OK)
    }
}

/// The project's login to a registry.
async fn known(context: &Context, domain: &str) -> Result<Option<Registry>, Failure> {
    let mut found = context.api.registries(&[("domain", domain.to_owned())]).await?;
    if found.len() > 1 {
        return Err(Failure::new(format!(
            "the project has several logins to {domain}: see `zun registry list`, and use `zun registry update` or \
             `zun registry delete`"
        )));
    }
    Ok(found.pop())
}

/// The domain of a server, which users of Docker may write as a URL.
fn domain(server: Option<&str>) -> String {
    let server = server.unwrap_or(DOCKER_IO);
    let bare = ["https://", "http://"].iter().find_map(|scheme| server.strip_prefix(scheme));
    let bare = bare.unwrap_or(server);
    match bare.split('/').next().unwrap_or(bare) {
        "index.docker.io" | "registry-1.docker.io" => DOCKER_IO.to_owned(),
        domain => domain.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_written_as_docker_accepts_it() {
        for (server, expected) in [
            (None, "docker.io"),
            (Some("https://index.docker.io/v1/"), "docker.io"),
            (Some("registry.example.org:5000"), "registry.example.org:5000"),
            (Some("http://127.0.0.1:5000/v2/"), "127.0.0.1:5000"),
        ] {
            assert_eq!(domain(server), expected);
        }
    }
}
