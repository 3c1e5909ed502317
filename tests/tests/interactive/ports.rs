//! Published ports with real traffic.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use zun_tests::eventually::eventually;
use zun_tests::zun_cli::ZunCli;

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
    assert!(taken.stderr.contains("without these ports free"), "{taken:?}");
    let missing = zun.run(&["port", name.as_str(), "81"]);
    assert_eq!(missing.code, 1, "{missing:?}");
}

#[test]
fn a_host_publishes_only_on_the_address_that_its_operator_has_set() {
    let zun = ZunCli::shared();
    let beyond = zun.run(&["run", "--rm", "-p", "0.0.0.0:8765:80", "cirros", "true"]);
    assert_eq!(beyond.code, 125, "{beyond:?}");
    assert!(beyond.stderr.contains("do not publish ports on this address"), "{beyond:?}");
}
