//! `zun events` with real containers, and across a restart of zun-api.

use rustix::process::Signal;
use zun_tests::cluster::Cluster;
use zun_tests::eventually::eventually;
use zun_tests::zun_cli::ZunCli;

const SIZE: (u16, u16) = (40, 200);

#[test]
fn events_show_the_life_of_a_container_and_end_at_the_requested_time() {
    let zun = ZunCli::shared();
    let name = zun.name("eventful");
    let arguments = ["--name", name.as_str(), "--label", "tier=front", "cirros", "sh", "-c"];
    let run = [&["run", "--rm", "-q"], &arguments[..], &["exit 3"]].concat();
    assert_eq!(zun.run(&run).code, 3);
    let filter = format!("container={}", name.as_str());
    let past = ["events", "--since", "10m", "--until", "0s", "--filter", &filter];
    let actions = || {
        let format = "{{.Action}} {{.Actor.Attributes.exitCode}}";
        zun.must(&[&past[..], &["--filter", "label=tier=front", "--format", format]].concat())
    };
    eventually("the container is gone", || actions().contains("destroy"));
    assert_eq!(actions(), "create \nstart \ndie 3\ndestroy \n");
    let text = zun.must(&[&past[..], &["--filter", "event=die"]].concat());
    let image = format!("exitCode=3, image=cirros, name={}, ", name.as_str());
    assert!(text.contains(" container die ") && text.contains(&image), "{text}");
    let json = zun.must(&[&past[..], &["--filter", "event=die", "-o", "json"]].concat());
    let event: serde_json::Value = serde_json::from_str(&json).expect("one line of JSON");
    assert_eq!(event["actor"]["attributes"]["exitCode"], "3");
    let none = zun.must(&[&past[..], &["--filter", "label=tier=back"]].concat());
    assert_eq!(none, "");
    let bad = zun.run(&["events", "--filter", "event=exec_start"]);
    assert!(bad.code == 1 && bad.stderr.contains("health_status"), "{bad:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_continue_where_they_were_when_the_service_is_back() {
    let mut cluster = Cluster::start(1).await;
    let zun = cluster.zun();
    let mut events = zun.term(&["events", "--debug", "--filter", "type=volume"], SIZE);
    events.shows("-> 200 OK");
    zun.must(&["volume", "create", "first"]);
    events.shows("(name=first)");
    cluster.end_api(0, Signal::KILL);
    events.shows("connecting again");
    cluster.start_api(0);
    // Also what happens before zun is connected again.
    zun.must(&["volume", "create", "second"]);
    events.shows("(name=second)");
    events.types(b"\x03");
    assert_eq!(events.exit(), 130, "{}", events.transcript());
    let count = |words: &str| events.transcript().matches(words).count();
    for words in ["connecting again", "(name=first)", "(name=second)"] {
        assert_eq!(count(words), 1, "{words}: {}", events.transcript());
    }
    cluster.stop().await;
}
