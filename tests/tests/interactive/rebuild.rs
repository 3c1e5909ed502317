//! Rebuilds with the real programs and Docker.

use std::process::Command;

use zun_tests::eventually::eventually;
use zun_tests::zun_cli::ZunCli;

/// Runs a script with Docker's client for the standalone's engine.
fn engine(zun: &ZunCli, script: &str) -> String {
    let socket = format!("unix://{}", zun.engine_socket().display());
    let output = Command::new("sh").args(["-ec", script]).env("DOCKER_HOST", socket).output();
    let output = output.expect("sh runs");
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[test]
fn a_rebuild_that_docker_refuses_leaves_the_container_running_and_another_one_replaces_it() {
    let zun = ZunCli::shared();
    let (bare, name) = (format!("bare-{}", std::process::id()), zun.name("rebuild"));
    // An image of the same files that has no command.
    let script = format!(
        "id=$(docker create cirros); docker export $id | docker import - {bare}; docker rm $id"
    );
    engine(&zun, &script);
    zun.must(&["run", "-dit", "--name", name.as_str(), "-v", "/data", "cirros"]);
    let exec = |script: &str| zun.run(&["exec", name.as_str(), "sh", "-c", script]);
    assert_eq!(exec("echo kept >/data/file; echo kept >/root/file").code, 0);
    let refused = zun.run(&["rebuild", "--image", &bare, name.as_str()]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.to_lowercase().contains("no command specified"), "{refused:?}");
    assert_eq!(zun.field(name.as_str(), "status"), "Running");
    assert_eq!(zun.field(name.as_str(), "image"), "cirros");
    assert_eq!(exec("cat /data/file /root/file").stdout, "kept\nkept\n");
    let mut term = zun.term(&["attach", name.as_str()], (24, 80));
    term.types("echo at$((6 * 7))\r");
    term.shows("at42");
    zun.must(&["rebuild", name.as_str()]);
    eventually("the new container answers", || exec("test ! -e /root/file").code == 0);
    assert_eq!(zun.field(name.as_str(), "status"), "Running");
    let mut again = zun.term(&["attach", name.as_str()], (24, 80));
    again.types("echo at$((6 * 8))\r");
    again.shows("at48");
    let id = zun.field(name.as_str(), "uuid");
    let id = id.as_str().expect("a UUID");
    let names = engine(&zun, "docker ps -a --format '{{.Names}}'");
    assert_eq!(names.lines().filter(|name| name.contains(id)).count(), 1, "{names}");
    zun.must(&["delete", "--stop", name.as_str()]);
    engine(&zun, &format!("docker rmi -f {bare}"));
}
