//! A fake Docker engine: a TLS server that answers one scripted call per connection. It also issues the grants that a
//! client needs to connect.

pub(crate) mod service;

use std::future::Future;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use zun_common::api::v1::console::{Calls, ConsoleEndpoint, DOCKER_ATTACH, Tls};
use zun_common::grant::WaitCondition;
use zun_common::pki::signing_request;
use zun_common::shutdown::Tasks;
use zunclient::console::Dial;

pub(crate) type Server = TlsStream<TcpStream>;

/// A CA that signs the certificates of hosts and grants.
pub(crate) struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl TestCa {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, csr: &str) -> String {
        let request = CertificateSigningRequestParams::from_pem(csr).expect("a request");
        request.signed_by(&self.issuer).expect("signed").pem()
    }

    /// A TLS server with a certificate of this CA for `names`.
    fn acceptor(&self, names: &[&str]) -> TlsAcceptor {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let request = signing_request("host", names).expect("a request");
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.pem)).expect("a CA certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
                .build()
                .expect("a verifier");
        let key = PrivateKeyDer::from_pem_slice(request.key.expose().as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate(&self.sign(&request.csr))], key)
            .expect("a server");
        TlsAcceptor::from(Arc::new(config))
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// A request to the fake engine: its headers, and the stream for the rest.
pub(crate) struct EngineRequest {
    pub(crate) head: String,
    pub(crate) stream: Server,
    /// How many connections were opened so far.
    pub(crate) opened: watch::Receiver<usize>,
}

/// A fake engine.
pub(crate) struct Engine {
    pub(crate) port: u16,
    pub(crate) ca: TestCa,
    pub(crate) tasks: Tasks,
}

impl Engine {
    /// Starts an engine that answers each request with `answer`. Its certificate is valid for `names`.
    pub(crate) async fn start<F>(
        names: &[&str],
        answer: impl Fn(EngineRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let ca = TestCa::new();
        let acceptor = ca.acceptor(names);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tasks = Tasks::new();
        let own = tasks.clone();
        let answer = Arc::new(answer);
        let (count, opened) = watch::channel(0);
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.send_modify(|count| *count += 1);
                own.spawn(serve((acceptor.clone(), stream), opened.clone(), Arc::clone(&answer)));
            }
        });
        Self { port, ca, tasks }
    }

    /// Returns what a client needs to connect to a container's console.
    pub(crate) fn dial(&self, tty: bool, host: &str) -> Dial {
        let request = signing_request("client", Vec::new()).expect("a request");
        let mut endpoint = self.endpoint_at(host, &request.csr);
        endpoint.tty = tty;
        Dial {
            until: WaitCondition::NextExit,
            ..Dial::new(endpoint, request.key, self.tasks.child())
        }
    }

    /// Returns the console endpoint of a container without a terminal, as the service sends it.
    pub(crate) fn endpoint(&self, csr: &str) -> serde_json::Value {
        serde_json::to_value(self.endpoint_at("127.0.0.1", csr)).expect("JSON")
    }

    /// Returns the CA, and a client certificate for this signing request.
    pub(crate) fn grant(&self, csr: &str) -> Tls {
        Tls { ca: self.ca.pem.clone(), certificate: self.ca.sign(csr) }
    }

    fn endpoint_at(&self, host: &str, csr: &str) -> ConsoleEndpoint {
        let at =
            |scheme: &str, tail: &str| Some(format!("{scheme}://{host}:{}/c/{tail}", self.port));
        ConsoleEndpoint {
            protocol: DOCKER_ATTACH.to_owned(),
            url: String::new(),
            calls: Calls {
                websocket: at("wss", "attach/ws?detachKeys=%FF,%FE"),
                attach: at("https", "attach?stdin=1"),
                output: at("https", "attach?stdin=0"),
                resize: at("https", "resize"),
                wait: at("https", "wait"),
                ..Calls::default()
            },
            tls: self.grant(csr),
            tty: false,
            stdin: true,
            run: Some(1),
            running: false,
            expires_at: chrono::Utc::now() + chrono::TimeDelta::seconds(60),
        }
    }
}

async fn serve<F>(
    (acceptor, stream): (TlsAcceptor, TcpStream),
    opened: watch::Receiver<usize>,
    answer: Arc<impl Fn(EngineRequest) -> F>,
) where
    F: Future<Output = ()>,
{
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    if let Some(head) = read_head(&mut stream).await {
        answer(EngineRequest { head, stream, opened }).await;
    }
}

async fn read_head(stream: &mut Server) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
