//! Logins to a real registry that wants one, with a real engine.

use std::process::Command;

use zun_tests::debian_registry::{ANN, DebianRegistry};
use zun_tests::zun_cli::ZunCli;

/// Runs Docker's client on the standalone's engine.
fn engine(zun: &ZunCli, arguments: &[&str]) {
    let socket = format!("unix://{}", zun.engine_socket().display());
    let output = Command::new("docker").args(["-H", &socket]).args(arguments).output();
    let output = output.expect("docker runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn an_image_that_needs_a_login_is_pulled_after_a_login_and_not_after_the_logout() {
    let zun = ZunCli::shared();
    let registry = DebianRegistry::start();
    let server = registry.address.as_str();
    let image = format!("{server}/team/cirros:v1");
    registry.accept_all_during(|| {
        engine(&zun, &["tag", "cirros:latest", &image]);
        engine(&zun, &["push", "-q", &image]);
        engine(&zun, &["rmi", &image]);
    });
    registry.accept_ann();
    let run = || zun.run(&["run", "--rm", "-q", "--pull", "always", &image, "echo", "hello"]);
    let refused = run();
    assert_eq!(refused.code, 125, "{refused:?}");
    assert!(refused.stderr.contains(&format!("log in with `zun login {server}`")), "{refused:?}");
    let login = |password: &str| {
        let arguments = ["login", "--username", ANN.0, "--password-stdin", server];
        let output = zun.piped(&arguments, format!("{password}\n").as_bytes());
        assert!(output.status.success(), "{output:?}");
    };
    login("wrong");
    let refused = run();
    assert_eq!(refused.code, 125, "{refused:?}");
    login(ANN.1);
    let done = run();
    assert_eq!((done.code, done.stdout.as_str()), (0, "hello\n"), "{done:?}");
    let list = zun.must(&["registry", "list", "--domain", server, "--format", "json"]);
    assert!(list.contains("\"***\"") && !list.contains(ANN.1), "{list}");
    assert_eq!(zun.must(&["logout", server]), format!("Login deleted: {server}\n"));
    assert_eq!(run().code, 125);
    assert_eq!(zun.must(&["logout", server]), format!("Not logged in to {server}\n"));
    engine(&zun, &["rmi", "-f", &image]);
}

#[test]
fn a_password_is_asked_for_on_the_terminal_and_not_shown() {
    let zun = ZunCli::shared();
    let mut term = zun.term(&["login", "asked.example"], (24, 100));
    term.shows("Username: ");
    term.types("ann\r");
    term.shows("Password: ");
    term.types("s3cret-word\r");
    term.shows("Login stored: asked.example");
    assert_eq!(term.exit(), 0);
    assert!(!term.transcript().contains("s3cret-word"));
    zun.must(&["logout", "asked.example"]);
    let piped = zun.run(&["login", "asked.example"]);
    assert!(piped.stderr.contains("--password-stdin"), "{piped:?}");
}
