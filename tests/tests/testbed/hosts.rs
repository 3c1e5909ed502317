//! Tests of the hosts as `install.sh` installs them, and of what systemd does for the services.

use zun_tests::eventually::eventually;

use super::support::{COMPUTE1, COMPUTE2, CONTROLLER, Host, zun};

const SERVICES: [(Host, &str); 3] =
    [(CONTROLLER, "zun-api"), (COMPUTE1, "zun-compute"), (COMPUTE2, "zun-compute")];

#[test]
#[ignore = "needs `make testbed-up`"]
fn the_services_run_as_their_own_users_and_report_their_status() {
    for (host, service) in SERVICES {
        let unit = format!("{service}.service");
        assert_eq!(host.property(&unit, "ActiveState"), "active", "{host:?}");
        assert_eq!(host.property(&unit, "User"), service);
        eventually("it says that it serves", || {
            let message = host.property(&unit, "StatusText");
            message.starts_with("listening on") || message == "Docker answers; the bus is connected"
        });
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn no_unit_has_failed_on_any_host() {
    for host in [CONTROLLER, COMPUTE1, COMPUTE2] {
        assert_eq!(host.must(&["systemctl", "--failed", "--no-legend", "--plain"]), "", "{host:?}");
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn only_the_owner_can_read_secrets() {
    let secrets = [
        (CONTROLLER, "/etc/zun/zun-api.toml", "600 root"),
        (CONTROLLER, "/etc/zun/tokens.toml", "600 zun-api"),
        (CONTROLLER, "/etc/zun/admin.env", "600 root"),
        (CONTROLLER, "/etc/zun/enrolments/compute1.tar", "600 root"),
        (CONTROLLER, "/etc/zun/bus/ca.key", "600 root"),
        (CONTROLLER, "/var/lib/zun/ca/ca.key", "600 zun-api"),
        (COMPUTE1, "/etc/zun/zun-compute.toml", "600 root"),
        (COMPUTE2, "/etc/zun/zun-compute.toml", "600 root"),
    ];
    for (host, file, expected) in secrets {
        assert_eq!(host.must(&["stat", "-c", "%a %U", file]), expected, "{host:?} {file}");
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn installing_again_changes_nothing() {
    let again = [
        (CONTROLLER, "/root/zun/install.sh controller --name controller --name $(hostname -I)"),
        (CONTROLLER, "/root/zun/install.sh host compute1"),
        (COMPUTE1, "/root/zun/install.sh compute"),
        (COMPUTE2, "/root/zun/install.sh compute"),
    ];
    for (host, command) in again {
        let message = host.must(&["sh", "-c", &format!("{command} --dry-run 2>&1")]);
        let would: Vec<&str> = message.lines().filter(|line| line.contains("zun: would")).collect();
        // docker-setup runs each time and prints its own changes.
        let would: Vec<&&str> =
            would.iter().filter(|line| !line.contains("Docker's listener")).collect();
        assert!(would.is_empty(), "{host:?} {command}: {would:?}");
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_host_that_reboots_serves_again_and_has_nothing_to_set_up() {
    for host in [COMPUTE1, COMPUTE2] {
        host.boot();
        let setup = ["journalctl", "-b", "-o", "cat", "-u", "zun-docker-setup.service"];
        eventually("Docker's listener needs nothing", || {
            String::from_utf8_lossy(&host.run(&setup).stdout).contains("nothing was changed")
        });
        host.comes_up();
        let greeting = zun().must(&["run", "--rm", "--host", host.0, "cirros", "echo", "again"]);
        assert_eq!(greeting, "again\n", "{host:?}");
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_service_that_hangs_is_restarted() {
    let plugins = [(COMPUTE1, "zun-authz"), (COMPUTE2, "zun-authz")];
    for (host, service) in SERVICES.into_iter().chain(plugins) {
        let unit = format!("{service}.service");
        let drop_in = format!("/run/systemd/system/{unit}.d");
        let short = format!(
            "mkdir -p {drop_in} && printf '[Service]\\nWatchdogSec=8\\n' >{drop_in}/short.conf"
        );
        host.must(&["sh", "-c", &short]);
        host.must(&["systemctl", "daemon-reload"]);
        host.restart(&unit);
        let before = host.property(&unit, "MainPID");
        host.must(&["kill", "-STOP", &before]);
        eventually("it is restarted", || {
            // The restart count is read first: a service that is being stopped can be active without a process.
            host.property(&unit, "NRestarts") == "1"
                && host.property(&unit, "ActiveState") == "active"
                && host.property(&unit, "MainPID") != before
        });
        if service == "zun-authz" {
            // Docker serves this only if the new process answers its authorization requests.
            assert!(host.run(&["docker", "version"]).status.success(), "{host:?}");
        }
        host.must(&["rm", "-r", &drop_in]);
        host.must(&["systemctl", "daemon-reload"]);
        host.restart(&unit);
    }
}
