//! Options of `zun run` that reach the engine, seen from inside the container.

use zun_tests::eventually::eventually;
use zun_tests::zun_cli::ZunCli;

fn prints(flags: &[&str], script: &str) -> String {
    let zun = ZunCli::shared();
    let command = [&["run", "--rm"], flags, &["cirros", "sh", "-c", script]].concat();
    let run = || zun.run(&command);
    let finished = zun.retry_if_engine_lost_output(run, |finished| !finished.stdout.is_empty());
    assert_eq!(finished.code, 0, "{finished:?}");
    finished.stdout
}

#[test]
fn limits_and_names_hold_inside_the_container() {
    let flags = [
        "--tmpfs",
        "/scratch:size=8m",
        "--shm-size",
        "32m",
        "--ulimit",
        "nofile=77:99",
        "--hostname",
        "box",
        "--domainname",
        "example.org",
        "--add-host",
        "db:10.0.0.1",
        "--dns",
        "10.0.0.2",
        "--dns-search",
        "example.net",
        "--dns-option",
        "ndots:3",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--group-add",
        "4242",
        "--sysctl",
        "net.ipv4.ip_default_ttl=33",
        "--pids-limit",
        "50",
    ];
    let script = "grep ' /scratch ' /proc/mounts; grep ' /dev/shm ' /proc/mounts; ulimit -n; ulimit -Hn; \
                  hostname; grep db /etc/hosts; cat /etc/resolv.conf; cat /proc/sys/net/ipv4/ip_default_ttl; \
                  grep -E '^(CapEff|NoNewPrivs|Groups)' /proc/self/status; \
                  cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null; true";
    let seen = prints(&flags, script);
    for wanted in [
        "tmpfs /scratch tmpfs rw,nosuid,nodev,noexec,relatime,size=8192k",
        "size=32768k",
        "\n77\n99\nbox",
        "10.0.0.1\tdb",
        "nameserver 10.0.0.2",
        "search example.net",
        "options ndots:3",
        "\n33\n",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "4242",
        "\n50\n",
    ] {
        assert!(seen.contains(wanted), "{wanted:?} is missing in {seen}");
    }
}

#[test]
fn what_reaches_the_host_is_refused_with_the_name_of_its_rule() {
    let zun = ZunCli::shared();
    for (flags, rule) in [
        (&["--privileged"][..], "container:create:privileged"),
        (&["--cap-add", "SYS_ADMIN"], "container:create:cap_add"),
        (&["--device", "/dev/kmsg"], "container:create:device"),
        (&["--pid", "host"], "container:create:pid_mode"),
    ] {
        let finished = zun.run(&[&["run", "--rm"], flags, &["cirros", "true"]].concat());
        assert_eq!(finished.code, 125, "{finished:?}");
        assert!(finished.stderr.contains(rule), "{finished:?}");
    }
}

#[test]
fn health_is_listed_and_follows_the_check() {
    let zun = ZunCli::shared();
    let name = zun.name("health");
    let check =
        ["--health-cmd", "test -e /tmp/well", "--health-interval", "1s", "--health-retries", "1"];
    let run = [&["run", "-d", "--name", name.as_str()], &check[..], &["cirros", "sleep", "1000"]];
    zun.must(&run.concat());
    let listed = |health: &str| {
        let list = zun.must(&["list", "--name", name.as_str()]);
        list.contains(&format!("({health})"))
    };
    eventually("it is unhealthy", || listed("unhealthy"));
    zun.must(&["exec", name.as_str(), "touch", "/tmp/well"]);
    eventually("it is healthy", || listed("healthy"));
    let detail = zun.field(name.as_str(), "status_detail");
    assert!(detail.as_str().is_some_and(|it| it.ends_with(" (healthy)")), "{detail}");
    assert!(zun.field(name.as_str(), "addresses")["bridge"][0]["addr"].is_string());
}

#[test]
fn an_unhealthy_container_is_restarted_and_the_restart_is_among_its_actions() {
    let zun = ZunCli::shared();
    let name = zun.name("heal");
    let check = ["--health-cmd", "test -e /tmp/well", "--health-interval", "1s"];
    let options = ["run", "-d", "--name", name.as_str(), "--auto-heal", "--health-retries", "1"];
    let script = "touch /tmp/well; sleep 3; rm /tmp/well; sleep 600";
    let command = ["--stop-timeout", "0", "cirros", "sh", "-c", script];
    zun.must(&[&options[..], &check, &command].concat());
    let first = zun.field(name.as_str(), "started_at");
    eventually("it is restarted", || {
        zun.must(&["action", "list", name.as_str()]).contains("reboot")
            && zun.field(name.as_str(), "status") == "Running"
            && zun.field(name.as_str(), "started_at") != first
    });
    zun.must(&["delete", "--force", name.as_str()]);
}
