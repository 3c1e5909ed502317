//! What a session expects of any engine: the real one and the fake.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use zun_common::pty::{SessionKind, Size};
use zun_common::shutdown::Tasks;
use zun_gate::engine::docker::Docker;
use zun_gate::engine::fake::FakeEngine;
use zun_gate::engine::{Engine, EngineError, Exit, Target};
use zun_gate::session::Process;

use super::bench::Bench;

const TIMEOUT: Duration = Duration::from_secs(30);

/// An engine with a terminal that echoes a line and exits with 4.
struct Case<'a> {
    engine: Arc<dyn Engine>,
    target: Target,
    start: Box<dyn Fn() + Send + Sync + 'a>,
}

async fn check(case: Case<'_>) {
    let Case { engine, target, start } = case;
    engine.ping().await.expect("it answers");
    let unknown = Target::Container("00".repeat(32).parse().expect("an id"));
    assert!(matches!(engine.inspect(&unknown).await, Err(EngineError::NotFound(_))));
    let created = engine.inspect(&target).await.expect("inspected");
    let process = Process { kind: SessionKind::Container, tty: true, stdin: true, running: false };
    assert_eq!((created.process, &created.failed_start), (process, &None));
    // Attached before the start, with input that is there before the process.
    let opened = engine.open(&target, &created, None).await.expect("opened");
    let mut stream = opened.stream;
    stream.write_all(b"hello\n").await.expect("written");
    let (started, ()) = tokio::join!(engine.started(&target), async { start() });
    assert!(started.expect("started").process.running);
    let size = Size { width: 90, height: 30 };
    engine.resize(&target, size).await.expect("resized");
    let mut output = opened.early.to_vec();
    timeout(TIMEOUT, stream.read_to_end(&mut output)).await.expect("in time").expect("read");
    let shown = String::from_utf8_lossy(&output).into_owned();
    assert!(shown.contains("got hello"), "{shown:?}");
    let exit = timeout(TIMEOUT, opened.exit).await.expect("in time").expect("an exit");
    assert_eq!(exit, Exit::with_code(4));
    assert!(!engine.inspect(&target).await.expect("inspected").process.running);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_conforms() {
    let bench = Bench::start().await;
    let id = bench.shell(true, "read x; sleep 0.5; echo got $x; exit 4");
    let target = Target::Container(id.parse().expect("an id"));
    let engine = Arc::new(Docker::at(bench.socket().to_owned(), Tasks::new()));
    let start = || {
        bench.docker(&["start", &id]);
    };
    check(Case { engine, target, start: Box::new(start) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_conforms() {
    let fake = FakeEngine::default();
    let target = Target::Container("ab".repeat(32).parse().expect("an id"));
    let kind = SessionKind::Container;
    fake.add(target.clone(), Process { kind, tty: true, stdin: true, running: false });
    let (own, process) = (fake.clone(), target.clone());
    let tasks = Tasks::new();
    let start = move || {
        let mut stream = own.take_stream(&process).expect("a stream");
        own.start(&process);
        let (fake, process) = (own.clone(), process.clone());
        tasks.spawn(async move {
            let mut line = [0; 6];
            stream.read_exact(&mut line).await.expect("a line");
            while fake.controls(&process).is_empty() {
                tokio::task::yield_now().await;
            }
            stream.write_all(b"got ").await.expect("written");
            stream.write_all(&line).await.expect("written");
            fake.exit(&process, Exit::with_code(4));
        });
    };
    check(Case { engine: Arc::new(fake), target, start: Box::new(start) }).await;
}
