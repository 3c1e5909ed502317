//! Docker's listener and its plugin during kills, restarts and boots. The listener is never open without the plugin.

use zun_tests::eventually::eventually;

use super::support::{COMPUTE1, COMPUTE2, Host, zun};
use super::watch::Watch;

fn is_serving(host: Host) -> bool {
    let active = |unit| host.property(unit, "ActiveState") == "active";
    active("docker.service") && active("zun-authz.socket") && active("zun-compute.service")
}

fn docker_and_socket(host: Host) {
    let watch = Watch::on(host);
    for _ in 0..3 {
        host.must(&["systemctl", "reset-failed", "docker.service"]);
        host.restart("docker.service");
    }
    host.must(&["systemctl", "kill", "-s", "KILL", "docker.service"]);
    eventually("Docker is back", || host.run(&["docker", "version"]).status.success());
    // Stopping the socket stops Docker first. The agent is stopped, because it would start Docker again at once.
    host.must(&["systemctl", "reset-failed", "docker.service"]);
    host.must(&["systemctl", "stop", "zun-compute.service"]);
    host.must(&["systemctl", "stop", "zun-authz.socket"]);
    assert_eq!(host.property("docker.service", "ActiveState"), "inactive");
    host.must(&["systemctl", "start", "docker.service", "zun-compute.service"]);
    assert_eq!(host.property("zun-authz.socket", "ActiveState"), "active");
    eventually("the host serves", || is_serving(host));
    watch.ends(host);
    host.comes_up();
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn the_listener_is_never_open_without_the_plugin_while_docker_restarts() {
    for host in [COMPUTE1, COMPUTE2] {
        docker_and_socket(host);
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn the_listener_is_never_open_without_the_plugin_during_boot() {
    for host in [COMPUTE1, COMPUTE2] {
        let going = Watch::on(host);
        host.boot();
        let coming = Watch::on(host);
        assert!(!coming.found_it_open(), "{host:?}: the listener was open before the watch");
        eventually("the host serves", || {
            host.run(&["docker", "version"]).status.success() && is_serving(host)
        });
        going.ends(host);
        coming.ends(host);
        host.comes_up();
        // The certificate and the listener are still valid, so nothing is set up again.
        let message =
            host.must(&["journalctl", "-b", "-u", "zun-docker-setup", "--no-pager", "-o", "cat"]);
        assert!(message.contains("nothing was changed"), "{message}");
    }
}

/// Kills the plugin. Prints two durations in milliseconds: until the plugin answers, and until Docker answers.
const KILLED: &str = "systemctl kill -s KILL zun-authz.service; a=$(date +%s%N); \
    ( n=0; until curl -sf -m 5 --unix-socket /run/docker.sock http://docker/_ping >/dev/null; do \
    n=$((n + 1)); [ $n -lt 5000 ] || exit 1; done; date +%s%N >/run/docker-back ) & \
    n=0; until zun-authz --stats >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 5000 ] || exit 1; done; \
    b=$(date +%s%N); wait; c=$(cat /run/docker-back); \
    echo $(( (b - a) / 1000000 )) $(( (c - a) / 1000000 ))";

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_killed_plugin_is_back_within_a_second_and_sessions_survive() {
    for host in [COMPUTE1, COMPUTE2] {
        let zun = zun();
        let name = zun.name("killed-plugin");
        let arguments =
            ["run", "-i", "--host", host.0, "--name", name.as_str(), "cirros", "/bin/sh"];
        let mut term = zun.term(&arguments, (24, 80));
        term.shows("/ #");
        let mut times = Vec::new();
        for round in 0..7 {
            let took = host.must(&["sh", "-c", KILLED]);
            let took: Vec<u32> =
                took.split(' ').map(|part| part.parse().expect("milliseconds")).collect();
            times.push((took[0], took[1]));
            term.types(format!("echo still''{round}\r"));
            term.shows(&format!("still{round}"));
        }
        println!("{host:?}: the plugin and Docker answer after {times:?} ms");
        // dockerd retries a request to the killed plugin after one second.
        let in_time = |(plugin, docker): &(u32, u32)| *plugin < 1000 && *docker < 2000;
        assert!(times.iter().all(in_time), "{host:?}: {times:?}");
        assert!(
            times.iter().filter(|(_, docker)| *docker < 1000).count() > 3,
            "{host:?}: {times:?}"
        );
        term.types("exit 5\r");
        assert_eq!(term.exit(), 5);
    }
}
