//! Resizes terminals, and manages execs.

use async_trait::async_trait;
use bollard::query_parameters::{ResizeContainerTTYOptions, ResizeExecOptions};
use zun_common::id::{ContainerId, ExecId};
use zun_common::rpc::exec::{ExecOutput, ExecSpec};
use zun_common::units::TerminalSize;

use super::deadline::{QUICK, SLOW, within};
use super::{DockerDriver, from_docker, to_docker};
use crate::driver::{DriverError, ExecInfo, Sessions};

#[async_trait]
impl Sessions for DockerDriver {
    async fn resize(&self, container: ContainerId, size: TerminalSize) -> Result<(), DriverError> {
        let api = self.api().await?;
        let name = container.engine_name();
        let TerminalSize { rows, columns } = size;
        let options = ResizeContainerTTYOptions { h: rows.into(), w: columns.into() };
        within(QUICK, api.docker.resize_container_tty(&name, options))
            .await
            .map_err(|failure| failure.about_container("resize the terminal", container))
    }

    async fn exec_create(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecId, DriverError> {
        let config = to_docker::exec(spec)?;
        let api = self.api().await?;
        let made = within(SLOW, api.docker.create_exec(&container.engine_name(), config))
            .await
            .map_err(|failure| failure.about_container("create the exec", container))?;
        if let Some(sizes) = &api.sizes {
            sizes.store(&made.id, spec.size.filter(|_| spec.tty)).await;
        }
        made.id.parse().map_err(|error: zun_common::id::InvalidId| DriverError::Engine {
            doing: "create the exec",
            words: error.to_string(),
        })
    }

    async fn exec_run(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecOutput, DriverError> {
        self.run(container, spec).await
    }

    async fn exec_inspect(&self, exec: &ExecId) -> Result<ExecInfo, DriverError> {
        let api = self.api().await?;
        let shown = within(QUICK, api.docker.inspect_exec(exec.as_str()))
            .await
            .map_err(|failure| failure.about_exec("inspect the exec", exec))?;
        from_docker::exec_seen(&shown)
    }

    async fn exec_signal(&self, exec: &ExecId, signal: &str) -> Result<(), DriverError> {
        self.signal_exec(exec, signal).await
    }

    async fn exec_resize(&self, exec: &ExecId, size: TerminalSize) -> Result<(), DriverError> {
        // Docker would block the request for ten seconds if the exec is not running.
        if !self.exec_inspect(exec).await?.running {
            return Err(DriverError::Conflict { words: format!("Exec {exec} is not running") });
        }
        let api = self.api().await?;
        let TerminalSize { rows, columns } = size;
        let options = ResizeExecOptions { h: rows.into(), w: columns.into() };
        within(QUICK, api.docker.resize_exec(exec.as_str(), options))
            .await
            .map_err(|failure| failure.about_exec("resize the exec's terminal", exec))
    }
}
