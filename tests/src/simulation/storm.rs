//! Faults: while a storm lasts, processes die and come back, links are cut, messages are lost, and engines are slow or down.

use std::time::Duration;

use tokio::time::sleep;
use zun_api::simulation::ContainerRow;
use zun_common::id::ContainerId;

use super::cluster::{Cluster, Controller, Host};
use super::engine::Pace;
use super::network::Weather;
use super::random::Random;

/// A process dies within so many polls of its tasks.
const POLLS: u64 = 300;

/// Causes one fault after the other on a host, until this time has passed.
pub async fn over_host(cluster: Cluster, number: usize, until: Duration) {
    let Some(host) = cluster.hosts().get(number) else { return };
    while cluster.executor().now() < until {
        sleep(pick(&cluster, |random| random.millis(0..9_000))).await;
        let outage = pick(&cluster, outage);
        match pick(&cluster, |random| random.within(0..100)) {
            0..35 => {
                let polls = pick(&cluster, |random| random.within(1..POLLS));
                cluster.kill_agent(host, polls).await;
                sleep(outage).await;
                cluster.start_agent(host);
            }
            35..42 => {
                cluster.stop_agent(host).await;
                cluster.start_agent(host);
            }
            42..55 => {
                host.link.cut(true);
                sleep(outage).await;
                host.link.cut(false);
            }
            55..70 => {
                host.link.set_weather(pick(&cluster, weather));
                sleep(outage).await;
                host.link.set_weather(Weather::default());
            }
            70..74 => {
                // Too far ahead, it refuses calls; too far behind, zun-api refuses its calls.
                let wrong_by = pick(&cluster, clock);
                cluster.set_clock(host, wrong_by);
                sleep(outage).await;
                cluster.set_clock(host, 0);
            }
            74..82 => {
                host.engine.set_pace(Pace { usual: 3_000, slow: 150_000, percent: 15 });
                sleep(outage).await;
                host.engine.set_pace(Pace::HEALTHY);
            }
            82..90 => {
                host.engine.go_down();
                sleep(outage).await;
                host.engine.fake().come_up();
            }
            90..94 => {
                cluster.start_rival(host);
                sleep(outage).await;
                cluster.kill_agent(host, 1).await;
                cluster.start_agent(host);
                sleep(pick(&cluster, |random| random.millis(0..5_000))).await;
                cluster.kill_rival(host);
            }
            94..95 => vanish_one(&cluster, host),
            95..98 => {
                // Another agent, with the same host name or another one, that does not see the lock of the first.
                let name = pick(&cluster, |random| {
                    if random.percent(50) {
                        host.name.to_string()
                    } else {
                        format!("alias{number}")
                    }
                });
                cluster.start_stranger(host, &name.parse().expect("a host name"));
                sleep(outage).await;
                if pick(&cluster, |random| random.percent(50)) {
                    cluster.kill_agent(host, 1).await;
                    sleep(pick(&cluster, |random| random.millis(0..90_000))).await;
                }
                cluster.start_agent(host);
                sleep(pick(&cluster, |random| random.millis(0..20_000))).await;
                cluster.kill_stranger(host);
            }
            _ => end_one(&cluster, host),
        }
    }
    calm_host(&cluster, host);
}

/// Causes one fault after the other on a zun-api, until this time has passed.
pub async fn over_controller(cluster: Cluster, number: usize, until: Duration) {
    let Some(controller) = cluster.controllers().get(number) else { return };
    while cluster.executor().now() < until {
        sleep(pick(&cluster, |random| random.millis(0..15_000))).await;
        let outage = pick(&cluster, outage);
        match pick(&cluster, |random| random.within(0..100)) {
            0..50 => {
                let polls = pick(&cluster, |random| random.within(1..POLLS));
                cluster.kill_controller(controller, polls).await;
                sleep(outage).await;
                cluster.start_controller(controller).await;
            }
            50..55 => lose_report(&cluster),
            55..75 => {
                controller.link.cut(true);
                sleep(outage).await;
                controller.link.cut(false);
            }
            _ => {
                controller.link.set_weather(pick(&cluster, weather));
                sleep(outage).await;
                controller.link.set_weather(Weather::default());
            }
        }
    }
    calm_controller(&cluster, controller).await;
}

/// In some runs, saves the database and brings it back later, and an administrator ends the recovery of the hosts.
pub async fn over_database(cluster: Cluster, until: Duration) {
    if pick(&cluster, |random| random.percent(70)) {
        return;
    }
    sleep(pick(&cluster, |random| random.millis(0..30_000))).await;
    cluster.save();
    sleep(pick(&cluster, |random| random.millis(1_000..25_000))).await;
    cluster.restore().await;
    while cluster.executor().now() < until {
        sleep(pick(&cluster, |random| random.millis(1_000..20_000))).await;
        cluster.recover().await;
    }
}

fn calm_host(cluster: &Cluster, host: &Host) {
    cluster.kill_rival(host);
    cluster.kill_stranger(host);
    cluster.set_clock(host, 0);
    host.link.cut(false);
    host.link.set_weather(Weather::default());
    host.engine.set_pace(Pace::HEALTHY);
    host.engine.fake().come_up();
    cluster.start_agent(host);
}

async fn calm_controller(cluster: &Cluster, controller: &Controller) {
    controller.link.cut(false);
    controller.link.set_weather(Weather::default());
    cluster.start_controller(controller).await;
}

/// Ends the process of a container.
fn end_one(cluster: &Cluster, host: &Host) {
    let code = pick(cluster, |random| i64::from(random.percent(50)));
    if let Some(container) = any_container(cluster, host) {
        host.engine.fake().exit(container, code);
    }
}

/// Loses a container, without an event.
fn vanish_one(cluster: &Cluster, host: &Host) {
    if let Some(container) = any_container(cluster, host) {
        host.engine.vanish(container);
    }
}

fn any_container(cluster: &Cluster, host: &Host) -> Option<ContainerId> {
    let effects = host.engine.effects();
    let created: Vec<ContainerId> = effects.iter().map(|effect| effect.container).collect();
    pick(cluster, |random| random.choose(&created).copied())
}

/// The database loses what an agent has reported of a container.
fn lose_report(cluster: &Cluster) {
    let reported = |row: &ContainerRow| {
        let was_reported = matches!(row.status.as_str(), "Created" | "Running" | "Stopped");
        was_reported.then(|| row.uuid.parse().ok()).flatten()
    };
    let rows: Vec<ContainerId> =
        cluster.snapshot().containers.iter().filter_map(reported).collect();
    if let Some(container) = pick(cluster, |random| random.choose(&rows).copied()) {
        cluster.lose_report(container);
    }
}

/// Most outages are short, some are longer than every deadline but those of creates.
fn outage(random: &mut Random) -> Duration {
    match random.within(0..10) {
        0..4 => random.millis(0..1_500),
        4..8 => random.millis(1_000..20_000),
        _ => random.millis(20_000..100_000),
    }
}

/// By how many seconds a clock is wrong: a little, or hours.
fn clock(random: &mut Random) -> i64 {
    let most = if random.percent(50) { 20 } else { 10_000 };
    let seconds = i64::try_from(random.within(0..most)).unwrap_or_default();
    if random.percent(50) { seconds } else { -seconds }
}

fn weather(random: &mut Random) -> Weather {
    Weather {
        lost: random.within(0..40),
        repeated: random.within(0..40),
        late: random.within(0..50),
    }
}

fn pick<T>(cluster: &Cluster, choose: impl FnOnce(&mut Random) -> T) -> T {
    choose(&mut cluster.executor().random())
}
