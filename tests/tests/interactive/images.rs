//! Explicit image pulls, with a real engine and a registry that counts.

use zun_tests::eventually::eventually;
use zun_tests::registry::{Pace, Registry};
use zun_tests::zun_cli::ZunCli;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_listed_and_removed_by_its_digest() {
    let zun = ZunCli::shared();
    let registry = Registry::start().await;
    let image = format!("{}/zun-conformance@{}", registry.address, registry.digest);
    zun.must(&["image", "pull", "-q", &image]);
    let shown = zun.must(&["image", "show", &image, "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(
        (&shown["status"], &shown["tag"]),
        (&"Available".into(), &(*registry.digest).into())
    );
    assert!(shown["size_bytes"].as_u64().is_some_and(|size| size > 1 << 20), "{shown}");
    assert!(zun.must(&["image", "list"]).contains(&registry.digest));
    zun.must(&["image", "delete", &image]);
    eventually("the image is gone", || zun.run(&["image", "show", &image]).code == 1);
    let missing = format!("{}/zun-conformance:v9", registry.address);
    let failed = zun.run(&["image", "pull", &missing]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains(&format!("No such image: {missing}")), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_pulls_of_one_image_are_one_pull() {
    let zun = ZunCli::shared();
    let alone = Registry::with_shell(Pace::Fast).await;
    let image = format!("{}/zun-conformance:v1", alone.address);
    zun.must(&["run", "--rm", "-q", &image, "/bin/sh", "-c", "exit 0"]);
    let registry = Registry::with_shell(Pace::Slow).await;
    let image = format!("{}/zun-conformance:v1", registry.address);
    let run = |name: &str| {
        let options = ["run", "--rm", "-q", "--pull", "always", "--name", name];
        zun.run(&[&options[..], &[image.as_str(), "/bin/sh", "-c", "echo here"]].concat())
    };
    let names = ["a", "b", "c"].map(|letter| zun.name(&format!("together-{letter}")));
    std::thread::scope(|scope| {
        let runs = names.each_ref().map(|name| scope.spawn(|| run(name.as_str())));
        for done in runs.map(|run| run.join().expect("a run")) {
            assert_eq!((done.code, done.stdout.as_str()), (0, "here\n"), "{done:?}");
        }
    });
    assert_eq!(registry.requests(), alone.requests());
}
