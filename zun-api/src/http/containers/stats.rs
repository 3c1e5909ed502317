//! `GET /v1/containers/{ident}/stats`, in OpenStack Zun's format.

use actix_web::web::Data;

use crate::app::containers::Ident;
use crate::app::{App, Caller};
use crate::http::extract::{NoFields, Parsed};
use crate::http::response::{ApiResult, ok};
use zun_common::api::v1::container::ContainerStats;
use zun_common::rpc::container::Stats;

/// Returns a container's resource usage.
pub(in crate::http) async fn stats(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let (name, stats) = app.stats(&caller, &ident).await?;
    Ok(ok(&shown(name, &stats)))
}

#[expect(clippy::cast_precision_loss, reason = "the values are for display")]
fn shown(container: String, stats: &Stats) -> ContainerStats {
    const MEBIBYTE: f64 = (1_u64 << 20) as f64;
    let Stats { cpu_percent, memory, memory_limit, block, network, processes } = *stats;
    let (memory, limit) = (memory as f64, memory_limit as f64);
    ContainerStats {
        container,
        cpu_percent,
        memory_usage: memory / MEBIBYTE,
        memory_limit: limit / MEBIBYTE,
        memory_percent: if limit > 0.0 { memory / limit * 100.0 } else { 0.0 },
        block: format!("{}/{}", block.0, block.1),
        network: format!("{}/{}", network.0, network.1),
        processes,
    }
}
