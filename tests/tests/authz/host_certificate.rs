//! The client trusts one CA for one host. Any other server receives nothing from it (C57).

use std::sync::Arc;

use chrono::Utc;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use zun_api::ca::{CertificateAuthority, EnrolledHost};
use zun_common::api::v1::console::Tls;
use zun_common::grant::Mode;
use zun_common::pki::signing_request;
use zunclient::console::docker::address::Address;
use zunclient::console::docker::dial::Dialer;

use super::bench::{console, host};

/// The name that the client dials.
const HOST: &str = "localhost";

/// Serves one client with this certificate and returns the plaintext that it received.
async fn server(certificate: String, key: String) -> (u16, impl Future<Output = Vec<u8>>) {
    let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("a certificate with its key");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let got = async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut bytes = Vec::new();
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            drop(stream.read_to_end(&mut bytes).await);
        }
        bytes
    };
    (port, got)
}

fn host_certificate(ca: &CertificateAuthority, names: &[&str]) -> (String, String) {
    let enrolled = names.iter().map(|name| name.parse().expect("a name or an address"));
    let enrolled = EnrolledHost::new(host(), enrolled);
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let request = signing_request("x", names).expect("a request");
    let certificate =
        ca.host_certificate(&enrolled, &request.csr, Utc::now()).expect("a certificate");
    (certificate, request.key.expose().clone())
}

/// Dials such a server with the CLI's dialer and a valid grant. Returns whether the handshake succeeded, and what the
/// server received.
async fn trusts(
    ours: &CertificateAuthority,
    (certificate, key): (String, String),
) -> (bool, Vec<u8>) {
    let (port, got) = server(certificate, key).await;
    let request = signing_request("client", Vec::new()).expect("a request");
    let grant = console(&"a".repeat(64), Mode::ReadWrite);
    let issued = ours.grant(&request.csr, &grant, "g", Utc::now()).expect("a grant");
    let tls = Tls { ca: ours.certificate_pem().to_owned(), certificate: issued.certificate };
    let dialer = Dialer::new(&tls, &request.key).expect("a dialer");
    let address = Address::parse(&format!("https://{HOST}:{port}/")).expect("an address");
    let dial = async { dialer.dial(&address).await.is_ok() };
    tokio::join!(dial, got)
}

#[tokio::test]
async fn a_wrong_host_certificate_is_refused_before_a_byte_of_input() {
    let directory = tempfile::tempdir().expect("a directory");
    let new_ca = |name| CertificateAuthority::init(&directory.path().join(name)).expect("a CA");
    let (ours, theirs) = (new_ca("ours"), new_ca("theirs"));
    assert!(trusts(&ours, host_certificate(&ours, &[HOST])).await.0, "the right one");
    let request = signing_request("x", Vec::new()).expect("a request");
    let grant = console(&"a".repeat(64), Mode::ReadWrite);
    let client = ours.grant(&request.csr, &grant, HOST, Utc::now()).expect("a grant").certificate;
    for (name, wrong) in [
        ("another CA's", host_certificate(&theirs, &[HOST])),
        ("another host's", host_certificate(&ours, &["compute2"])),
        ("an address", host_certificate(&ours, &["127.0.0.1"])),
        ("a client's", (client, request.key.expose().clone())),
    ] {
        assert_eq!(trusts(&ours, wrong).await, (false, Vec::new()), "{name}");
    }
}
