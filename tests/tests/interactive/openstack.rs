//! OpenStack's own client at a console gate: `openstack appcontainer run --interactive`, `attach` and
//! `exec --interactive`.

use std::path::PathBuf;

use zun_tests::cluster::{Cluster, Front};
use zun_tests::eventually::eventually;
use zun_tests::pty::Pty;
use zun_tests::recorder;

const SIZE: (u16, u16) = (33, 101);

/// Runs the client on a terminal. It trusts only the system's CAs, so it gets a view of the file system where the
/// cluster's CA is one of them.
fn openstack(cluster: &Cluster, arguments: &[&str]) -> Pty {
    let programs = std::env::var_os("ZUN_TEST_OPENSTACK").expect("ZUN_TEST_OPENSTACK names them");
    let program = PathBuf::from(programs).join("openstack");
    let script = "mount --bind \"$1\" /etc/ssl/certs/ca-certificates.crt && shift && exec \"$@\"";
    let ca = cluster.ca_file();
    let (ca, program) = (ca.to_string_lossy(), program.to_string_lossy());
    let first = ["--mount", "sh", "-c", script, "sh", &ca, &program, "appcontainer"];
    let all = [&first, arguments].concat();
    let environment = [
        ("OS_AUTH_TYPE", "admin_token".to_owned()),
        ("OS_ENDPOINT", format!("{}/v1", cluster.endpoint(0))),
        ("OS_TOKEN", cluster.token().to_owned()),
        ("PYTHONWARNINGS", "ignore".to_owned()),
    ];
    Pty::spawn("unshare", &all, &environment.map(|(name, value)| (name.to_owned(), value)), SIZE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c70_openstacks_client_runs_attaches_and_executes_on_a_terminal() {
    let _recorder = recorder!();
    let cluster = Cluster::behind(Front::Gate).await;
    let zun = cluster.zun();
    let run = ["run", "--name", "theirs", "--interactive", "cirros", "/bin/sh"];
    let mut term = openstack(&cluster, &run);
    term.shows("press Enter to continue");
    term.shows("/ #");
    term.types("echo he''llo\r");
    term.shows("hello");
    term.types("stty size\r");
    term.shows("33 101");
    // Bytes that are not text, and a burst, which must all be shown before the next key.
    term.types("printf 'a\\377\\376\\342\\202\\254z\\n'; seq 1 2000; echo do''ne\r");
    term.shows("€z");
    term.shows("1999");
    term.shows("done");

    let mut exec = openstack(&cluster, &["exec", "--interactive", "theirs", "/bin/sh"]);
    exec.shows("/ #");
    exec.types("stty size; echo $((40 + 2))\r");
    exec.shows("33 101");
    exec.shows("42");
    exec.types("exit\r");
    assert_eq!(exec.exit(), 0);

    let mut attach = openstack(&cluster, &["attach", "theirs"]);
    attach.shows("press Enter to continue");
    attach.types("\r");
    // It reads the keys of the session after that one.
    attach.shows("/ #");
    attach.types("echo bo''th\r");
    attach.shows("both");
    term.shows("both");
    attach.types("exit\r");
    assert_eq!((attach.exit(), term.exit()), (0, 0));
    eventually("it has ended", || zun.field("theirs", "status") == "Stopped");
    zun.must(&["delete", "--force", "theirs"]);
    cluster.stop().await;
}
