//! `zun console`: the link to the page, and the browser that opens it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use crate::fake::service::{ID, Service, ServiceRequest};

const URL: &str = "https://console.test:2377/console#ticket=c2VjcmV0&name=test";

/// What the browser received: the content of the file, and the command line.
struct Desktop {
    directory: TempDir,
}

impl Desktop {
    /// A desktop whose browser does `script` with the file `$1`.
    fn with_browser(script: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("xdg-open");
        let text = format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n");
        std::fs::write(&program, text).expect("a program");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
        Self { directory }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    /// Starts `zun` on this desktop, with an environment variable.
    fn start(&self, service: &Service, words: &[&str], variable: (&str, &str)) -> Child {
        Command::new(env!("CARGO_BIN_EXE_zun"))
            .args(words)
            .env_clear()
            .env("OS_ENDPOINT", format!("http://127.0.0.1:{}/v1", service.port))
            .env("HOME", self.directory.path())
            .env(variable.0, variable.1)
            .env("PATH", self.directory.path())
            .current_dir(self.directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary runs")
    }

    /// Runs `zun` on this desktop. Returns its exit code, stdout and stderr.
    async fn zun(&self, service: &Service, words: &[&str]) -> (Option<i32>, String, String) {
        ended(self.start(service, words, ("DISPLAY", ":7"))).await
    }
}

async fn ended(zun: Child) -> (Option<i32>, String, String) {
    let ended = zun.wait_with_output().await.expect("the binary ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

/// A service that issues a ticket, which is used once the browser has written the file `done`.
async fn service(desktop: &Desktop) -> Service {
    let done = desktop.directory.path().join("done");
    Service::start(move |ask| (200, answer(&ask, &done))).await
}

fn answer(ask: &ServiceRequest, done: &Path) -> Value {
    if ask.target.ends_with("/console_ticket") {
        return json!({
            "id": "ticket-1", "url": URL, "websocket_url": "wss://console.test:2377/v1/console",
            "ticket": "c2VjcmV0", "mode": "rw", "uses": 1, "tty": true,
            "expires_at": "2030-01-01T00:00:00Z",
        });
    }
    let sessions = usize::from(done.exists());
    let grant = json!({
        "id": "ticket-1", "container": ID, "container_name": "test", "host": "compute1", "mode": "rw",
        "sessions": sessions, "uses": (sessions == 0).then_some(1),
    });
    // A host of other containers is down.
    json!({ "grants": [grant], "unresponsive_hosts": ["compute2"] })
}

#[tokio::test]
async fn the_browser_gets_the_link_in_a_private_file_and_no_other_user_sees_it() {
    let desktop = Desktop::with_browser(
        "echo \"$@\" >argv; stat -c %a \"$1\" >mode; cat \"$1\" >page; touch done",
    );
    let (code, shown, errors) = desktop.zun(&service(&desktop).await, &["console", "test"]).await;
    assert_eq!((code, shown.as_str(), errors.as_str()), (Some(0), "", ""));
    assert!(
        desktop
            .read("page")
            .contains("https://console.test:2377/console#ticket=c2VjcmV0&amp;name=test")
    );
    assert_eq!(desktop.read("mode"), "600\n");
    let argv = desktop.read("argv");
    assert!(!argv.contains("c2VjcmV0"), "{argv}");
    assert!(!Path::new(argv.trim()).exists(), "{argv} is removed");
}

#[tokio::test]
async fn without_a_browser_and_with_print_the_link_is_printed() {
    let desktop = Desktop::with_browser("touch opened");
    let service = service(&desktop).await;
    let words = ["console", "--print", "--read-only", "test"];
    assert_eq!(desktop.zun(&service, &words).await, (Some(0), format!("{URL}\n"), String::new()));
    assert_eq!(desktop.read("opened"), "");
    let requests = service.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.line(), "POST /v1/containers/test/console_ticket");
    assert_eq!((&request.body["mode"], &request.body["files"]), (&json!("ro"), &json!(null)));

    std::fs::remove_file(desktop.directory.path().join("xdg-open")).expect("it is removed");
    let (code, shown, errors) = desktop.zun(&service, &["console", "test"]).await;
    assert_eq!((code, shown), (Some(0), format!("{URL}\n")));
    assert!(errors.starts_with("zun: cannot start xdg-open: "), "{errors}");
    assert_eq!(
        service.requests().last().map(|request| request.body["files"].clone()),
        Some(json!(true))
    );
}

#[tokio::test]
async fn a_browser_that_fails_does_not_keep_the_link_and_a_variable_alone_is_no_desktop() {
    let desktop = Desktop::with_browser("exit 3");
    let service = service(&desktop).await;
    let (code, shown, errors) = desktop.zun(&service, &["console", "test"]).await;
    assert_eq!((code, shown), (Some(0), format!("{URL}\n")));
    let expected = "zun: xdg-open failed (exit status: 3); open the link yourself\n";
    assert_eq!(errors, expected);

    let zun = desktop.start(&service, &["console", "test"], ("BROWSER", "lynx"));
    assert_eq!(ended(zun).await, (Some(0), format!("{URL}\n"), String::new()));
}

#[tokio::test]
async fn a_browser_that_opens_nothing_gets_a_printed_link_and_an_interrupt_removes_the_file() {
    let desktop = Desktop::with_browser("echo \"$1\" >argv");
    // A browser from Snap cannot read other directories.
    std::fs::create_dir(desktop.directory.path().join("snap")).expect("a directory");
    let mut zun = desktop.start(&service(&desktop).await, &["console", "test"], ("DISPLAY", ":7"));
    let stdout = zun.stdout.as_mut().expect("a pipe");
    let mut link = vec![0; URL.len()];
    stdout.read_exact(&mut link).await.expect("the link");
    assert_eq!(link, URL.as_bytes());
    let file = desktop.read("argv");
    let file = Path::new(file.trim());
    assert_eq!(file.parent(), Some(desktop.directory.path()));
    assert!(file.exists(), "the browser may still read {}", file.display());

    let pid = zun.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("a process");
    rustix::process::kill_process(pid, Signal::INT).expect("it runs");
    let (code, _, errors) = ended(zun).await;
    assert_eq!(code, Some(130), "{errors}");
    assert!(errors.contains("waiting for the browser"), "{errors}");
    assert!(!file.exists(), "{} is removed", file.display());
}
