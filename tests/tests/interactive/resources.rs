//! Volumes, files and networks on a real engine, with real data and real traffic.

use std::io::Write as _;

use zun_tests::eventually::eventually;
use zun_tests::zun_cli::{Name, ZunCli};

/// A volume or a network of a test, which is deleted on drop.
struct Resource<'a>(&'a ZunCli, &'static str, String);

impl<'a> Resource<'a> {
    fn new(zun: &'a ZunCli, noun: &'static str, name: &Name) -> Self {
        Self(zun, noun, name.as_str().to_owned())
    }
}

impl Drop for Resource<'_> {
    fn drop(&mut self) {
        let Self(zun, noun, name) = self;
        let deleted = zun.run(&[noun, "delete", name]);
        if deleted.code != 0 && !deleted.stderr.contains("could not be found") {
            eprintln!("cannot delete the {noun} {name}: {}", deleted.stderr);
        }
    }
}

#[test]
fn data_in_a_volume_outlives_its_containers_and_read_only_is_read_only() {
    let zun = ZunCli::shared();
    let volume = Resource::new(&zun, "volume", &zun.name("data"));
    let mount = format!("{}:/data", volume.2);
    let run = |mount: &str, script: &str| {
        zun.run(&["run", "--rm", "-q", "-v", mount, "cirros", "sh", "-c", script])
    };
    assert_eq!(run(&mount, "echo kept >/data/file").code, 0);
    let read = run(&format!("{mount}:ro"), "cat /data/file; echo no >/data/file || echo refused");
    assert_eq!(read.stdout, "kept\nrefused\n", "{read:?}");
    let shown = zun.must(&["volume", "list"]);
    assert!(shown.contains(&volume.2), "{shown}");
    let holder = zun.name("holder");
    zun.must(&["create", "--name", holder.as_str(), "-v", &mount, "cirros", "true"]);
    let used = zun.run(&["volume", "delete", &volume.2]);
    assert!(used.code == 1 && used.stderr.contains("used by containers (1)"), "{used:?}");
    zun.must(&["delete", holder.as_str()]);
    eventually("the volume is deleted", || zun.run(&["volume", "delete", &volume.2]).code == 0);
    // A volume of the same name is empty.
    let empty = run(&mount, "ls /data");
    assert_eq!((empty.code, empty.stdout.as_str()), (0, ""), "{empty:?}");
}

#[test]
fn a_file_is_in_the_container_before_its_first_start() {
    let zun = ZunCli::shared();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"from outside\n").expect("written");
    let mount = format!("type=file,source={},target=/etc/deep/app.conf", file.path().display());
    let arguments =
        ["run", "--rm", "-q", "--mount", &mount, "--mount", "type=tmpfs,target=/t,tmpfs-size=1m"];
    let script = "cat /etc/deep/app.conf; mount | grep -c 'on /t type tmpfs'";
    let done = zun.run(&[&arguments[..], &["cirros", "sh", "-c", script]].concat());
    assert_eq!((done.code, done.stdout.as_str()), (0, "from outside\n1\n"), "{done:?}");
}

#[test]
fn containers_of_a_network_find_each_other_by_name_and_others_do_not_reach_them() {
    let zun = ZunCli::shared();
    let (network, server) = (zun.name("net"), zun.name("server"));
    let network = Resource::new(&zun, "network", &network);
    zun.must(&["network", "create", "--subnet", "10.213.99.0/24", &network.2]);
    let serve = "while true; do echo answered | nc -l -p 7000; done";
    let place = ["--network", &network.2, "--network-alias", "db", "--ip", "10.213.99.7"];
    let detached = ["run", "-d", "--name", server.as_str()];
    zun.must(&[&detached[..], &place, &["cirros", "sh", "-c", serve]].concat());
    let ask = |network: &[&str], address: &str| {
        let script = format!("nc -w 2 {address} 7000 </dev/null");
        zun.run(&[&["run", "--rm", "-q"], network, &["cirros", "sh", "-c", &script]].concat())
    };
    let inside = ["--network", network.2.as_str()];
    for name in ["db", server.as_str(), "10.213.99.7"] {
        eventually("the server answers", || ask(&inside, name).stdout == "answered\n");
    }
    let addresses = zun.field(server.as_str(), "addresses");
    assert_eq!(addresses[&network.2][0]["addr"], "10.213.99.7", "{addresses}");
    let outside = ask(&["--network", "none"], "10.213.99.7");
    assert!(outside.code != 0 && outside.stdout.is_empty(), "{outside:?}");
    zun.must(&["delete", "--force", server.as_str()]);
    eventually("the network is deleted", || zun.run(&["network", "delete", &network.2]).code == 0);
}

#[test]
fn containers_without_a_network_of_their_project_do_not_reach_each_other() {
    let zun = ZunCli::shared();
    let server = zun.name("alone");
    let serve = "while true; do echo answered | nc -l -p 7000; done";
    let published = ["-p", "127.0.0.1::7000"];
    let detached = ["run", "-d", "--name", server.as_str()];
    zun.must(&[&detached[..], &published, &["cirros", "sh", "-c", serve]].concat());
    // The host reaches it, so it serves.
    let port = zun.must(&["port", server.as_str(), "7000"]);
    eventually("the published port answers", || {
        let mut answer = String::new();
        let asked = std::net::TcpStream::connect(port.trim()).and_then(|mut stream| {
            stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
            std::io::Read::read_to_string(&mut stream, &mut answer)
        });
        asked.is_ok() && answer == "answered\n"
    });
    let addresses = zun.field(server.as_str(), "addresses");
    let address = addresses.as_object().and_then(|all| all.values().next()?[0]["addr"].as_str());
    let address = address.expect("an address");
    // Directly, and by a route over the host.
    let network = zun.name("other");
    let network = Resource::new(&zun, "network", &network);
    zun.must(&["network", "create", &network.2]);
    for place in [&[][..], &["--network", network.2.as_str()]] {
        let script = format!("nc -w 2 {address} 7000 </dev/null; ping -c 1 -W 2 {address}");
        let asked = ["run", "--rm", "-q"];
        let done = zun.run(&[&asked[..], place, &["cirros", "sh", "-c", &script]].concat());
        assert!(done.code != 0 && !done.stdout.contains("answered"), "{place:?}: {done:?}");
        assert!(done.stdout.contains("100% packet loss"), "{place:?}: {done:?}");
    }
}
