//! Lists and single containers over the API.

use std::time::Duration;

use crate::figures::{Figure, Summary};
use crate::fill;
use crate::http::{Connection, load};
use crate::run::{Run, timed};
use crate::server::{Kind, Servers};

/// How the names of the rows begin that [`measure`] records.
pub const ROWS: &[&str] = &["api-"];

const CLIENTS: usize = 8;
const WINDOW: Duration = Duration::from_secs(2);
const WINDOWS: usize = 5;
const SHOWS: usize = 2000;

/// Measures lists of 100 and of 1,000 containers, and one container, on SQLite.
pub fn measure(run: &Run) {
    let servers = Servers::start(run, Kind::Sqlite, 1);
    let agent = fill::agent(run, &servers, fill::HOST);
    let other = fill::agent(run, &servers, "host1");
    let id = fill::first(run, &servers, &agent);
    // Half of them are in the project.
    fill::copies(&servers.database, (0, 2 * 1000));
    let mut connections = servers.connections(CLIENTS);
    for (row, count) in [("api-list-100", 100), ("api-list-1000", 1000)] {
        if run.wants(row) {
            let path = format!("/v1/containers?limit={count}");
            run.record(row, rate(run, &mut connections, &path, count));
        }
    }
    if run.wants("api-show") {
        let path = format!("/v1/containers/{id}");
        let mut client = servers.connect(0);
        let times: Vec<Duration> =
            (0..run.samples(SHOWS)).map(|_| timed(|| client.fetch(&path))).collect();
        run.record("api-show", Figure::plain(Summary::of_times(&times)));
    }
    drop((agent, other));
    servers.stop(run);
}

fn rate(run: &Run, connections: &mut [Connection], path: &str, count: usize) -> Figure {
    let shown = connections[0].json(path);
    assert_eq!(shown["containers"].as_array().map(Vec::len), Some(count));
    let length = connections[0].get(path).len();
    load(connections, WINDOW / 2, |client| client.fetch(path));
    let get = |client: &mut Connection| assert!(client.get(path).len() == length);
    let rates: Vec<f64> =
        (0..run.samples(WINDOWS)).map(|_| load(connections, WINDOW, get).per_second).collect();
    Figure::plain(Summary::of_rates(&rates))
}
