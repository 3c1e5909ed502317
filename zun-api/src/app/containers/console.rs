//! Creates console endpoints: a signed grant, and the addresses of the calls that it allows.

use chrono::Utc;
use uuid::Uuid;
use zun_common::api::v1::console::{
    Calls, ConsoleEndpoint, DOCKER_ARCHIVE, DOCKER_ATTACH, DOCKER_EXEC, DOCKER_LOGS, PTY,
    RECORDING, Tls,
};
use zun_common::grant::{Call, DataKind, EXPORT_PATH, Grant, Mode, Target, WaitCondition};
use zun_common::id::HostName;
use zun_common::pty;
use zun_common::recording::{RecordPolicy, recording_path};
use zun_common::rpc::container::ConsoleListener;
use zun_common::units::TerminalSize;

use crate::app::{App, AppError, Caller};
use crate::db::container::Record;

/// Whether sessions with a container may only go through the console gate, because they are recorded there. `host` is
/// where it runs, and `protocols` are those of the client.
pub(super) fn recorded_at(
    record: &Record,
    listener: &ConsoleListener,
    (host, protocols): (&HostName, &[String]),
) -> Result<bool, AppError> {
    let policy = record.spec.record;
    match (policy, &listener.gate) {
        (RecordPolicy::Off, _) | (RecordPolicy::BestEffort, None) => Ok(false),
        (RecordPolicy::Required, None) => Err(AppError::NotRecorded(format!(
            "The sessions of container {} must be recorded, and the console gate of its host {host} is not available.",
            record.spec.name
        ))),
        (RecordPolicy::BestEffort | RecordPolicy::Required, Some(_)) => {
            if protocols.iter().any(|name| name == PTY) {
                Ok(true)
            } else {
                Err(AppError::NoCommonProtocol(PTY))
            }
        }
    }
}

/// A console to connect to: the grant for it, its listener, and whether it has a terminal and reads stdin.
pub(in crate::app) struct ConsoleTarget {
    pub(in crate::app) grant: Grant,
    pub(in crate::app) listener: ConsoleListener,
    pub(in crate::app) tty: bool,
    pub(in crate::app) stdin: bool,
}

impl App {
    /// Returns an error if there is no CA to sign grants.
    pub(in crate::app) fn require_ca(&self) -> Result<(), AppError> {
        match self.ca {
            Some(_) => Ok(()),
            None => Err(AppError::NotConfigured {
                what: "Console access",
                setting: "console.ca_directory",
            }),
        }
    }

    /// Signs a grant for the client's key, and writes an audit log line.
    pub(in crate::app) fn grant(
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
            protocol: protocol(&console_target.grant, &calls).to_owned(),
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

const fn protocol(grant: &Grant, calls: &Calls) -> &'static str {
    match grant.target {
        Target::Container { .. } | Target::Exec { .. } if calls.pty.is_some() => PTY,
        Target::Container { .. } => DOCKER_ATTACH,
        Target::Data { data: DataKind::Logs, .. } => DOCKER_LOGS,
        Target::Data { data: DataKind::Archive(_), .. } => DOCKER_ARCHIVE,
        Target::Exec { .. } => DOCKER_EXEC,
        Target::Recording { .. } => RECORDING,
    }
}

const fn allows_stdin(grant: &Grant) -> bool {
    match grant.target {
        Target::Container { mode, .. } => matches!(mode, Mode::ReadWrite),
        Target::Data { .. } | Target::Recording { .. } => false,
        Target::Exec { .. } => true,
    }
}

fn calls(console_target: &ConsoleTarget) -> Calls {
    let ConsoleListener { address, api_version, gate } = &console_target.listener;
    let address_of = |scheme: &str, call: Call| {
        let (_method, target) = console_target.grant.call(*api_version, call)?;
        Some(format!("{scheme}://{address}{target}"))
    };
    // The client adds its own query to these addresses.
    let without_query = |call: Call| {
        let url = address_of("https", call)?;
        Some(url.split_once('?').map_or(url.clone(), |(path, _query)| path.to_owned()))
    };
    let data = |path_of: fn(DataKind) -> Option<&'static str>| match &console_target.grant.target {
        Target::Data { data, .. } => {
            let prefix = console_target.grant.prefix(*api_version);
            path_of(*data).map(|path| format!("https://{address}{prefix}{path}"))
        }
        Target::Container { .. } | Target::Exec { .. } | Target::Recording { .. } => None,
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
        logs: data(|data| (data == DataKind::Logs).then(|| data.path())),
        archive: data(|data| (data != DataKind::Logs).then(|| data.path())),
        export: data(|data| (data != DataKind::Logs).then_some(EXPORT_PATH)),
        pty: gate.as_ref().and_then(|gate| gate_url(gate, &console_target.grant)),
        recording: gate.as_ref().and_then(|gate| recording_url(gate, &console_target.grant)),
    }
}

/// Returns the address of the console at the host's gate.
fn gate_url(gate: &str, grant: &Grant) -> Option<String> {
    let path = match &grant.target {
        Target::Container { id, .. } => pty::container_path(id.as_str()),
        Target::Exec { id } => pty::exec_path(id.as_str()),
        Target::Data { .. } | Target::Recording { .. } => return None,
    };
    Some(format!("wss://{gate}{path}"))
}

/// Returns the address of a recording at the host's gate.
fn recording_url(gate: &str, grant: &Grant) -> Option<String> {
    match &grant.target {
        Target::Recording { id } => Some(format!("https://{gate}{}", recording_path(*id))),
        Target::Container { .. } | Target::Data { .. } | Target::Exec { .. } => None,
    }
}

/// Returns the listener for a client with these protocols: without the console gate, unless the client names its
/// protocol before Docker's, or may use nothing else.
pub(super) fn listener_for(
    listener: ConsoleListener,
    protocols: &[String],
    gate_only: bool,
) -> ConsoleListener {
    let docker = [DOCKER_ATTACH, DOCKER_EXEC];
    let known = protocols.iter().find(|name| *name == PTY || docker.contains(&name.as_str()));
    let gate = listener.gate.filter(|_| gate_only || known.is_some_and(|name| name == PTY));
    ConsoleListener { gate, ..listener }
}

/// Returns the address to connect to first: the console gate if the client prefers it, the websocket for a terminal if
/// the grant allows it, otherwise the first HTTP call that it allows.
fn first_url(calls: &Calls, tty: bool) -> Option<String> {
    let websocket = calls.pty.as_ref().or(calls.websocket.as_ref().filter(|_| tty));
    let others =
        [&calls.attach, &calls.output, &calls.start, &calls.logs, &calls.archive, &calls.recording];
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
                gate: None,
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
            export: None,
            pty: None,
            recording: None,
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
            export: None,
            pty: None,
            recording: None,
        }
        first: "https://[::1]:2376/v1.41/containers/ID/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1"
        "#);
    }

    #[test]
    fn a_client_that_prefers_the_gate_gets_its_address_beside_those_of_docker() {
        let id = "ab".repeat(32);
        for (path, url) in [
            (
                format!("containers/{id}/attach?mode=ro"),
                format!("wss://[::1]:2377/pty/v1/containers/{id}"),
            ),
            (format!("exec/{id}"), format!("wss://[::1]:2377/pty/v1/execs/{id}")),
        ] {
            let docker = console_target(&format!("zun://h/{path}"), true);
            let mut gate = console_target(&format!("zun://h/{path}"), true);
            gate.listener.gate = Some("[::1]:2377".to_owned());
            let offered = calls(&gate);
            assert_eq!(
                (first_url(&offered, true), protocol(&gate.grant, &offered)),
                (Some(url), PTY)
            );
            assert_eq!(Calls { pty: None, ..offered }, calls(&docker));
        }
    }

    #[test]
    fn the_gate_is_preferred_if_its_protocol_comes_first() {
        let prefers = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let listener = ConsoleListener {
                address: "h:2376".to_owned(),
                api_version: "1.41".parse().unwrap(),
                gate: Some("h:2377".to_owned()),
            };
            listener_for(listener, &names, false).gate.is_some()
        };
        assert!(prefers(&["zun.pty.v2", "zun.pty.v1", "docker.attach"]));
        assert!(prefers(&["zun.pty.v1"]));
        assert!(!prefers(&["docker.exec", "zun.pty.v1"]));
        assert!(!prefers(&[]));
    }

    #[test]
    fn a_grant_for_output_has_one_address_and_one_for_files_also_that_of_the_export() {
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
                let export = format!("https://[::1]:2376/v1.41/containers/{id}/export");
                Calls { archive: Some(url), export: Some(export), ..Calls::default() }
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
            export: None,
            pty: None,
            recording: None,
        }
        first: "https://[::1]:2376/v1.41/exec/ID/start"
        "#);
    }
}
