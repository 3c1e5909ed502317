//! Tests of sessions on another host, dialled directly.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use zun_tests::pty::Pty;

use super::support::{COMPUTE1, COMPUTE2, CONTROLLER, Host, zun};

const SIZE: (u16, u16) = (24, 80);

fn still_works(term: &mut Pty, word: &str) {
    let (head, tail) = word.split_at(2);
    term.types(format!("echo {head}''{tail}\r"));
    term.shows(word);
}

fn shell_on(host: Host) {
    host.comes_up();
    let zun = zun();
    let name = zun.name("shell");
    let arguments = ["run", "-i", "--host", host.0, "--name", name.as_str(), "cirros", "/bin/sh"];
    let mut term = zun.term(&arguments, SIZE);
    term.shows("/ #");
    assert_eq!(zun.field(name.as_str(), "host"), host.0);
    still_works(&mut term, "before");
    CONTROLLER.restart("zun-api.service");
    still_works(&mut term, "new-api");
    host.restart("zun-compute.service");
    still_works(&mut term, "new-agent");
    CONTROLLER.restart("rabbitmq-server.service");
    still_works(&mut term, "new-rabbit");
    // The controller is stopped, so the bytes cannot go through it.
    CONTROLLER.must(&["systemctl", "stop", "zun-api.service", "rabbitmq-server.service"]);
    still_works(&mut term, "no-controller");
    term.resize(30, 90);
    term.types("until [ \"$(stty size)\" = '30 90' ]; do :; done; echo si''zed\r");
    term.shows("sized");
    CONTROLLER.must(&["systemctl", "start", "rabbitmq-server.service", "zun-api.service"]);
    still_works(&mut term, "back");
    term.types("exit 7\r");
    assert_eq!(term.exit(), 7);
    host.comes_up();
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_shell_on_debian_12_is_dialled_directly_and_outlives_every_restart() {
    shell_on(COMPUTE1);
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_shell_on_debian_13_is_dialled_directly_and_outlives_every_restart() {
    shell_on(COMPUTE2);
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_pipe_goes_through_a_container_of_each_host() {
    let zun = zun();
    for host in [COMPUTE1, COMPUTE2] {
        host.comes_up();
        let output =
            zun.piped(&["run", "-i", "--rm", "--host", host.0, "cirros", "cat"], b"through\n");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "through\n", "{host:?}: {output:?}");
        assert!(output.status.success(), "{host:?}");
    }
}

/// The first command on a terminal sees its size. On Debian 12, zun-runtime sets it: it runs as root and reads the file
/// that the agent, which is not root, has written.
#[test]
#[ignore = "needs `make testbed-up`"]
fn the_first_command_of_a_terminal_on_each_host_sees_its_size() {
    let zun = zun();
    for host in [COMPUTE1, COMPUTE2] {
        host.comes_up();
        let run = ["run", "-i", "--rm", "--host", host.0, "cirros", "stty", "size"];
        for _ in 0..5 {
            let mut term = zun.term(&run, (33, 101));
            term.shows("33 101");
            assert_eq!(term.exit(), 0, "{host:?}");
        }
        let name = zun.name("sized");
        let name = name.as_str();
        zun.must(&["run", "-d", "--host", host.0, "--name", name, "cirros", "sleep", "600"]);
        for _ in 0..5 {
            let mut term = zun.term(&["exec", "-i", name, "stty", "size"], (33, 101));
            term.shows("33 101");
            assert_eq!(term.exit(), 0, "{host:?}");
        }
    }
    let engine = COMPUTE1.must(&["docker", "info", "-f", "{{json .Runtimes}}"]);
    assert!(engine.contains("/usr/local/bin/zun-runtime"), "{engine}");
    let sizes = COMPUTE1.must(&["stat", "-c", "%a %U", "/var/lib/zun-compute/sizes"]);
    assert_eq!(sizes, "700 zun-compute");
}

/// The agent is not root, but it may signal the processes of containers and no others.
#[test]
#[ignore = "needs `make testbed-up`"]
fn a_signal_reaches_an_exec_of_each_host() {
    let script = "trap 'echo got; exit 9' TERM; echo ready; while :; do sleep 0.1; done";
    let zun = zun();
    for host in [COMPUTE1, COMPUTE2] {
        host.comes_up();
        let name = zun.name("signal");
        zun.must(&[
            "run",
            "-d",
            "--host",
            host.0,
            "--name",
            name.as_str(),
            "cirros",
            "sleep",
            "600",
        ]);
        let mut exec = zun
            .command(&["exec", "-i", name.as_str(), "sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("zun runs");
        let mut lines = BufReader::new(exec.stdout.take().expect("a pipe")).lines();
        let mut says = || lines.next().expect("a line").expect("text");
        assert_eq!(says(), "ready", "{host:?}");
        kill_process(Pid::from_child(&exec), Signal::TERM).expect("zun runs");
        assert_eq!(says(), "got", "{host:?}");
        assert_eq!(exec.wait().expect("zun ends").code(), Some(9), "{host:?}");
    }
}
