//! Tests of the in-memory transport.

use std::sync::Arc;

use async_trait::async_trait;
use zun_common::bus::{MemoryTransport, Transport};
use zun_common::shutdown::Tasks;
use zun_tests::conformance::transport::Broker;

struct InProcess {
    first: MemoryTransport,
    tasks: Tasks,
}

#[async_trait]
impl Broker for InProcess {
    async fn connect(&self) -> Arc<dyn Transport> {
        Arc::new(self.first.reconnect(&self.tasks))
    }
}

async fn broker() -> InProcess {
    let tasks = Tasks::new();
    InProcess { first: MemoryTransport::new(&tasks), tasks }
}

zun_tests::transport_conformance!(broker);
