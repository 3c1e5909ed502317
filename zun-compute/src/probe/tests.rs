//! Tests of the probe against TLS servers on the loopback address.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use zun_common::chain;
use zun_common::shutdown::Tasks;

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK";

struct TestCa {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl TestCa {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn client(&self) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Identity::from_pem(&certificate, &key.serialize_pem()).expect("an identity")
    }

    fn server(&self, clients: Option<Arc<dyn ClientCertVerifier>>) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
        builder.with_single_cert(vec![certificate.der().clone()], key).expect("a server")
    }

    fn mutual(&self) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM")).expect("root");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        self.server(Some(verifier.build().expect("a verifier")))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Accepts every client certificate.
#[derive(Debug)]
struct Anybody;

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let known = provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &known)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let known = provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &known)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

struct Server {
    address: String,
    tasks: Tasks,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// Answers every request. Without a configuration it does not use TLS.
async fn serve(config: Option<ServerConfig>) -> Server {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    let acceptor = config.map(|config| TlsAcceptor::from(Arc::new(config)));
    let tasks = Tasks::new();
    let own = tasks.clone();
    tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = own.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            let (stream, _) = accepted.expect("a client");
            match &acceptor {
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => answer(stream).await,
                    Err(_refused) => {}
                },
                None => answer(stream).await,
            }
        }
    });
    Server { address, tasks }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = [0; 1024];
    if stream.read(&mut request).await.is_ok() {
        let _answered = stream.write_all(ANSWER).await.is_ok();
        let _ended = stream.shutdown().await.is_ok();
    }
}

async fn words(server: &Server, ca: &TestCa) -> String {
    let listener = Listener::new(&server.address, &ca.pem).expect("a listener");
    match listener.rejects_unauthorized().await {
        Ok(()) => "safe".to_owned(),
        Err(error) => chain(&error).replace(&server.address, "HOST"),
    }
}

#[tokio::test]
async fn a_listener_that_accepts_only_our_clients_is_safe() {
    let ca = TestCa::new();
    let server = serve(Some(ca.mutual())).await;
    assert_eq!(words(&server, &ca).await, "safe");
    let listener = Listener::new(&server.address, &ca.pem).expect("a listener");
    let met = listener.ask(Some(&ca.client()), "GET /x").await.expect("an answer");
    assert!(matches!(met, ProbeResult::Answered { status: 200, .. }), "{met:?}");
    let forged = Identity::forged(&ca.pem).expect("an identity");
    assert_eq!(listener.ask(Some(&forged), "GET /x").await.expect("refused"), ProbeResult::Refused);
}

#[tokio::test]
async fn every_unsafe_or_absent_listener_has_its_own_error() {
    let ca = TestCa::new();
    let open = serve(Some(ca.server(None))).await;
    assert_eq!(words(&open, &ca).await, "HOST accepts clients without a certificate");
    let anybody = serve(Some(ca.server(Some(Arc::new(Anybody))))).await;
    assert_eq!(words(&anybody, &ca).await, "HOST accepts client certificates of another CA");
    let plain = serve(None).await;
    let message = words(&plain, &ca).await;
    assert!(
        message.starts_with("HOST does not present a valid TLS certificate of this host"),
        "{message}"
    );
    let other = serve(Some(TestCa::new().mutual())).await;
    let message = words(&other, &ca).await;
    assert!(
        message.starts_with("HOST does not present a valid TLS certificate of this host"),
        "{message}"
    );
    let gone = Server { address: open.address.clone(), tasks: Tasks::new() };
    drop(open);
    // The task of the first server ends soon; until then the port still answers.
    let mut message = words(&gone, &ca).await;
    while message.contains("accepts") {
        tokio::task::yield_now().await;
        message = words(&gone, &ca).await;
    }
    assert!(message.starts_with("cannot connect to HOST"), "{message}");
}

#[test]
fn an_invalid_address_or_ca_is_refused() {
    let ca = TestCa::new().pem;
    for (address, good) in
        [("c1.example:2376", true), ("[::1]:2376", true), ("192.0.2.1:1", true), ("a b:1", false)]
    {
        assert_eq!(Listener::new(address, &ca).is_ok(), good, "{address}");
    }
    assert!(matches!(Listener::new("c1:1", "no PEM"), Err(ProbeError::InvalidCa)));
}
