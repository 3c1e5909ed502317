//! The link is cut at random points, again and again (C36, C37).

use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest, Sha256};
use zun_common::grant::Mode;
use zun_common::pty::{Ending, Frame, STDIN_WINDOW};
use zun_tests::profile::is_long;
use zun_tests::proxy::Proxy;
use zun_tests::recorder;

use super::bench::{Bench, console};
use super::client::{Session, hello};

/// How much stdin there is for each cut.
const BETWEEN: usize = 16 << 10;

/// What one client has sent and received over all its connections.
pub(super) struct Copy {
    pub(super) input: Vec<u8>,
    pub(super) sent: usize,
    /// How many bytes were passed on to the process.
    acknowledged: usize,
    pub(super) end_sent: bool,
    /// Stdin does not end before the last cut.
    pub(super) may_end: bool,
    pub(super) output: Vec<u8>,
    pub(super) ending: Option<Ending>,
}

impl Copy {
    pub(super) const fn of(input: Vec<u8>) -> Self {
        Self {
            input,
            sent: 0,
            acknowledged: 0,
            end_sent: false,
            may_end: false,
            output: Vec::new(),
            ending: None,
        }
    }

    /// Sends and receives until the link is lost, or the session has ended.
    pub(super) async fn pass(&mut self, session: &mut Session, random: &mut SmallRng) {
        loop {
            let window = usize::try_from(STDIN_WINDOW).expect("small");
            let acknowledged = usize::try_from(session.acknowledged).expect("small");
            self.acknowledged = self.acknowledged.max(acknowledged);
            let until = self.input.len().min(self.acknowledged + window);
            let next = until.min(self.sent + random.random_range(1..20_000));
            let can_send = next > self.sent;
            let received = tokio::select! {
                biased;
                received = session.receive() => received,
                () = std::future::ready(()), if can_send || self.ends() => {
                    let piece = Bytes::copy_from_slice(&self.input[self.sent..next.max(self.sent)]);
                    let frame = if can_send { Frame::Stdin(piece) } else { Frame::StdinEnd };
                    self.end_sent = !can_send;
                    self.sent = next.max(self.sent);
                    session.try_send(frame).await.is_ok()
                }
            };
            self.output.append(&mut session.stdout);
            // The offsets of the session count from its last hello.
            session.hello.stdout_next = self.output.len() as u64;
            if !received || session.acknowledge().await.is_err() {
                self.ending.clone_from(&session.ending);
                return;
            }
        }
    }

    fn ends(&self) -> bool {
        self.may_end && self.sent == self.input.len() && !self.end_sent
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c36_no_byte_is_lost_or_repeated_in_random_cuts_of_both_directions() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let (cuts, limit) = if is_long() { (10_000, 60) } else { (500, 5) };
    let seed = rand::random();
    let mut random = SmallRng::seed_from_u64(seed);
    let mut input = vec![0; cuts * BETWEEN];
    random.fill(input.as_mut_slice());
    let id = bench.shell(false, "cat");
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let proxy = Proxy::to(bench.address()).await;
    let dialer = bench.through(&proxy);
    let mut session =
        Session::connect(&dialer, &identity, &grant, hello()).await.expect("a session");
    bench.docker(&["start", &id]);
    let mut copy = Copy::of(input);
    let (mut done, begun) = (0, Instant::now());
    while copy.ending.is_none() {
        assert!(begun.elapsed() < Duration::from_mins(limit), "seed {seed}: {done} cuts");
        let delay = Duration::from_micros(random.random_range(0..8_000));
        let mut typist = SmallRng::seed_from_u64(random.random());
        tokio::select! {
            () = copy.pass(&mut session, &mut typist) => {}
            () = tokio::time::sleep(delay), if done < cuts => {}
        }
        if copy.ending.is_some() {
            break;
        }
        proxy.disconnect();
        done += 1;
        copy.may_end = done >= cuts;
        // What arrived before the cut is kept.
        copy.output.append(&mut session.stdout);
        session.hello.stdout_next = copy.output.len() as u64;
        let resume = session.resume();
        session = Session::connect(&dialer, &identity, &grant, resume).await.expect("resumed");
        assert!(session.hello.resumed);
        copy.sent = usize::try_from(session.hello.stdin_next).expect("small");
        copy.end_sent = session.hello.stdin_ended;
        assert_eq!(session.hello.stdout_next, copy.output.len() as u64);
    }
    assert!(done >= cuts, "seed {seed}: only {done} cuts");
    assert_eq!(copy.ending.expect("an ending").zun.exit_code, Some(0));
    assert_eq!(copy.output.len(), copy.input.len(), "seed {seed}");
    assert_eq!(Sha256::digest(&copy.output), Sha256::digest(&copy.input), "seed {seed}");
}
