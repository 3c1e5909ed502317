//! `zun console`: the link to the page, and the browser that opens it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::fake::service::{ID, Service, ServiceRequest};

const URL: &str = "https://console.test:2377/console#ticket=c2VjcmV0&name=test";

/// What the browser has got: the content of the file, and the command line.
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

    /// Runs `zun` on this desktop. Returns its exit code, stdout and stderr.
    async fn zun(&self, service: &Service, words: &[&str]) -> (Option<i32>, String, String) {
        let ended = Command::new(env!("CARGO_BIN_EXE_zun"))
            .args(words)
            .env_clear()
            .env("OS_ENDPOINT", format!("http://127.0.0.1:{}/v1", service.port))
            .env("DISPLAY", ":7")
            .env("PATH", self.directory.path())
            .current_dir(self.directory.path())
            .kill_on_drop(true)
            .output()
            .await
            .expect("the binary runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (ended.status.code(), text(ended.stdout), text(ended.stderr))
    }
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
    json!({ "grants": [grant], "silent_hosts": [] })
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
    assert_eq!(request.body["mode"], "ro");

    std::fs::remove_file(desktop.directory.path().join("xdg-open")).expect("it is removed");
    let (code, shown, errors) = desktop.zun(&service, &["console", "test"]).await;
    assert_eq!((code, shown), (Some(0), format!("{URL}\n")));
    assert!(errors.starts_with("zun: cannot start xdg-open: "), "{errors}");
}
