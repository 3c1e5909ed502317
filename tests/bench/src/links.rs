//! Round trips of the commands over a long network: through proxies that delay, in front of zun-api and of the engine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use zun_tests::cluster::{Cluster, Front};
use zun_tests::delay::DelayingProxy;
use zun_tests::zun_cli::ZunCli;

use crate::commands::succeeds;
use crate::figures::{Figure, Summary};
use crate::rows::Unit;
use crate::run::{Run, interleaved, timed};

/// How the names of the rows begin that [`measure`] records.
pub const ROWS: &[&str] = &["rtt-"];

const ROUND_TRIP: Duration = Duration::from_millis(50);
const ECHOES: usize = 21;
const ROUNDS: usize = 15;

/// The two links.
struct Links {
    api: DelayingProxy,
    engine: DelayingProxy,
    /// What a round trip really takes: the proxies wait a bit longer than the time that is set.
    round_trip: Duration,
    zun: ZunCli,
}

/// Measures each command with and without the delay, in turn. The difference, in round trips, is the value.
pub fn measure(run: &Run) {
    let cluster = run.runtime.block_on(Cluster::behind(Front::Proxy));
    let api: SocketAddr = cluster.endpoint(0).trim_start_matches("http://").parse().expect("one");
    let (api, engine) = run.runtime.block_on(async {
        (DelayingProxy::to(api).await, DelayingProxy::to(cluster.proxy().target()).await)
    });
    cluster.proxy().redirect_to(engine.address());
    let zun = ZunCli::at(&format!("http://{}/v1", api.address()), cluster.token());
    let links = Links { api, engine, round_trip: real_round_trip(run), zun };
    links.zun.must(&["run", "-d", "--name", "bench", "cirros", "sh", "-c", "echo a; sleep 10000"]);
    let commands: [(&str, &[&str]); 4] = [
        ("rtt-run", &["run", "-i", "--rm", "cirros", "true"]),
        ("rtt-exec", &["exec", "-i", "bench", "true"]),
        ("rtt-logs", &["logs", "bench"]),
        ("rtt-list", &["list"]),
    ];
    for (row, command) in commands {
        if run.wants(row) {
            run.record(row, links.round_trips(run.samples(ROUNDS), command));
        }
    }
    run.runtime.block_on(async {
        links.zun.must(&["delete", "--force", "bench"]);
        cluster.stop().await;
    });
}

impl Links {
    fn round_trips(&self, rounds: usize, command: &[&str]) -> Figure {
        let take = |round_trip| {
            self.api.set_round_trip(round_trip);
            self.engine.set_round_trip(round_trip);
            succeeds(&mut self.zun.command(command))
        };
        let (far, near) = interleaved(rounds, || take(ROUND_TRIP), || take(Duration::ZERO));
        take(Duration::ZERO);
        let near = Summary::of_times(&near);
        let unit = self.round_trip.as_secs_f64() * 1000.0;
        let trips: Vec<f64> =
            far.iter().map(|time| (time.as_secs_f64() * 1000.0 - near.median) / unit).collect();
        let trips = Summary::of(&trips, Unit::RoundTrips);
        let note = format!(
            "{:.0} ms with the delay, {:.0} ms without.",
            Summary::of_times(&far).median,
            near.median
        );
        Figure::plain(trips).with_note(note)
    }
}

/// Measures the round trip of one byte through a proxy.
fn real_round_trip(run: &Run) -> Duration {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = server.local_addr().expect("an address");
    let proxy = run.runtime.block_on(DelayingProxy::to(address));
    proxy.set_round_trip(ROUND_TRIP);
    let mut client = TcpStream::connect(proxy.address()).expect("connected");
    let (mut served, _) = server.accept().expect("the proxy connects");
    let mut byte = [0];
    let mut times: Vec<Duration> = (0..ECHOES)
        .map(|_| {
            timed(|| {
                client.write_all(b"x").expect("written");
                served.read_exact(&mut byte).expect("read");
                served.write_all(b"x").expect("written");
                client.read_exact(&mut byte).expect("read");
            })
        })
        .collect();
    times.sort();
    times[ECHOES / 2]
}
