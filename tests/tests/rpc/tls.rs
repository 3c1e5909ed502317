//! Tests of AMQPS: a TLS server in front of the broker, with a certificate from a trusted or an unknown CA.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use zun_common::bus::{BusSettings, RequestError, Route, connect};
use zun_common::shutdown::Tasks;
use zun_tests::rabbit::{Rabbit, VirtualHost};

use super::support::{Count, bus, context, counting, host, serve};

struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl TestCa {
    fn fresh() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a CA") }
    }

    fn write(&self, path: &Path) {
        std::fs::write(path, self.issuer.pem()).expect("written");
    }

    fn server(&self) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .expect("a server");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Terminates TLS and forwards to the broker.
async fn tls_proxy(acceptor: TlsAcceptor, broker: SocketAddr, tasks: &Tasks) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let own = tasks.clone();
    tasks.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            own.spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(broker).await.expect("the broker");
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    address
}

fn secure(virtual_host: &VirtualHost, way: SocketAddr, ca_file: &Path) -> BusSettings {
    let BusSettings { url, .. } = virtual_host.settings_through(way);
    BusSettings {
        ca_file: Some(ca_file.to_owned()),
        ..BusSettings::at(url.replacen("amqp:", "amqps:", 1))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_need_tls_with_a_trusted_ca() {
    let (rabbit, tasks) = (Rabbit::shared().await, Tasks::new());
    let virtual_host = rabbit.virtual_host().await;
    let (ours, foreign) = (TestCa::fresh(), TestCa::fresh());
    let directory = tempfile::tempdir().expect("a directory");
    let (trusted, wrong) = (directory.path().join("ca.pem"), directory.path().join("wrong.pem"));
    ours.write(&trusted);
    foreign.write(&wrong);
    let way = tls_proxy(ours.server(), rabbit.address(), &tasks).await;

    let bus = bus(&secure(&virtual_host, way, &trusted), &tasks).await;
    serve(&bus, &host("compute1"), counting(), &tasks).await;
    assert_eq!(bus.call(&host("compute1"), &Count(1), &context()).await.expect("a reply"), 2);

    let deceived = connect(&secure(&virtual_host, way, &wrong), "test", &tasks).expect("settings");
    let message = zun_common::bus::Outgoing {
        route: Route::Host(host("compute1")),
        id: uuid::Uuid::new_v4(),
        body: bytes::Bytes::from_static(b"{}"),
        deadline: std::time::Instant::now() + Duration::from_secs(2),
    };
    let asked = deceived.transport().request(message).await;
    assert!(matches!(asked, Err(RequestError::Unreachable)), "{asked:?}");
    assert!(!deceived.transport().is_connected());
}
