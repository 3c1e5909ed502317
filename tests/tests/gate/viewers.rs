//! Several clients of one terminal (C73, C78).

use zun_common::grant::Mode;
use zun_common::pty::{ClientHello, Frame, Replay, SessionEvent, Size, ViewerMode};
use zun_tests::eventually::eventually;
use zun_tests::recorder;

use super::bench::{Bench, console};
use super::client::{Session, hello};

fn sized(width: u16, height: u16) -> ClientHello {
    ClientHello { size: Some(Size { width, height }), replay: Replay::Screen, ..hello() }
}

#[tokio::test(flavor = "multi_thread")]
async fn c73_of_three_writers_one_replies_and_the_shell_reads_nothing_else() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    // Reads for a while, and shows each byte that has arrived.
    let script = "stty raw -echo; printf ready; head -c 1 >/dev/null; printf '\\033[c\\033]11;?\\007'; \
         timeout 4 cat | hexdump -ve '1/1 \"%02x\"'; echo end";
    let id = bench.shell(true, script);
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let connect = |hello| Session::connect(&bench.dialer, &identity, &grant, hello);
    let mut owner = connect(sized(80, 24)).await.expect("a session");
    bench.docker(&["start", &id]);
    owner.until("ready").await;
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(connect(sized(80, 24)).await.expect("a session"));
    }
    owner.types(b"x").await;
    owner.until("\x1b]11;?\x07").await;
    for other in &mut others {
        other.until("\x1b]11;?\x07").await;
        other.types(b"\x1b[?1;2c\x1b]11;rgb:1/1/1\x07").await;
    }
    owner.types(b"\x1b[?1;2c\x1b]11;rgb:0/0/0\x07").await;
    let shown = owner.until("end").await;
    let read = shown.rsplit('\x07').next().expect("a rest");
    // The shell says that `timeout` has ended the reader, before or after what was read.
    let read = read.replace("Terminated\n", "");
    let read = read.trim_end().trim_end_matches("end").trim_end();
    assert_eq!(read, hex::encode(b"\x1b[?1;2c\x1b]11;rgb:0/0/0\x07"));
}

#[tokio::test(flavor = "multi_thread")]
async fn c78_the_client_that_typed_last_has_the_size() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let id = bench.shell(true, "echo begun; while read x; do stty size; done");
    let (rw, ro) = (console(&id, Mode::ReadWrite), console(&id, Mode::ReadOnly));
    let (may_write, may_not) = (bench.granted(&rw), bench.granted(&ro));
    let size = || bench.docker(&["exec", &id, "stty", "-F", "/proc/1/fd/0", "size"]);
    let connect = |identity, grant, hello| Session::connect(&bench.dialer, identity, grant, hello);
    let mut owner = connect(&may_write, &rw, sized(120, 40)).await.expect("a session");
    bench.docker(&["start", &id]);
    owner.until("begun").await;
    eventually("the terminal has the first client's size", || size() == "40 120");
    let mut watcher = connect(&may_not, &ro, sized(40, 10)).await.expect("a session");
    let mut writer = connect(&may_write, &rw, sized(80, 24)).await.expect("a session");
    watcher.send(Frame::Resize(Size { width: 40, height: 10 })).await;
    writer.types(b"\x1b[<0;1;1M\x1b[I\x1b[?1;2c").await;
    owner.types(b"\x15\r").await;
    owner.until("40 120").await;
    writer.types(b"\x15").await;
    eventually("the terminal has the size of who typed last", || size() == "24 80");
    writer.types(b"\r").await;
    writer.until("24 80").await;
    owner.until("24 80").await;
    let joined = owner.events.iter().any(|event| {
        matches!(event, SessionEvent::ViewerJoined { viewer, viewers: 2 }
            if viewer.mode == ViewerMode::ReadOnly)
    });
    assert!(joined, "{:?}", owner.events);
    let expected = Size { width: 80, height: 24 };
    let last = owner.events.last().expect("an event");
    assert!(matches!(last, SessionEvent::SizeOwner { size, .. } if *size == expected), "{last:?}");
    writer.detach().await;
    eventually("the terminal has the first client's size again", || size() == "40 120");
}
