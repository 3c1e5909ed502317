//! Published ports with real traffic.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use zun_tests::eventually::eventually;
use zun_tests::zun_cli::{Name, ZunCli};

/// Returns what the container sends to a new connection.
fn reads(address: SocketAddr) -> Option<String> {
    let timeout = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, timeout).ok()?;
    stream.set_read_timeout(Some(timeout)).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text).filter(|text| !text.is_empty())
}

#[test]
fn a_published_port_leads_to_the_container_also_after_a_restart() {
    let zun = ZunCli::shared();
    let name = zun.name("port");
    let serve = "while true; do echo hello from $HOSTNAME | nc -l -p 80; done";
    zun.must(&[
        "run",
        "-d",
        "--name",
        name.as_str(),
        "--hostname",
        "box",
        "-p",
        "80",
        "cirros",
        "sh",
        "-c",
        serve,
    ]);
    let address = zun.must(&["port", name.as_str(), "80"]);
    let address: SocketAddr = address.trim().parse().expect("an address");
    assert!(address.ip().is_loopback() && (20_000..30_000).contains(&address.port()), "{address}");
    let greets = || reads(address).is_some_and(|text| text.starts_with("hello from "));
    eventually("the container answers", greets);
    zun.must(&["restart", "--time", "1", name.as_str()]);
    assert_eq!(zun.must(&["port", name.as_str()]), format!("80/tcp -> {address}\n"));
    eventually("the container answers again", greets);
    let own = zun.field(name.as_str(), "addresses")["bridge"][0]["addr"].clone();
    assert!(own.as_str().is_some_and(|own| own.parse::<std::net::IpAddr>().is_ok()), "{own}");
    let taken =
        zun.run(&["run", "--rm", "-p", &format!("{}:90", address.port()), "cirros", "true"]);
    assert_eq!(taken.code, 125, "{taken:?}");
    assert!(taken.stderr.contains(&format!("port {address}/tcp is in use")), "{taken:?}");
    let missing = zun.run(&["port", name.as_str(), "81"]);
    assert_eq!(missing.code, 1, "{missing:?}");
}

#[test]
fn all_ports_of_an_image_are_published_on_the_hosts_own_address() {
    let zun = ZunCli::shared();
    let image = format!("exposes-{}", std::process::id());
    let socket = format!("unix://{}", zun.engine_socket().display());
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").args(["-H", &socket]).args(arguments).output();
        let output = output.expect("docker runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    };
    let base = docker(&["create", "cirros"]);
    docker(&["commit", "-c", "EXPOSE 80 81/udp", &base, &image]);
    docker(&["rm", &base]);
    let name = zun.name("ports");
    let serve = "while true; do echo hello from $HOSTNAME | nc -l -p 80; done";
    let flags = ["run", "-d", "-P", "--expose", "90-91", "-p", "91", "--name", name.as_str()];
    zun.must(&[&flags[..], &[&image, "sh", "-c", serve]].concat());
    let ports = || {
        let shown = zun.must(&["port", name.as_str()]);
        let line = |line: &str| {
            let (port, address) = line.split_once(" -> ").expect("a port");
            (port.to_owned(), address.parse::<SocketAddr>().expect("an address"))
        };
        shown.lines().map(line).collect::<BTreeMap<_, _>>()
    };
    let all = ["80/tcp", "81/udp", "90/tcp", "91/tcp"];
    for again in [false, true] {
        if again {
            zun.must(&["restart", "--time", "1", name.as_str()]);
        }
        eventually("all ports are published", || ports().keys().eq(all.iter().copied()));
        let shown = ports();
        assert!(shown.values().all(|address| address.ip().is_loopback()), "{shown:?}");
        assert!((20_000..30_000).contains(&shown["91/tcp"].port()), "{shown:?}");
        let greets = || {
            ports()
                .get("80/tcp")
                .and_then(|address| reads(*address))
                .is_some_and(|text| text.starts_with("hello"))
        };
        eventually("the container answers", greets);
    }
    zun.must(&["delete", "--stop", name.as_str()]);
    docker(&["rmi", "-f", &image]);
}

#[test]
fn a_host_publishes_only_on_the_address_that_its_operator_has_set() {
    let zun = ZunCli::shared();
    let beyond = zun.run(&["run", "--rm", "-p", "0.0.0.0:8765:80", "cirros", "true"]);
    assert_eq!(beyond.code, 125, "{beyond:?}");
    assert!(beyond.stderr.contains("publishes ports on 127.0.0.1 only"), "{beyond:?}");
}

#[test]
fn a_port_is_free_once_a_slow_container_was_stopped_and_deleted() {
    let zun = ZunCli::shared();
    let names = [zun.name("slow"), zun.name("next")];
    let [slow, next] = names.each_ref().map(Name::as_str);
    // The first process of a container ignores SIGTERM, so Docker kills it after its 10 seconds: later than the agent
    // answers.
    zun.must(&["run", "-d", "--name", slow, "-p", "80", "cirros", "sleep", "1000"]);
    let address = zun.must(&["port", slow, "80"]);
    let address: SocketAddr = address.trim().parse().expect("an address");
    zun.must(&["delete", "--stop", slow]);
    let port = format!("{}:80", address.port());
    zun.must(&["run", "-d", "--name", next, "-p", &port, "cirros", "sleep", "1000"]);
    zun.must(&["delete", "--force", next]);
}

/// Copies this machine's Perl, with its loader and libraries, into a directory. The test image has no program that
/// listens on UDP.
fn copy_perl(directory: &Path) {
    let perl = "/usr/bin/perl";
    let output = Command::new("ldd").arg(perl).output().expect("ldd runs");
    let shown = String::from_utf8(output.stdout).expect("text");
    // Each line has one absolute path, but for the kernel's own library.
    let libraries = shown.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain([perl]) {
        let name = Path::new(file).file_name().expect("a file");
        std::fs::copy(file, directory.join(name)).expect("copied");
    }
}

#[test]
fn datagrams_to_a_published_udp_port_reach_the_container_and_its_answers_come_back() {
    let zun = ZunCli::shared();
    let name = zun.name("udp");
    let directory = tempfile::tempdir().expect("a directory");
    copy_perl(directory.path());
    let files = std::fs::read_dir(directory.path()).expect("files").flatten();
    let mut names = files.map(|file| file.file_name().into_string().expect("a name"));
    let loader = names.find(|name| name.starts_with("ld-")).expect("a loader");
    let loader = format!("/udp/{loader}");
    let answer = "socket(S, 2, 2, 0) or die; bind(S, pack('Sna4x8', 2, 81, \"\\0\" x 4)) or die; \
                  while ($from = recv(S, $text, 1500, 0)) { send(S, \"container: $text\", 0, $from) }";
    let create = ["create", "--name", name.as_str(), "-p", "81/udp", "cirros"];
    let serve = [loader.as_str(), "--library-path", "/udp", "/udp/perl", "-e", answer];
    zun.must(&[&create[..], &serve[..]].concat());
    let inside = format!("{}:/udp", name.as_str());
    zun.must(&["cp", &directory.path().display().to_string(), &inside]);
    zun.must(&["start", name.as_str()]);
    let address = zun.must(&["port", name.as_str(), "81/udp"]);
    let address: SocketAddr = address.trim().parse().expect("an address");
    let socket = UdpSocket::bind((address.ip(), 0)).expect("a socket");
    socket.connect(address).expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    eventually("the container answers a datagram", || {
        let mut answer = [0; 64];
        let sent = socket.send(b"hello").is_ok();
        sent && socket.recv(&mut answer).is_ok_and(|size| answer[..size] == *b"container: hello")
    });
    zun.must(&["delete", "--force", name.as_str()]);
}
