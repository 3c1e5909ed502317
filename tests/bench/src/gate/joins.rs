//! A client that joins late.

use std::time::{Duration, Instant};

use bytes::Bytes;
use zunclient::console::Event;

use super::Bench;
use super::peer::Way;
use crate::figures::{Figure, Summary};
use crate::rows::Unit;

const JOINS: usize = 50;

/// Fills a terminal of 120 columns and 40 rows with coloured text, after much other output.
const SCREEN: &str = "stty raw -echo rows 40 cols 120; seq 1 20000; \
    awk 'BEGIN { for (row = 1; row <= 40; row++) for (column = 1; column <= 12; column++) \
    printf \"\\033[%d;%dH\\033[3%dm%-9d\", row, column * 10 - 9, (row + column) % 8, row * column }'; \
    printf '\\033[m\\033[?1000h\\033[40;110Hready'; exec cat";

/// Measures the time until a client has the screen, and the size of what draws it.
pub fn measure(bench: &Bench<'_>) {
    let Bench { run, host, program } = bench;
    if !run.wants("gate-join") && !run.wants("gate-join-size") {
        return;
    }
    host.container("late", true, SCREEN);
    let samples = run.runtime.block_on(async {
        // The gate holds the stream from here on.
        let mut first = host.attach("late", Way::Gate).await;
        first.write(Bytes::from_static(b"begun")).await;
        first.until("begun").await;
        let mut samples = Vec::new();
        for _ in 0..run.samples(JOINS) {
            let begun = Instant::now();
            let mut late = host.attach_at("late", Way::Gate, (program.address(), true)).await;
            let opened = Instant::now();
            let size = loop {
                if let Event::Snapshot(draw) = late.event().await {
                    break draw.len();
                }
            };
            samples.push((begun.elapsed(), opened.elapsed(), size));
        }
        samples
    });
    host.remove("late");
    let times: Vec<Duration> = samples.iter().map(|(_, time, _)| *time).collect();
    if run.wants("gate-join") {
        let whole: Vec<Duration> = samples.iter().map(|(whole, ..)| *whole).collect();
        let note = format!("{:.0} ms with the grant.", Summary::of_times(&whole).median);
        run.record("gate-join", Figure::plain(Summary::of_times(&times)).with_note(note));
    }
    if run.wants("gate-join-size") {
        let mebibytes = |size: usize| u32::try_from(size).map_or(f64::MAX, f64::from) / 1_048_576.0;
        let sizes: Vec<f64> = samples.iter().map(|(.., size)| mebibytes(*size)).collect();
        let largest = sizes.iter().copied().fold(0.0, f64::max);
        let note = format!("{:.1} KiB at most.", largest * 1024.0);
        let figure = Figure::plain(Summary::of(&sizes, Unit::Mebibytes)).with_note(note);
        run.record("gate-join-size", Figure { value: largest, ..figure });
    }
}
