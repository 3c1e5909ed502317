//! Tests of operations on installed hosts: a new version, a new password, a listener that stays closed.

use zun_tests::eventually::eventually;

use super::support::{COMPUTE1, COMPUTE2, CONTROLLER, Host, zun};

const INSTALL: &str = "/root/zun/install.sh";
const SETUP: &str = "/usr/local/bin/zun-compute --config /etc/zun/zun-compute.toml docker-setup";
const SETTINGS: &str = "/etc/zun/zun-compute.toml";

impl Host {
    fn closed(self) -> bool {
        self.script("ss -Hltn 'sport = :2376'").is_empty()
    }

    fn active(self, unit: &str) -> bool {
        // systemd does not answer while a host boots.
        self.run(&["systemctl", "is-active", "-q", unit]).status.success()
    }

    /// Runs a command, asserts that it fails, and returns its output.
    fn fails(self, command: &str) -> String {
        let output = self.run(&["sh", "-c", &format!("({command}) 2>&1")]);
        let message = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "{self:?} {command}: {message}");
        message
    }

    fn opens_a_console(self) {
        let greeting = zun().must(&["run", "--rm", "--host", self.0, "cirros", "echo", "open"]);
        assert_eq!(greeting, "open\n", "{self:?}");
    }

    /// Copies the host's enrolment to it and returns its path.
    fn has_enrolment(self) -> String {
        let tar = CONTROLLER.run(&["cat", &format!("/etc/zun/enrolments/{}.tar", self.0)]).stdout;
        let place = format!("/root/{}.tar", self.0);
        self.receives(&place, &tar);
        place
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn installing_a_new_zun_authz_restarts_it_but_not_docker() {
    for host in [COMPUTE1, COMPUTE2] {
        host.script("printf x >>/root/zun/bin/zun-authz");
        let units = ["docker.service", "zun-authz.socket"];
        let before = units.map(|unit| host.property(unit, "InvocationID"));
        let output = host.script(&format!("{INSTALL} compute"));
        assert!(output.contains("restart zun-authz.service"), "{output}");
        let pid = host.property("zun-authz.service", "MainPID");
        assert_eq!(
            host.must(&["readlink", &format!("/proc/{pid}/exe")]),
            "/usr/local/bin/zun-authz"
        );
        host.must(&["cmp", &format!("/proc/{pid}/exe"), "/root/zun/bin/zun-authz"]);
        assert_eq!(units.map(|unit| host.property(unit, "InvocationID")), before, "{host:?}");
        host.opens_a_console();
        let output = host.script(&format!("{INSTALL} compute"));
        assert!(!output.contains("restart zun-authz.service"), "{output}");
        assert_eq!(host.property("zun-authz.service", "MainPID"), pid);
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn an_undone_setup_stays_undone_after_restarts() {
    for host in [COMPUTE1, COMPUTE2] {
        let output = host.script(&format!("{SETUP} --undo"));
        assert!(output.contains("until you run it by hand"), "{output}");
        assert!(host.closed());
        host.restart("zun-compute.service");
        assert!(host.closed(), "{host:?} after a restart of the agent");
        host.boot();
        eventually("the agent is back", || host.active("zun-compute.service"));
        assert!(host.active("docker.service") && host.closed(), "{host:?} after a boot");
        assert_eq!(host.property("zun-docker-setup.service", "ConditionResult"), "no");
        eventually("the agent says why", || {
            host.trouble().is_some_and(|why| why.contains("docker-setup --undo"))
        });
        let output = host.script(&format!("{INSTALL} compute"));
        assert!(output.contains("stays closed") && host.closed(), "{output}");
        host.script(SETUP);
        assert!(!host.closed());
        host.comes_up();
        host.restart("zun-compute.service");
        host.comes_up();
        host.opens_a_console();
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_host_without_settings_can_be_uninstalled_and_its_docker_still_starts() {
    for host in [COMPUTE1, COMPUTE2] {
        host.script(&format!("mv {SETTINGS} /root/kept.toml"));
        host.script(&format!("{INSTALL} compute --uninstall"));
        assert!(host.closed());
        host.script("ls -d /etc/systemd/system/*zun* /var/lib/zun-docker-setup && exit 1; :");
        host.restart("docker.service");
        host.must(&["docker", "version"]);
        host.script(&format!("mv /root/kept.toml {SETTINGS}"));
        host.script(&format!("{INSTALL} compute"));
        host.comes_up();
        host.opens_a_console();
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn without_its_record_the_plugins_units_and_drop_in_are_kept() {
    let record = "/var/lib/zun-docker-setup/former.json";
    COMPUTE1.script(&format!("mv {record} /root/former.json"));
    let message = COMPUTE1.fails(&format!("{INSTALL} compute --uninstall"));
    assert!(message.contains("docker.service.d/zun.conf exists"), "{message}");
    COMPUTE1.must(&["stat", "/etc/systemd/system/zun-authz.socket"]);
    COMPUTE1.restart("docker.service");
    COMPUTE1.script(&format!("mv /root/former.json {record}"));
    COMPUTE1.script(&format!("{INSTALL} compute"));
    COMPUTE1.comes_up();
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_hosts_rabbitmq_password_can_be_changed_and_the_old_one_stops_working() {
    let host = COMPUTE2;
    let user = format!("zun-compute.{}", host.0);
    let (file, old) = (format!("/etc/zun/bus/users/{user}"), "/root/old-password");
    for change in [format!("{INSTALL} host {} --new-password", host.0), {
        // The controller has lost the password file, so nobody knows the broker's password.
        format!("rm {file} && {INSTALL} host {}", host.0)
    }] {
        let before = host.must(&["cat", SETTINGS]);
        CONTROLLER.script(&format!("cp {file} {old}"));
        let authenticates = format!("rabbitmqctl -q authenticate_user {user} <{old}");
        CONTROLLER.script(&authenticates);
        let output = CONTROLLER.script(&change);
        assert!(output.contains("close its connections"), "{output}");
        CONTROLLER.fails(&authenticates);
        eventually("the old one's connection is gone", || {
            host.property("zun-compute.service", "StatusText").contains("bus")
                && !host.property("zun-compute.service", "StatusText").contains("is connected")
        });

        let tar = host.has_enrolment();
        host.script(&format!("head -c 1600 {tar} >/root/cut.tar"));
        let message = host.fails(&format!("{INSTALL} compute --enrolment /root/cut.tar"));
        assert!(message.contains("is not an enrolment"), "{message}");
        assert_eq!(host.must(&["cat", SETTINGS]), before, "no file may change");
        host.script(&format!("{INSTALL} compute --enrolment {tar}"));
        host.comes_up();
        let after = host.must(&["cat", SETTINGS]);
        let changed: Vec<_> =
            before.lines().zip(after.lines()).filter(|(old, new)| old != new).collect();
        assert_eq!((changed.len(), before.lines().count()), (1, after.lines().count()));
        assert!(changed.iter().all(|(_, new)| new.starts_with("url = \"amqps://")));
        CONTROLLER.script(&format!("rm {old}"));
    }
    let tar = CONTROLLER.run(&["cat", &format!("/etc/zun/enrolments/{}.tar", host.0)]).stdout;
    COMPUTE1.receives("/root/others.tar", &tar);
    let message = COMPUTE1.fails(&format!("{INSTALL} compute --enrolment /root/others.tar"));
    assert!(message.contains("is for compute2"), "{message}");
    COMPUTE1.script("rm /root/others.tar");
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn the_rabbitmq_password_of_zun_api_can_be_changed() {
    let before = CONTROLLER.must(&["cat", "/etc/zun/zun-api.toml"]);
    let address = CONTROLLER.address();
    let again = format!("controller --name controller --name {address} --new-password");
    let output = CONTROLLER.script(&format!("{INSTALL} {again}"));
    assert!(output.contains("change the password of the RabbitMQ user zun-api"), "{output}");
    assert_ne!(CONTROLLER.must(&["cat", "/etc/zun/zun-api.toml"]), before);
    for host in [COMPUTE1, COMPUTE2] {
        host.comes_up();
        host.opens_a_console();
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn only_the_owner_of_the_ca_can_write_it() {
    let place = "--directory /var/lib/zun/ca";
    let files = "ls -lR /var/lib/zun/ca";
    let before = CONTROLLER.script(files);
    for command in ["ca rotate prepare", "host enrol compute9", "host remove compute1"] {
        let message = CONTROLLER.fails(&format!("/usr/local/bin/zun-api {command} {place}"));
        assert!(message.contains("runuser -u zun-api"), "{message}");
    }
    assert_eq!(CONTROLLER.script(files), before);
}
