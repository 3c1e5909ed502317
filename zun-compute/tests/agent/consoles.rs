//! Console sessions are counted from the session events on the socket.

use tokio::net::UnixDatagram;
use zun_common::grant::{SessionEvent, SessionEventKind};
use zun_common::status::Status;

use crate::world::World;

#[tokio::test]
async fn open_consoles_are_counted_until_the_process_exits() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("notify.sock");
    let mut world = World::new().await;
    world.settings.console.notify_socket = Some(path.clone());
    let agent = world.agent().await;
    let container = world.running(&["/bin/sh"]).await;
    let engine =
        world.controller.newest(container).and_then(|report| report.engine).expect("an id");
    let authz = UnixDatagram::unbound().expect("a socket");
    let send = async |kind, grant: &str| {
        let event = SessionEvent {
            kind,
            watches: false,
            grant: grant.to_owned(),
            container: engine.clone(),
        };
        let bytes = serde_json::to_vec(&event).expect("json");
        authz.send_to(&bytes, &path).await.expect("sent");
    };
    let controller = &world.controller;
    send(SessionEventKind::Begin, "a").await;
    controller.until_report(container, |report| report.attached == 1).await;
    authz.send_to(b"junk", &path).await.expect("sent");
    send(SessionEventKind::Begin, "b").await;
    controller.until_report(container, |report| report.attached == 2).await;
    send(SessionEventKind::End, "a").await;
    controller.until_report(container, |report| report.attached == 1).await;
    world.engine.exit(container, 0);
    let last = controller.until(container, Status::Stopped).await;
    assert_eq!(last.attached, 0);
    assert!(agent.stop().await);
    assert!(!path.exists(), "the agent must remove its socket");
}
