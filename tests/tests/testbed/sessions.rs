//! A shell on another host, dialled directly.

use zun_tests::pty::Pty;

use super::support::{COMPUTE1, COMPUTE2, CONTROLLER, Host, bed};

const SIZE: (u16, u16) = (24, 80);

fn still_works(term: &mut Pty, word: &str) {
    let (head, tail) = word.split_at(2);
    term.types(format!("echo {head}''{tail}\r"));
    term.shows(word);
}

fn shell_on(host: Host) {
    host.comes_up();
    let bed = bed();
    let name = bed.name("shell");
    let arguments = ["run", "-i", "--host", host.0, "--name", name.as_str(), "cirros", "/bin/sh"];
    let mut term = bed.term(&arguments, SIZE);
    term.shows("/ #");
    assert_eq!(bed.field(name.as_str(), "host"), host.0);
    still_works(&mut term, "before");
    CONTROLLER.restart("zun-api.service");
    still_works(&mut term, "new-api");
    host.restart("zun-compute.service");
    still_works(&mut term, "new-agent");
    CONTROLLER.restart("rabbitmq-server.service");
    still_works(&mut term, "new-rabbit");
    // Without any controller at all: the bytes cannot have gone through it.
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
    let bed = bed();
    for host in [COMPUTE1, COMPUTE2] {
        host.comes_up();
        let output =
            bed.piped(&["run", "-i", "--rm", "--host", host.0, "cirros", "cat"], b"through\n");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "through\n", "{host:?}: {output:?}");
        assert!(output.status.success(), "{host:?}");
    }
}
