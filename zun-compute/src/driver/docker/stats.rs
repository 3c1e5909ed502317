//! Measures resource usage, with the formulas of Docker's own client.

use bollard::models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptions;
use futures_util::StreamExt as _;
use zun_common::id::ContainerId;
use zun_common::rpc::container::Stats;

use super::DockerDriver;
use super::deadline::{QUICK, within};
use super::errors::RequestFailure;
use crate::driver::DriverError;

const DOING: &str = "measure the container";

impl DockerDriver {
    /// Measures a container. Docker measures twice, a second apart.
    pub(super) async fn measure(&self, container: ContainerId) -> Result<Stats, DriverError> {
        let api = self.api().await?;
        let options = StatsOptions { stream: false, one_shot: false };
        let mut measured = api.docker.stats(&container.engine_name(), Some(options));
        let first = async { measured.next().await.transpose() };
        let shown = within(QUICK, first)
            .await
            .map_err(|failure| failure.about_container(DOING, container))?;
        shown.map(|shown| compute(&shown)).ok_or_else(|| {
            RequestFailure::Unexpected("Docker returned no statistics".to_owned())
                .about_container(DOING, container)
        })
    }
}

fn compute(shown: &ContainerStatsResponse) -> Stats {
    let memory = shown.memory_stats.as_ref();
    let networks = shown.networks.iter().flatten().map(|(_name, network)| network);
    let network = networks.fold((0, 0), |(received, sent), network| {
        (received + network.rx_bytes.unwrap_or(0), sent + network.tx_bytes.unwrap_or(0))
    });
    Stats {
        cpu_percent: cpu_percent(shown.precpu_stats.as_ref(), shown.cpu_stats.as_ref()),
        memory: memory.map_or(0, in_use),
        memory_limit: memory.and_then(|memory| memory.limit).unwrap_or(0),
        block: (block(shown, "read"), block(shown, "write")),
        network,
        processes: shown.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or(0),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more precision")]
fn cpu_percent(before: Option<&ContainerCpuStats>, now: Option<&ContainerCpuStats>) -> f64 {
    let usage = |stats: Option<&ContainerCpuStats>| {
        let usage = stats?.cpu_usage.as_ref()?.total_usage?;
        Some((usage, stats?.system_cpu_usage?))
    };
    let (Some((before_own, before_all)), Some((now_own, now_all))) = (usage(before), usage(now))
    else {
        return 0.0;
    };
    let all = now_all.saturating_sub(before_all);
    if all == 0 {
        return 0.0;
    }
    let processors = now.and_then(|now| now.online_cpus).unwrap_or(1).max(1);
    now_own.saturating_sub(before_own) as f64 / all as f64 * f64::from(processors) * 100.0
}

/// Memory in use without the file cache, which the kernel frees when needed.
fn in_use(memory: &ContainerMemoryStats) -> u64 {
    let usage = memory.usage.unwrap_or(0);
    let cached = memory.stats.as_ref().and_then(|stats| {
        stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")).copied()
    });
    cached.filter(|cached| *cached < usage).map_or(usage, |cached| usage - cached)
}

fn block(shown: &ContainerStatsResponse, op: &str) -> u64 {
    let entries = shown.blkio_stats.iter().flat_map(|stats| &stats.io_service_bytes_recursive);
    entries
        .flatten()
        .filter(|entry| entry.op.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(op)))
        .filter_map(|entry| entry.value)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_computed_as_dockers_client_does() {
        let shown = serde_json::json!({
            "cpu_stats": {"cpu_usage": {"total_usage": 300}, "system_cpu_usage": 3000, "online_cpus": 4},
            "precpu_stats": {"cpu_usage": {"total_usage": 200}, "system_cpu_usage": 2000},
            "memory_stats": {"usage": 5000, "limit": 9000, "stats": {"inactive_file": 1000}},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"op": "Read", "value": 1}, {"op": "read", "value": 2}, {"op": "write", "value": 5}]},
            "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 20}, "eth1": {"rx_bytes": 1, "tx_bytes": 2}},
            "pids_stats": {"current": 3},
        });
        let shown: ContainerStatsResponse = serde_json::from_value(shown).expect("Docker's shape");
        let stats = compute(&shown);
        assert!((stats.cpu_percent - 40.0).abs() < 0.001, "{stats:?}");
        assert_eq!((stats.memory, stats.memory_limit, stats.processes), (4000, 9000, 3));
        assert_eq!((stats.block, stats.network), ((3, 5), (11, 22)));
    }

    #[test]
    fn a_container_that_is_not_running_uses_nothing() {
        let stats = compute(&ContainerStatsResponse::default());
        assert!(stats.cpu_percent.abs() < f64::EPSILON);
        assert_eq!((stats.memory, stats.processes), (0, 0));
    }
}
