//! Creates console endpoints: a signed grant, and the addresses of the calls that it allows.

use chrono::Utc;
use uuid::Uuid;
use zun_common::api::v1::console::{
    Calls, ConsoleEndpoint, DOCKER_ARCHIVE, DOCKER_ATTACH, DOCKER_EXEC, DOCKER_LOGS, Tls,
};
use zun_common::grant::{Call, DataKind, Grant, Mode, Target, WaitCondition};
use zun_common::rpc::container::ConsoleListener;
use zun_common::units::TerminalSize;

use crate::app::{App, AppError, Caller};

/// A console to connect to: the grant for it, its listener, and whether it has a terminal and reads stdin.
pub(super) struct ConsoleTarget {
    pub(super) grant: Grant,
    pub(super) listener: ConsoleListener,
    pub(super) tty: bool,
    pub(super) stdin: bool,
}

impl App {
    /// Returns an error if there is no CA to sign grants.
    pub(super) fn require_ca(&self) -> Result<(), AppError> {
        match self.ca {
            Some(_) => Ok(()),
            None => Err(AppError::NotConfigured {
                what: "Console access",
                setting: "console.ca_directory",
            }),
        }
    }

    /// Signs a grant for the client's key, and writes an audit log line.
    pub(super) fn grant(
        &self,
        caller: &Caller,
        csr: &str,
        console_target: &ConsoleTarget,
    ) -> Result<ConsoleEndpoint, AppError> {
        self.require_ca()?;
        let Some(ca) = &self.ca else { return Err(AppError::ShuttingDown) };
        let id = format!("grant-{}", Uuid::new_v4());
        let issued = ca.grant(csr, &console_target.grant, &id, Utc::now())?;
        self.metrics.grants.inc();
        tracing::info!(
            target: "audit",
            {
                grant.id = %id, grant.uri = %console_target.grant,
                user.id = %caller.identity.user, project.id = %caller.identity.project,
                request.id = %caller.context.request
            },
            "granted {id}: {}", console_target.grant
        );
        let calls = calls(console_target);
        Ok(ConsoleEndpoint {
            protocol: protocol(&console_target.grant).to_owned(),
            url: first_url(&calls, console_target.tty).unwrap_or_default(),
            calls,
            tls: Tls { ca: ca.certificate_pem().to_owned(), certificate: issued.certificate },
            tty: console_target.tty,
            stdin: console_target.stdin && allows_stdin(&console_target.grant),
            run: None,
            running: false,
            expires_at: issued.expires_at,
        })
    }
}

const fn protocol(grant: &Grant) -> &'static str {
    match grant.target {
        Target::Container { .. } => DOCKER_ATTACH,
        Target::Data { data: DataKind::Logs, .. } => DOCKER_LOGS,
        Target::Data { data: DataKind::Archive(_), .. } => DOCKER_ARCHIVE,
        Target::Exec { .. } => DOCKER_EXEC,
    }
}

const fn allows_stdin(grant: &Grant) -> bool {
    match grant.target {
        Target::Container { mode, .. } => matches!(mode, Mode::ReadWrite),
        Target::Data { .. } => false,
        Target::Exec { .. } => true,
    }
}

fn calls(console_target: &ConsoleTarget) -> Calls {
    let ConsoleListener { address, api_version } = &console_target.listener;
    let address_of = |scheme: &str, call: Call| {
        let (_method, target) = console_target.grant.call(*api_version, call)?;
        Some(format!("{scheme}://{address}{target}"))
    };
    // The client adds its own query to these addresses.
    let without_query = |call: Call| {
        let url = address_of("https", call)?;
        Some(url.split_once('?').map_or(url.clone(), |(path, _query)| path.to_owned()))
    };
    let data = |wanted: fn(DataKind) -> bool| match &console_target.grant.target {
        Target::Data { data, .. } if wanted(*data) => {
            let prefix = console_target.grant.prefix(*api_version);
            Some(format!("https://{address}{prefix}{}", data.path()))
        }
        Target::Container { .. } | Target::Data { .. } | Target::Exec { .. } => None,
    };
    let any_size = TerminalSize { rows: 24, columns: 80 };
    Calls {
        websocket: address_of("wss", Call::AttachWebsocket),
        attach: address_of("https", Call::Attach),
        output: address_of("https", Call::AttachOutput),
        start: address_of("https", Call::ExecStart),
        resize: without_query(Call::Resize(any_size))
            .or_else(|| without_query(Call::ExecResize(any_size))),
        wait: without_query(Call::Wait(WaitCondition::NextExit)),
        inspect: address_of("https", Call::ExecInspect),
        logs: data(|data| data == DataKind::Logs),
        archive: data(|data| matches!(data, DataKind::Archive(_))),
        pty: None,
    }
}

/// Returns the address to connect to first: the websocket for a terminal if the grant allows it, otherwise the
/// first HTTP call that it allows.
fn first_url(calls: &Calls, tty: bool) -> Option<String> {
    let websocket = calls.websocket.as_ref().filter(|_| tty);
    let others = [&calls.attach, &calls.output, &calls.start, &calls.logs, &calls.archive];
    others.into_iter().fold(websocket, |first, other| first.or(other.as_ref())).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console_target(uri: &str, tty: bool) -> ConsoleTarget {
        ConsoleTarget {
            grant: uri.parse().unwrap(),
            listener: ConsoleListener {
                address: "[::1]:2376".to_owned(),
                api_version: "1.41".parse().unwrap(),
            },
            tty,
            stdin: true,
        }
    }

    fn shown(uri: &str, tty: bool) -> String {
        let calls = calls(&console_target(uri, tty));
        let id = "ab".repeat(32);
        format!("{:#?}\nfirst: {:?}", calls, first_url(&calls, tty).unwrap()).replace(&id, "ID")
    }

    #[test]
    fn a_terminal_is_attached_by_websocket() {
        let uri = format!("zun://h/containers/{}/attach?mode=rw", "ab".repeat(32));
        insta::assert_snapshot!(shown(&uri, true), @r#"
        Calls {
            websocket: Some(
                "wss://[::1]:2376/v1.41/containers/ID/attach/ws?logs=0&stream=1&stdin=1&stdout=1&stderr=1&detachKeys=%FF,%FE,%FD,%FC,%FB,%FA",
            ),
            attach: Some(
                "https://[::1]:2376/v1.41/containers/ID/attach?logs=0&stream=1&stdin=1&stdout=1&stderr=1&detachKeys=%FF,%FE,%FD,%FC,%FB,%FA",
            ),
            output: Some(
                "https://[::1]:2376/v1.41/containers/ID/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1",
            ),
            start: None,
            resize: Some(
                "https://[::1]:2376/v1.41/containers/ID/resize",
            ),
            wait: Some(
                "https://[::1]:2376/v1.41/containers/ID/wait",
            ),
            inspect: None,
            logs: None,
            archive: None,
            pty: None,
        }
        first: "wss://[::1]:2376/v1.41/containers/ID/attach/ws?logs=0&stream=1&stdin=1&stdout=1&stderr=1&detachKeys=%FF,%FE,%FD,%FC,%FB,%FA"
        "#);
    }

    #[test]
    fn a_read_only_grant_gives_access_to_output_only() {
        let uri = format!("zun://h/containers/{}/attach?mode=ro", "ab".repeat(32));
        insta::assert_snapshot!(shown(&uri, true), @r#"
        Calls {
            websocket: None,
            attach: None,
            output: Some(
                "https://[::1]:2376/v1.41/containers/ID/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1",
            ),
            start: None,
            resize: None,
            wait: Some(
                "https://[::1]:2376/v1.41/containers/ID/wait",
            ),
            inspect: None,
            logs: None,
            archive: None,
            pty: None,
        }
        first: "https://[::1]:2376/v1.41/containers/ID/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1"
        "#);
    }

    #[test]
    fn a_data_grant_has_one_address() {
        let id = "ab".repeat(32);
        for (suffix, logs) in [("logs", true), ("archive?mode=ro", false)] {
            let console_target = console_target(&format!("zun://h/containers/{id}/{suffix}"), true);
            let calls = calls(&console_target);
            let path = suffix.split('?').next().unwrap_or_default();
            let url = format!("https://[::1]:2376/v1.41/containers/{id}/{path}");
            assert_eq!(first_url(&calls, true).as_ref(), Some(&url));
            let only = if logs {
                Calls { logs: Some(url), ..Calls::default() }
            } else {
                Calls { archive: Some(url), ..Calls::default() }
            };
            assert_eq!(calls, only);
        }
    }

    #[test]
    fn an_exec_starts_by_a_hijacked_connection() {
        let uri = format!("zun://h/exec/{}", "ab".repeat(32));
        insta::assert_snapshot!(shown(&uri, false), @r#"
        Calls {
            websocket: None,
            attach: None,
            output: None,
            start: Some(
                "https://[::1]:2376/v1.41/exec/ID/start",
            ),
            resize: Some(
                "https://[::1]:2376/v1.41/exec/ID/resize",
            ),
            wait: None,
            inspect: Some(
                "https://[::1]:2376/v1.41/exec/ID/json",
            ),
            logs: None,
            archive: None,
            pty: None,
        }
        first: "https://[::1]:2376/v1.41/exec/ID/start"
        "#);
    }
}
