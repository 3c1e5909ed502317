//! A stream with a scripted database, on a paused clock.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;

/// Events by number, as a database has them.
#[derive(Default)]
struct Stored {
    events: Mutex<Vec<i64>>,
    is_held: Mutex<bool>,
    reads: Mutex<usize>,
}

impl Stored {
    fn read(&self, after: Position) -> Page {
        *self.reads.lock().unwrap() += 1;
        let is_held = *self.is_held.lock().unwrap();
        let later = |number: &i64| position(*number) > after;
        let events: Vec<i64> =
            self.events.lock().unwrap().iter().copied().filter(later).take(4).collect();
        let is_full = events.len() == 4;
        let events: Vec<Recorded> = events.into_iter().map(event).collect();
        let end = events.last().map_or(after, |event| event.position);
        Page { events, end, is_full, is_held, at: NaiveDateTime::default() }
    }
}

fn position(number: i64) -> Position {
    format!("0.{number}").parse().unwrap()
}

fn event(number: i64) -> Recorded {
    Recorded {
        position: position(number),
        project: "p".to_owned(),
        kind: "container".to_owned(),
        action: "start".to_owned(),
        subject: number.to_string(),
        host: None,
        attributes: BTreeMap::new(),
        labels: BTreeMap::new(),
        at: NaiveDateTime::default(),
    }
}

struct Stream {
    items: mpsc::Receiver<Item>,
    recorded: watch::Sender<()>,
    closing: CancellationToken,
}

fn stream() -> (Follow, Stream) {
    let (sender, items) = mpsc::channel(QUEUE + 1);
    let recorded = watch::Sender::new(());
    let closing = CancellationToken::new();
    let follow = Follow {
        sender,
        recorded: recorded.subscribe(),
        filter: EventFilter::default(),
        until: None,
        closing: closing.clone(),
    };
    (follow, Stream { items, recorded, closing })
}

impl Stream {
    /// The next event, without signs of life.
    async fn next(&mut self) -> String {
        let mut item = Item::Alive(Position::FIRST);
        while let Item::Alive(_) = item {
            item = self.items.recv().await.expect("the stream lasts");
        }
        match item {
            Item::Event(event) => event.subject,
            Item::Alive(_) => unreachable!("it is skipped"),
            Item::End(reason) => format!("{reason:?}"),
        }
    }
}

async fn run(follow: Follow, stored: &Stored) {
    let read = |after| std::future::ready(Ok(stored.read(after)));
    follow.run(Position::FIRST, (read, || true)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_wakes_the_stream_and_what_nothing_announces_is_found_later() {
    let stored = Stored::default();
    stored.events.lock().unwrap().extend(1..=9);
    let (follow, mut stream) = stream();
    let test = async {
        for number in 1..=9 {
            assert_eq!(stream.next().await, number.to_string());
        }
        let begun = Instant::now();
        stored.events.lock().unwrap().push(10);
        stream.recorded.send_replace(());
        assert_eq!(stream.next().await, "10");
        assert!(begun.elapsed() <= PAUSE * 2);
        // Events that a transaction in progress holds back are read soon after it.
        *stored.is_held.lock().unwrap() = true;
        stream.recorded.send_replace(());
        sleep(HELD_PAUSE * 10).await;
        *stored.is_held.lock().unwrap() = false;
        stored.events.lock().unwrap().push(11);
        let begun = Instant::now();
        assert_eq!(stream.next().await, "11");
        assert!(begun.elapsed() <= HELD_PAUSE * 2);
        stored.events.lock().unwrap().push(12);
        assert_eq!(stream.next().await, "12");
        assert!(begun.elapsed() <= INTERVAL * 2);
        let reads = *stored.reads.lock().unwrap();
        sleep(INTERVAL * 5).await;
        assert!(*stored.reads.lock().unwrap() <= reads + 6, "it does not poll often");
    };
    tokio::select! {
        () = run(follow, &stored) => panic!("the stream has ended"),
        () = test => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_says_every_15_seconds_how_far_it_is_and_ends_after_an_hour() {
    let (stored, (follow, mut stream)) = (Stored::default(), stream());
    let begun = Instant::now();
    let count = async {
        let mut alive = 0_u64;
        loop {
            match stream.items.recv().await {
                Some(Item::Alive(position)) if position == Position::FIRST => alive += 1,
                Some(Item::End(reason)) => return (alive, reason),
                other => panic!("{other:?}"),
            }
        }
    };
    let ((), (alive, reason)) = tokio::join!(run(follow, &stored), count);
    assert_eq!(reason, EventsEndReason::Expired);
    assert!(begun.elapsed() >= LONGEST && begun.elapsed() < LONGEST + HEARTBEAT);
    assert!((235..=241).contains(&alive), "{alive}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_left_and_finds_the_reason() {
    let stored = Stored::default();
    stored.events.lock().unwrap().extend(1..=1000);
    let (follow, mut stream) = stream();
    let begun = Instant::now();
    run(follow, &stored).await;
    assert_eq!(begun.elapsed(), STALL);
    assert!(*stored.reads.lock().unwrap() < 10, "it reads no more than its client");
    let mut items = Vec::new();
    while let Some(item) = stream.items.recv().await {
        items.push(item);
    }
    assert_eq!(items.len(), QUEUE + 1);
    assert!(matches!(items.last(), Some(Item::End(EventsEndReason::Slow))), "{items:?}");
}

#[tokio::test(start_paused = true)]
async fn shutdown_and_the_requested_time_end_a_stream() {
    let (stored, (follow, mut stream)) = (Stored::default(), stream());
    stream.closing.cancel();
    run(follow, &stored).await;
    assert_eq!(stream.next().await, "Closing");
    let (mut follow, mut stream) = self::stream();
    follow.until = Some(NaiveDateTime::default());
    run(follow, &stored).await;
    assert_eq!(stream.next().await, "Until");
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_client_ends() {
    let (stored, (follow, stream)) = (Stored::default(), stream());
    drop(stream.items);
    run(follow, &stored).await;
    let (follow, mut stream) = self::stream();
    let leave = async {
        let _alive = stream.items.recv().await;
        sleep(PAUSE).await;
        stream.items.close();
        while stream.items.recv().await.is_some() {}
    };
    tokio::join!(run(follow, &stored), leave);
}
