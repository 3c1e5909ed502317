//! Docker's listener and its plugin through kills, restarts and boots: order right, and never open alone.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use zun_tests::eventually::eventually;

use super::support::{COMPUTE1, COMPUTE2, Host, bed};

const PLUGIN: &str = "/run/docker/plugins/zun-authz.sock";
const PORT: u16 = 2376;
const EVERY: Duration = Duration::from_millis(1);
const DIAL: Duration = Duration::from_millis(100);

/// Dials a host each millisecond, and looks into its table of unix sockets, from this machine.
struct Watch {
    over: Arc<AtomicBool>,
    looking: JoinHandle<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    looks: u32,
    /// The listener was there.
    open: u32,
    /// It was there, and nobody to be asked.
    open_alone: u32,
    longest_pause: Duration,
}

impl Watch {
    fn on(host: Host) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (told, init) = (Arc::clone(&over), host.init());
        let address = SocketAddr::new(host.address(), PORT);
        Self { over, looking: std::thread::spawn(move || look((address, init), &told)) }
    }

    /// Ends it, and insists that it never saw the listener without the plugin.
    fn ends(self, host: Host) {
        self.over.store(true, Ordering::Relaxed);
        let seen = self.looking.join().expect("it looked");
        println!("{host:?}: {seen:?}");
        assert_eq!(seen.open_alone, 0, "{host:?}: {seen:?}");
        assert!(seen.open > 0 && seen.looks > 10, "{host:?}: {seen:?}");
    }
}

fn look((address, init): (SocketAddr, u32), over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut last = Instant::now();
    while !over.load(Ordering::Relaxed) {
        seen.looks += 1;
        if is_open(address) {
            seen.open += 1;
            // It may have gone between the two looks; then it was not open alone.
            // After a boot it is another host's, with another first process.
            if !is_asked(init) && Path::new(&format!("/proc/{init}")).exists() && is_open(address) {
                seen.open_alone += 1;
            }
        }
        park_timeout(EVERY);
        seen.longest_pause = seen.longest_pause.max(last.elapsed());
        last = Instant::now();
    }
    seen
}

/// Whether somebody takes the connection; it is cut at once, so that nothing of it stays.
fn is_open(address: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect_timeout(&address, DIAL) else { return false };
    set_socket_linger(&stream, Some(Duration::ZERO)).expect("an option");
    true
}

/// Its flag says that it accepts connections.
fn is_asked(init: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{init}/net/unix")).unwrap_or_default();
    text.lines().any(|line| line.ends_with(PLUGIN) && line.contains(" 00010000 "))
}

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
    // Who stops the socket stops Docker first. The agent would have it started again at once.
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
fn the_listener_is_never_open_without_the_plugin_over_dockers_restarts() {
    for host in [COMPUTE1, COMPUTE2] {
        docker_and_socket(host);
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn the_listener_is_never_open_without_the_plugin_over_a_boot() {
    for host in [COMPUTE1, COMPUTE2] {
        let going = Watch::on(host);
        host.boot();
        let coming = Watch::on(host);
        eventually("the host serves", || {
            host.run(&["docker", "version"]).status.success() && is_serving(host)
        });
        going.ends(host);
        coming.ends(host);
        host.comes_up();
        // A certificate and a listener that were good before are good after: nothing is set up anew.
        let words =
            host.must(&["journalctl", "-b", "-u", "zun-docker-setup", "--no-pager", "-o", "cat"]);
        assert!(words.contains("nothing differs, nothing was changed"), "{words}");
    }
}

#[test]
#[ignore = "needs `make testbed-up`"]
fn a_killed_plugin_is_back_within_a_second_and_live_sessions_do_not_notice() {
    for host in [COMPUTE1, COMPUTE2] {
        let bed = bed();
        let name = bed.name("killed-plugin");
        let arguments =
            ["run", "-i", "--host", host.0, "--name", name.as_str(), "cirros", "/bin/sh"];
        let mut term = bed.term(&arguments, (24, 80));
        term.shows("/ #");
        let mut times = Vec::new();
        for round in 0..7 {
            // Answered by Docker, which asks the plugin: milliseconds from the kill. A question that the plugin had
            // when it died is refused.
            let script = "systemctl kill -s KILL zun-authz.service; a=$(date +%s%N); \
                until curl -sf -m 5 --unix-socket /run/docker.sock http://docker/_ping >/dev/null; do \
                [ $(( ($(date +%s%N) - a) / 1000000 )) -lt 20000 ] || exit 1; done; \
                b=$(date +%s%N); echo $(( (b - a) / 1000000 ))";
            let took: u32 = host.must(&["sh", "-c", script]).parse().expect("milliseconds");
            times.push(took);
            term.types(format!("echo still''{round}\r"));
            term.shows(&format!("still{round}"));
        }
        times.sort_unstable();
        println!("{host:?}: back after {times:?} ms");
        assert!(times[times.len() / 2] < 1000, "{host:?}: {times:?}");
        term.types("exit 5\r");
        assert_eq!(term.exit(), 5);
    }
}
