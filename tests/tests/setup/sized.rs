//! `zun-runtime` in the settings of a Docker that sets no initial terminal size.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use zun_common::chain;
use zun_compute::docker_setup::undo;

use super::host::Host;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_of_the_runtime_runs_after_undo_until_it_stops() {
    let host = Host::start("{\n  \"runtimes\": { \"other\" : {\"path\":\"runc\"} }\n}\n").await;
    let files = host.files();
    host.set_up().await.expect("set up");
    let runtimes =
        host.docker(&["info", "-f", "{{range $name, $_ := .Runtimes}}{{$name}} {{end}}"]);
    assert_eq!(runtimes.contains("zun-sized"), host.needs_runtime(), "{runtimes}");
    assert!(runtimes.contains("other"), "{runtimes}");
    if !host.needs_runtime() {
        undo(&host.machine).await.expect("undone");
        host.stop().await;
        return;
    }
    let made =
        ["run", "-d", "--runtime", "zun-sized", "--network", "none", "--name", "sized", "small"];
    host.docker(&[&made[..], &["/bin/busybox", "sleep", "100000"]].concat());
    let pid = host.pid("sized");

    let report = undo(&host.machine).await.expect("undone").to_string();
    let program = host.machine.paths.runtime.display().to_string();
    assert!(report.contains("containers created with the runtime zun-sized: 1."), "{report}");
    assert!(report.contains(&format!("Keep {program}")), "{report}");
    assert_eq!(host.files(), files, "all files must be restored byte for byte");
    assert_eq!(host.pid("sized"), pid, "the container must keep running");
    assert_eq!(host.docker(&["exec", "sized", "/bin/busybox", "echo", "usable"]), "usable");
    host.docker(&["stop", "-t", "1", "sized"]);
    assert!(host.pid("sized").starts_with("false "));
    assert!(host.refuses(&["start", "sized"]).contains("zun-sized"), "Docker no longer knows it");

    host.set_up().await.expect("set up");
    host.docker(&["start", "sized"]);
    assert!(host.pid("sized").starts_with("true "), "it can be started again");
    host.docker(&["rm", "-f", "sized"]);
    let report = undo(&host.machine).await.expect("undone").to_string();
    assert!(!report.contains("zun-sized"), "{report}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_or_writable_runtime_program_is_refused() {
    let host = Host::start("{}\n").await;
    if host.needs_runtime() {
        let (files, program) = (host.files(), host.machine.paths.runtime.clone());
        fs::set_permissions(&program, Permissions::from_mode(0o775)).expect("set");
        let message = chain(&host.set_up().await.expect_err("refused"));
        assert!(message.contains("users other than root can write to it"), "{message}");
        fs::remove_file(&program).expect("removed");
        let message = chain(&host.set_up().await.expect_err("refused"));
        let expected = format!("cannot use {}", program.display());
        assert!(message.starts_with(&expected) && message.contains("install it"), "{message}");
        assert_eq!(host.files(), files, "no file may change");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_runtime_of_that_name_is_an_error_and_stays() {
    let text = "{ \"runtimes\": {\"zun-sized\": {\"path\": \"runc\"}} }\n";
    let host = Host::start(text).await;
    if host.needs_runtime() {
        let files = host.files();
        let message = chain(&host.set_up().await.expect_err("refused"));
        assert!(message.contains(r#"already has `zun-sized` as {"path":"runc"}"#), "{message}");
        assert_eq!(host.files(), files, "no file may change");
    }
    host.stop().await;
}
