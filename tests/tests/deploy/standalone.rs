//! Start, refusals and orderly stop of the standalone.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use zun_tests::keystone::Keystone;

use super::machine::{Machine, marks, printed, succeed, taken_address, test_engine};

#[test]
fn it_starts_next_to_another_engine_and_down_leaves_nothing() {
    let machine = Machine::new();
    let shared = test_engine();
    let containers_before =
        succeed(Command::new("docker").args(["--host", &shared, "ps", "-q", "--no-trunc"]));
    machine.up();
    let mode = std::fs::metadata(machine.env_file()).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let listed = machine.shell("zun list");
    assert!(listed.status.success(), "{}", printed(&listed));
    let mark = machine.docker(&["network", "inspect", "bridge", "--format", "{{.Options}}"]);
    assert!(mark.contains("com.docker.network.bridge.name:zun"), "{mark}");
    // Only root can read it, and only a client with a certificate reaches the engine.
    let mode = std::fs::metadata(machine.state()).expect("the state").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let containers_after =
        succeed(Command::new("docker").args(["--host", &shared, "ps", "-q", "--no-trunc"]));
    assert!(!containers_before.trim().is_empty(), "RabbitMQ runs in the shared engine");
    for id in containers_before.lines() {
        assert!(
            containers_after.contains(id),
            "container {id} of the shared engine was left alone"
        );
    }
    let own_mark = mark_of(&machine);
    assert!(marks().contains(&own_mark), "{own_mark} is on its bridge");
    machine.down();
    assert_eq!(machine.traces(), Vec::<String>::new());
    assert!(!marks().contains(&own_mark), "the bridge and the rules are removed");
}

#[test]
fn a_second_instance_is_refused_and_up_twice_is_idempotent() {
    let machine = Machine::new();
    machine.up();
    let pid = machine.pid();
    let second = machine.standalone("run").output().expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let message = printed(&second);
    assert!(
        message.contains("already running in") && message.contains(&pid.to_string()),
        "{message}"
    );
    machine.up();
    assert_eq!(machine.pid(), pid);
    assert!(machine.standalone("status").output().expect("it runs").status.success());
    machine.down();
    assert_eq!(machine.standalone("status").output().expect("it runs").status.code(), Some(1));
}

#[test]
fn sigterm_stops_everything_and_keeps_stored_data() {
    let machine = Machine::new();
    let mut child = machine.run();
    let own_mark = mark_of(&machine);
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::TERM).expect("signalled");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(machine.processes(), Vec::<String>::new());
    assert!(!marks().contains(&own_mark));
    assert!(!machine.env_file().exists());
    assert!(machine.state().join("zun.sqlite").exists());
    machine.up();
    assert!(machine.shell("zun list").status.success());
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left() {
    let machine = Machine::new();
    let (_listener, address) = taken_address();
    let mut command = Command::new(zun_tests::zun_cli::binary("zun-standalone"));
    command.arg("run").arg("--state").arg(machine.state()).stdin(Stdio::null());
    let output = command.args(["--listen", &address.to_string()]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let message = printed(&output);
    assert!(message.contains(&format!("cannot listen on {address}")), "{message}");
    assert_eq!(machine.processes(), Vec::<String>::new());
}

#[test]
fn an_existing_keystone_authenticates_its_callers() {
    let (machine, keystone) = (Machine::new(), Keystone::shared());
    let password = tempfile::NamedTempFile::new().expect("a file of mode 0600");
    std::fs::write(password.path(), "zun").expect("written");
    let mut command = machine.standalone("up");
    command.arg("--keystone").arg(keystone.url());
    succeed(command.arg("--keystone-password-file").arg(password.path()));
    let environment = std::fs::read_to_string(machine.env_file()).expect("the file");
    assert!(!environment.contains("export OS_TOKEN"), "{environment}");
    let openrc = keystone.openrc.display();
    let listed = machine.shell(&format!(". '{openrc}'; zun host list -f name"));
    assert!(listed.status.success(), "{}", printed(&listed));
    assert!(!listed.stdout.is_empty(), "the host is registered");
    let refused = machine.shell("unset OS_AUTH_URL; OS_AUTH_TYPE=none zun list");
    assert_eq!(refused.status.code(), Some(1));
    assert!(printed(&refused).contains("requires authentication"), "{}", printed(&refused));
}

#[test]
fn it_listens_only_on_loopback() {
    let machine = Machine::new();
    let mut command = Command::new(zun_tests::zun_cli::binary("zun-standalone"));
    command.arg("run").arg("--state").arg(machine.state()).stdin(Stdio::null());
    let output = command.args(["--listen", "0.0.0.0:0"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("not a loopback address"), "{}", printed(&output));
}

/// Returns the mark of this machine's private engine, which is the alias of its bridge.
fn mark_of(machine: &Machine) -> String {
    let bridge = machine.docker(&[
        "network",
        "inspect",
        "bridge",
        "--format",
        r#"{{index .Options "com.docker.network.bridge.name"}}"#,
    ]);
    let alias = format!("/sys/class/net/{}/ifalias", bridge.trim());
    std::fs::read_to_string(alias).expect("an alias").trim().to_owned()
}
