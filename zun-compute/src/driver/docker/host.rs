//! Inspects Docker and its machine.

use std::sync::atomic::Ordering;

use bollard::models::SystemInfo;
use bollard::query_parameters::InspectNetworkOptions;
use zun_common::units::{Cpus, Gibibytes, Mebibytes, Resources};

use super::deadline::{QUICK, within};
use super::{Api, DockerDriver, api_version};
use crate::driver::{DriverError, EngineInfo};

impl DockerDriver {
    /// Inspects Docker. It also negotiates the API version again, because Docker may have been upgraded.
    pub(super) async fn inspect_engine(&self) -> Result<EngineInfo, DriverError> {
        let (api, version) = self.negotiate().await?;
        let info = within(QUICK, api.docker.info())
            .await
            .map_err(|failure| failure.about_engine("inspect Docker"))?;
        self.check_default_network(&api).await;
        let disk = disk(info.docker_root_dir.clone().unwrap_or_default()).await;
        let mut runtimes: Vec<String> =
            info.runtimes.iter().flatten().map(|(name, _)| name.clone()).collect();
        runtimes.sort();
        Ok(EngineInfo {
            id: info.id.clone().unwrap_or_default(),
            data: info.docker_root_dir.clone().unwrap_or_default(),
            engine: format!("docker {}", version.version.as_deref().unwrap_or("unknown")),
            api_version: api_version(&version)?,
            total: total(&info),
            disk,
            architecture: info.architecture.unwrap_or_default(),
            os_type: info.os_type.unwrap_or_default(),
            os: info.operating_system.unwrap_or_default(),
            kernel: info.kernel_version.unwrap_or_default(),
            runtimes,
            authorization: info
                .plugins
                .and_then(|plugins| plugins.authorization)
                .unwrap_or_default(),
        })
    }
}

/// Docker's option of a bridge whose containers reach each other.
const ICC: &str = "com.docker.network.bridge.enable_icc";

impl DockerDriver {
    /// Warns once if containers of different projects share a network. Not if the caller names the bridges of
    /// networks: then it also manages the packet filter.
    async fn check_default_network(&self, api: &Api) {
        if self.bridges.is_some() || self.is_checked.swap(true, Ordering::Relaxed) {
            return;
        }
        let inspecting = api.docker.inspect_network("bridge", None::<InspectNetworkOptions>);
        let Ok(network) = within(QUICK, inspecting).await else { return };
        let icc = network.options.as_ref().and_then(|options| options.get(ICC));
        if icc.is_some_and(|icc| icc != "false") {
            tracing::warn!(
                "containers of different projects can reach each other on this host: set `\"icc\": false` in Docker's \
                 daemon.json, and restart Docker while no container runs"
            );
        }
    }
}

fn total(info: &SystemInfo) -> Resources {
    let cpus = u32::try_from(info.ncpu.unwrap_or_default()).unwrap_or_default();
    let bytes = u64::try_from(info.mem_total.unwrap_or_default()).unwrap_or_default();
    Resources {
        cpus: Cpus::from_millis(cpus.saturating_mul(1000)),
        memory: Mebibytes::from_bytes(bytes),
    }
}

/// Returns the size of the file system of a directory, or 0 if the agent cannot access it.
async fn disk(directory: String) -> Gibibytes {
    let size = tokio::task::spawn_blocking(move || {
        rustix::fs::statvfs(&directory).map(|disk| disk.f_frsize.saturating_mul(disk.f_blocks))
    });
    match size.await {
        Ok(Ok(bytes)) => Gibibytes(bytes >> 30),
        Ok(Err(_)) | Err(_) => Gibibytes(0),
    }
}
