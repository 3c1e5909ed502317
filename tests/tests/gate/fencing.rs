//! A connection that was replaced has no effect (C75).

use bytes::Bytes;
use sha2::{Digest, Sha256};
use zun_common::grant::Mode;
use zun_common::pty::Frame;
use zun_tests::proxy::Proxy;
use zun_tests::recorder;

use super::bench::{Bench, console};
use super::client::{Session, hello};

const SIZE: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn c75_stdin_that_a_frozen_link_delivers_after_a_resume_is_dropped() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let id = bench.shell(false, "sha256sum");
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let proxy = Proxy::to(bench.address()).await;
    let mut old = Session::connect(&bench.through(&proxy), &identity, &grant, hello())
        .await
        .expect("a session");
    bench.docker(&["start", &id]);
    let input: Vec<u8> = (0..SIZE).map(|at| u8::try_from(at % 251).expect("small")).collect();
    let mut sent = 0;
    while sent < 100_000 {
        old.types(&input[sent..sent + 10_000]).await;
        sent += 10_000;
    }
    while old.acknowledged < 50_000 {
        assert!(old.receive().await);
    }
    proxy.stall();
    // More than the window, so that the gate would notice if it counted.
    for piece in input[sent..sent + 200_000].chunks(10_000) {
        old.send(Frame::Stdin(Bytes::copy_from_slice(piece))).await;
    }
    let mut new =
        Session::connect(&bench.dialer, &identity, &grant, old.resume()).await.expect("resumed");
    let next = usize::try_from(new.hello.stdin_next).expect("small");
    assert!((50_000..=100_000).contains(&next), "{next}");
    proxy.restore();
    assert!(matches!(old.finish().await, Some(4409) | None));
    let mut at = next;
    while at < SIZE {
        let window = usize::try_from(new.acknowledged).expect("small") + (256 << 10);
        if at < window {
            let until = (at + 10_000).min(SIZE).min(window);
            new.types(&input[at..until]).await;
            at = until;
        } else {
            assert!(new.receive().await);
        }
    }
    new.send(Frame::StdinEnd).await;
    let ending = new.ending().await;
    assert_eq!(ending.zun.exit_code, Some(0));
    let shown = String::from_utf8_lossy(&new.stdout).into_owned();
    let sum = hex::decode(shown.split(' ').next().expect("a sum")).expect("hexadecimal");
    assert_eq!(sum, Sha256::digest(&input).to_vec());
}
