//! Tests that uninstall as docs/install.md describes and install again. They run last, by name, because each reinstalls
//! the hosts.

use super::support::{COMPUTE1, COMPUTE2, CONTROLLER, Host, new_token, zun};

const INSTALL: &str = "/root/zun/install.sh";
/// Lists everything that Zun may have installed, with checksums.
const TREE: &str = "cd / && find etc/zun etc/docker etc/rabbitmq etc/systemd/system etc/sysusers.d etc/tmpfiles.d \
    usr/local var/lib/zun var/lib/zun-compute var/lib/zun-docker-setup -xdev ! -name lock \
    -printf '%p %y %m %U:%G %l\\n' 2>/dev/null | sort; \
    find etc/zun etc/docker etc/rabbitmq etc/systemd/system usr/local -xdev -type f -exec sha256sum {} + 2>/dev/null | sort; \
    systemctl list-unit-files --no-legend 'zun*'; getent passwd | grep ^zun";
/// Lists everything that a purge must remove.
const LEFT: &str = "ls -d /etc/zun /etc/rabbitmq/zun /etc/rabbitmq/conf.d/zun.conf /var/lib/zun /var/lib/zun-compute \
    /var/lib/zun-docker-setup /usr/local/bin/zun-* /usr/local/share/zun /usr/local/share/doc/zun \
    /etc/systemd/system/*zun* /etc/systemd/system/*/*zun* /etc/sysusers.d/zun* /etc/tmpfiles.d/zun* 2>/dev/null; \
    getent passwd | grep ^zun; systemctl list-unit-files --no-legend 'zun*'; :";

impl Host {
    fn tree(self) -> String {
        self.script(&format!("{TREE}; :"))
    }

    fn install(self, arguments: &str) -> String {
        self.script(&format!("{INSTALL} {arguments}"))
    }

    fn dry_run_changes_nothing(self, arguments: &str) {
        let before = self.tree();
        let output = self.install(&format!("{arguments} --dry-run"));
        assert!(output.contains("zun: would "), "{self:?} {arguments}: {output}");
        assert!(!output.contains("zun: remove") && !output.contains("zun: stop"), "{output}");
        assert_eq!(self.tree(), before, "{self:?} {arguments}");
        if self == CONTROLLER {
            assert_eq!(self.property("zun-api.service", "ActiveState"), "active");
        } else {
            assert_eq!(self.property("zun-compute.service", "ActiveState"), "active");
        }
    }

    /// Enrols and installs the host as docs/install.md says.
    fn is_enrolled_and_installed(self) {
        CONTROLLER.install(&format!("host {} --name {}", self.0, self.address()));
        let tar = format!("/etc/zun/enrolments/{}.tar", self.0);
        let enrolment = CONTROLLER.run(&["cat", &tar]).stdout;
        self.receives(&format!("/root/{}.tar", self.0), &enrolment);
        self.install(&format!(
            "compute --enrolment /root/{0}.tar --address {1}:2376 --name {0}",
            self.0,
            self.address()
        ));
        self.comes_up();
        let greeting = zun().must(&["run", "--rm", "--host", self.0, "cirros", "echo", "new"]);
        assert_eq!(greeting, "new\n", "{self:?}");
    }
}

fn uninstall_and_reinstall(host: Host) {
    host.dry_run_changes_nothing("compute --uninstall");
    host.dry_run_changes_nothing("compute --uninstall --purge");
    let name = zun().name("stays");
    zun().must(&[
        "run",
        "-d",
        "--host",
        host.0,
        "--name",
        name.as_str(),
        "cirros",
        "sleep",
        "6000",
    ]);
    let id = host.must(&["docker", "ps", "-q", "--no-trunc"]);
    let process =
        || host.must(&["docker", "inspect", "-f", "{{.State.Running}} {{.State.Pid}}", &id]);
    let before = process();
    let sized = host == COMPUTE1;

    let output = host.install("compute --uninstall");
    assert_eq!(output.contains("kept: /usr/local/bin/zun-runtime"), sized, "{output}");
    assert_eq!(output.contains("created with the runtime zun-sized"), sized, "{output}");
    assert!(output.contains("kept: /etc/zun"), "{output}");
    assert_eq!(process(), before, "containers must keep running");
    assert_eq!(host.must(&["docker", "exec", &id, "echo", "usable"]), "usable");
    let left = host.script(LEFT);
    let expected = if sized { "/usr/local/bin/zun-runtime" } else { "/var/lib/zun-compute" };
    assert!(left.contains(expected), "{left}");
    for gone in ["bin/zun-compute", "bin/zun-authz", "system/", "tmpfiles.d", "sysusers.d", "share"]
    {
        assert!(!left.contains(gone), "{host:?} {gone}: {left}");
    }
    assert_eq!(host.script("ss -Hltn 'sport = :2376'"), "", "the port is closed");
    host.must(&["stat", "/etc/zun/zun-compute.toml", "/etc/zun/bus-ca.pem"]);

    // The settings were kept, so no enrolment is needed.
    host.install("compute");
    host.comes_up();
    assert_eq!(process(), before, "containers must keep running");
    assert_eq!(zun().must(&["exec", name.as_str(), "echo", "again"]), "again\n");
    drop(name);

    let output = host.install("compute --uninstall --purge");
    assert!(!output.contains("kept:"), "{output}");
    assert_eq!(host.script(LEFT), "", "{host:?}");
    assert_eq!(
        host.script("find /etc/docker -name daemon.json"),
        "",
        "there was no daemon.json before the installation"
    );
    let output = host.install("compute --uninstall --purge");
    assert!(!output.contains("zun: stop"), "the second call must do nothing: {output}");

    CONTROLLER.dry_run_changes_nothing(&format!("host {} --uninstall", host.0));
    CONTROLLER.install(&format!("host {} --uninstall", host.0));
    let user = format!("zun-compute.{}", host.0);
    assert!(!CONTROLLER.script("rabbitmqctl -q list_users").contains(&user), "{host:?}");
    let names = "runuser -u zun-api -- zun-api host list --directory /var/lib/zun/ca";
    assert!(!CONTROLLER.script(names).contains(host.0), "{host:?}");
    let files = CONTROLLER.script("ls /etc/zun/enrolments /etc/zun/bus/users");
    assert!(!files.contains(host.0), "{files}");

    host.is_enrolled_and_installed();
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_compute_host_can_be_uninstalled_and_installed_again() {
    uninstall_and_reinstall(COMPUTE1);
    uninstall_and_reinstall(COMPUTE2);
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn the_controller_can_be_uninstalled_and_installed_again() {
    let install = format!("controller --name controller --name {}", CONTROLLER.address());
    CONTROLLER.dry_run_changes_nothing("controller --uninstall");
    CONTROLLER.dry_run_changes_nothing("controller --uninstall --purge");
    let before = CONTROLLER.tree();

    let output = CONTROLLER.install("controller --uninstall");
    assert!(output.contains("kept: /etc/zun, /var/lib/zun"), "{output}");
    let left = CONTROLLER.script(LEFT);
    assert!(!left.contains("bin/zun-api") && !left.contains("conf.d/zun.conf"), "{left}");
    assert!(left.contains("/etc/zun") && left.contains("/var/lib/zun"), "{left}");
    assert_eq!(CONTROLLER.script("ss -Hltn '( sport = :5671 or sport = :9517 )'"), "");
    CONTROLLER.install(&install);
    // The database, CA, users and tokens were kept, so the hosts come back by themselves.
    for host in [COMPUTE1, COMPUTE2] {
        host.comes_up();
        let greeting = zun().must(&["run", "--rm", "--host", host.0, "cirros", "echo", "kept"]);
        assert_eq!(greeting, "kept\n", "{host:?}");
    }
    let (rows, after) = (
        |text: &str| text.lines().filter(|line| !line.contains("sqlite")).count(),
        CONTROLLER.tree(),
    );
    assert_eq!(rows(&after), rows(&before), "{after}\n{before}");

    CONTROLLER.install("controller --uninstall --purge");
    assert_eq!(CONTROLLER.script(LEFT), "");
    let output = CONTROLLER.script("rabbitmqctl -q list_users; rabbitmqctl -q list_vhosts");
    assert!(!output.contains("zun"), "{output}");
    assert!(CONTROLLER.script("ls /usr/local/bin/zun").contains("zun"), "zun must stay");

    // A new controller has another CA, other users and another token, so the hosts are reinstalled.
    CONTROLLER.install(&install);
    new_token();
    for host in [COMPUTE1, COMPUTE2] {
        host.install("compute --uninstall --purge");
        host.is_enrolled_and_installed();
    }
}
