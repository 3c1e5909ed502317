//! C65: the host does not have the image.

use std::process::Command;

use rustix::process::Signal;
use zun_tests::debian_registry::DebianRegistry;
use zun_tests::eventually::eventually;
use zun_tests::recorder;
use zun_tests::registry::{Pace, Registry};
use zun_tests::zun_cli::{Name, ZunCli};

/// Removes a test's image from the standalone's engine.
struct Image(String);

impl Image {
    fn of(registry: &Registry) -> Self {
        Self(format!("{}/zun-conformance:v1", registry.address))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let present = engine(&["images", "-q", &self.0]);
        if !present.is_empty() {
            engine(&["rmi", "-f", &self.0]);
        }
    }
}

/// Runs Docker's client on the standalone's engine.
fn engine(arguments: &[&str]) -> String {
    let file = std::env::var_os("ZUN_TEST_STANDALONE").expect("the standalone's environment file");
    let state = std::path::PathBuf::from(file).with_extension("");
    let socket = format!("unix://{}/engine/docker.sock", state.display());
    let output = Command::new("docker").args(["-H", &socket]).args(arguments).output();
    String::from_utf8(output.expect("docker runs").stdout).expect("text")
}

#[test]
fn c65_debians_own_registry_serves_and_refuses() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let registry = DebianRegistry::start();
    let image = Image(format!("{}/shells/cirros:v2", registry.address));
    registry.accept_all_during(|| {
        engine(&["tag", "cirros:latest", &image.0]);
        engine(&["push", "-q", &image.0]);
        engine(&["rmi", &image.0]);
    });
    let name = zun.name("c65-debian");
    // A refused user gets the registry's message.
    let refused = zun.run(&["run", "--rm", "--name", name.as_str(), &image.0, "/bin/sh"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (125, ""), "{refused:?}");
    assert!(refused.stderr.contains("no basic auth credentials"), "{refused:?}");
    eventually("nothing is left", || is_gone(&zun, &name));
    registry.accept_all();
    let mut term = zun.term(&["run", "-i", "--rm", &image.0, "/bin/sh"], (24, 100));
    term.shows("/ #");
    term.types("exit 6\r");
    assert_eq!(term.exit(), 6);
    let unknown = format!("{}/shells/nobody:v1", registry.address);
    let missing = zun.run(&["run", "--rm", "-q", &unknown, "/bin/sh"]);
    assert_eq!(missing.code, 125, "{missing:?}");
    assert!(missing.stderr.contains("No such image"), "{missing:?}");
}

fn is_gone(zun: &ZunCli, name: &Name) -> bool {
    let shown = zun.run(&["show", name.as_str()]);
    shown.code == 1 && shown.stderr.contains("could not be found")
}

#[tokio::test(flavor = "multi_thread")]
async fn c65_each_layer_has_a_bar_until_the_shell_appears() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let registry = Registry::with_shell(Pace::Slow).await;
    let image = Image::of(&registry);
    let name = zun.name("c65");
    let run = ["run", "-i", "--rm", "--name", name.as_str(), &image.0, "/bin/sh"];
    let mut term = zun.term(&run, (24, 100));
    term.shows("pulling 127.0.0.1:");
    term.shows("Downloading");
    term.shows(" MiB");
    let shown = zun.field(name.as_str(), "image_pull");
    assert_eq!(shown["layers"].as_array().map(Vec::len), Some(3), "{shown}");
    term.shows("/ #");
    term.types("echo ready-$((40 + 2))\r");
    term.shows("ready-42");
    let shown = zun.field(name.as_str(), "image_pull");
    assert!(shown.is_null(), "{shown}");
    term.types("exit 6\r");
    assert_eq!(term.exit(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn c65_without_a_terminal_progress_is_one_line_and_none_with_quiet() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    for (quiet, lines) in [(false, 1), (true, 0)] {
        let registry = Registry::with_shell(Pace::Slow).await;
        let image = Image::of(&registry);
        let mut run = vec!["run", "--rm"];
        run.extend(quiet.then_some("-q"));
        run.extend([image.0.as_str(), "/bin/sh", "-c", "echo out; sleep 0.5"]);
        let finished = zun.run(&run);
        assert_eq!((finished.code, finished.stdout.as_str()), (0, "out\n"), "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), lines, "{finished:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c65_ctrl_c_or_a_signal_cancels_the_pull_and_leaves_nothing() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    for (verb, code) in [("run", 130), ("create", 143)] {
        let registry = Registry::with_shell(Pace::Stalled).await;
        let image = Image::of(&registry);
        let name = zun.name("c65c");
        let mut term =
            zun.term(&[verb, "-i", "--name", name.as_str(), &image.0, "/bin/sh"], (24, 100));
        term.shows("Downloading");
        eventually("the registry sends layers", || registry.open() > 0);
        let before = term.modes();
        if verb == "run" {
            term.types("\x03");
        } else {
            term.signal(Signal::TERM);
        }
        assert_eq!(term.exit(), code);
        assert_eq!(term.modes(), before);
        eventually("the container is gone", || is_gone(&zun, &name));
        eventually("the engine has cancelled the pull", || registry.open() == 0);
        assert_eq!(engine(&["images", "-q", &image.0]), "");
        let held = engine(&["ps", "-aq", "--filter", &format!("label=zun.name={}", name.as_str())]);
        assert_eq!(held, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c65_a_registrys_refusal_is_shown() {
    let _recorder = recorder!();
    let zun = ZunCli::shared();
    let registry = Registry::start().await;
    for (repository, arguments) in
        [("zun-conformance:v2", "No such image"), ("zun-forbidden:v1", "denied")]
    {
        let name = zun.name("c65r");
        let image = format!("{}/{repository}", registry.address);
        let finished = zun.run(&["run", "--rm", "-q", "--name", name.as_str(), &image, "/bin/sh"]);
        assert_eq!((finished.code, finished.stdout.as_str()), (125, ""), "{finished:?}");
        assert!(finished.stderr.contains(arguments), "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        eventually("nothing is left", || is_gone(&zun, &name));
    }
}
