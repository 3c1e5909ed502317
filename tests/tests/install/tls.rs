//! Tests of TLS on the API's listener, with the real programs.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use zun_tests::eventually::eventually;
use zun_tests::tls::{Identity, RogueCa, TlsDialer};
use zun_tests::zun_cli::{ZunCli, binary};

/// Longer than anything in these tests takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// A directory with a CA, and with a certificate of it for `localhost`.
struct Site {
    directory: TempDir,
    address: SocketAddr,
}

/// A running zun-api.
struct Server(Child);

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address");
        let site = Self { directory, address };
        zun_api(&["ca", "init", "--directory"], &site.path("ca"));
        site.renew();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Creates a new key and a new certificate.
    fn renew(&self) {
        let tls = self.path("tls").display().to_string();
        let names = ["--name", "localhost", "--name", "127.0.0.1"];
        let create = ["ca", "api-certificate", "--output", &tls];
        zun_api(&[&create[..], &names, &["--directory"]].concat(), &self.path("ca"));
    }

    fn ca(&self) -> String {
        std::fs::read_to_string(self.path("ca/ca.pem")).expect("a CA")
    }

    /// Writes the settings. `HERE` in the lines of `[http]` is the directory.
    fn settings(&self, http: &str) -> PathBuf {
        let here = self.directory.path().display().to_string();
        let text = format!(
            "[http]\n{http}\n[auth]\nstrategy = 'none'\n[database]\nurl = 'sqlite://HERE/zun.sqlite'\n[bus]\nurl = 'memory://'\n"
        );
        let file = self.path("zun-api.toml");
        std::fs::write(&file, text.replace("HERE", &here)).expect("written");
        file
    }

    /// Starts zun-api with the certificate, and waits until it listens.
    fn serve(&self, http: &str) -> Server {
        let http = format!(
            "listen = '{}'\ncertificate = 'HERE/tls/cert.pem'\nkey = 'HERE/tls/key.pem'\n{http}",
            self.address
        );
        let mut command = Command::new(binary("zun-api"));
        command.arg("--config").arg(self.settings(&http));
        let server = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Server(server.expect("zun-api runs"));
        eventually("zun-api listens", || std::net::TcpStream::connect(self.address).is_ok());
        server
    }

    fn dialer(&self) -> TlsDialer {
        TlsDialer { address: self.address, name: "localhost".to_owned(), ca: self.ca() }
    }

    async fn dial(&self) -> TlsStream<TcpStream> {
        self.dialer().dial(None).await.expect("a TLS connection")
    }

    /// Returns what `--check-config` says about these lines of `[http]`.
    fn check(&self, http: &str) -> String {
        let mut command = Command::new(binary("zun-api"));
        command.arg("--check-config").arg("--config").arg(self.settings(http));
        let output = command.output().expect("zun-api runs");
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.success(), text.contains("are valid"), "{text}");
        text.replace(&self.directory.path().display().to_string(), "HERE").trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs a command of zun-api with a directory as last argument.
pub(super) fn zun_api(arguments: &[&str], directory: &Path) {
    let output = Command::new(binary("zun-api")).args(arguments).arg(directory).output();
    let output = output.expect("zun-api runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Sends a request, and returns the response up to the end of its body. The connection stays open.
async fn get(stream: &mut TlsStream<TcpStream>, path: &str) -> std::io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost:1\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut response = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&response).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                return Ok(text);
            }
        }
        let read = timeout(DEADLINE, stream.read_buf(&mut response)).await;
        if read.expect("a response in time")? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn leaf(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

#[tokio::test]
async fn the_api_speaks_tls_with_a_certificate_of_zuns_own_ca() {
    let site = Site::new();
    let _server = site.serve("");
    let mut stream = site.dial().await;
    let response = get(&mut stream, "/").await.expect("a response");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.contains("\"https://localhost:1/v1/\""), "links are secure too: {response}");

    let endpoint = format!("https://localhost:{}/v1", site.address.port());
    let zun = ZunCli::at(&endpoint, "any");
    let trusting = zun.clone().with("OS_CACERT", &site.path("ca/ca.pem").display().to_string());
    assert!(trusting.must(&["list"]).starts_with("ID "));
    let distrusting = zun.run(&["list"]);
    assert_ne!(distrusting.code, 0);
    assert!(distrusting.stderr.contains("cannot reach the service"), "{distrusting:?}");
}

#[tokio::test]
async fn a_changed_certificate_is_served_to_new_connections_and_open_ones_continue() {
    let site = Site::new();
    let _server = site.serve("");
    let mut open = site.dial().await;
    get(&mut open, "/healthz").await.expect("a response");
    site.renew();
    let renewed = site.dial().await;
    assert_ne!(leaf(&renewed), leaf(&open));
    get(&mut open, "/healthz").await.expect("a response on the open connection");

    // A key that does not belong to the certificate: the previous pair stays in use.
    let other = RogueCa::named("other").identity("zun://x", |_| {});
    std::fs::write(site.path("tls/cert.pem"), other.leaf_pem()).expect("written");
    assert_eq!(leaf(&site.dial().await), leaf(&renewed));
    site.renew();
    assert_ne!(leaf(&site.dial().await), leaf(&renewed));
}

#[tokio::test]
async fn plain_http_on_the_tls_port_ends_without_an_answer_and_zun_says_why() {
    let site = Site::new();
    let _server = site.serve("");
    let mut stream = TcpStream::connect(site.address).await.expect("a connection");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut response = Vec::new();
    let ended = timeout(DEADLINE, stream.read_to_end(&mut response)).await;
    ended.expect("the connection is closed").ok();
    assert!(!response.starts_with(b"HTTP/"), "{response:?}");
    let zun = ZunCli::at(&format!("http://{}/v1", site.address), "any");
    let refused = zun.run(&["list"]);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("does not speak plain HTTP"), "{refused:?}");
    assert!(refused.stderr.contains("use https:// in OS_ENDPOINT"), "{refused:?}");
}

#[tokio::test]
async fn with_a_client_ca_only_its_certificates_open_a_connection() {
    let site = Site::new();
    let (ours, theirs) = (RogueCa::named("ours"), RogueCa::named("ours"));
    std::fs::write(site.path("client-ca.pem"), ours.ca_pem()).expect("written");
    let _server = site.serve("client_ca = 'HERE/client-ca.pem'");
    let answers = async |identity: Option<&Identity>| match site.dialer().dial(identity).await {
        Ok(mut stream) => get(&mut stream, "/healthz").await.is_ok(),
        Err(_refused) => false,
    };
    let own = ours.identity("zun://x", |_| {});
    assert!(answers(Some(&own)).await);
    assert!(!answers(Some(&theirs.identity("zun://x", |_| {}))).await);
    assert!(!answers(None).await);

    let endpoint = format!("https://localhost:{}/v1", site.address.port());
    let file = |name: &str| site.path(name).display().to_string();
    let without = ZunCli::at(&endpoint, "any").with("OS_CACERT", &file("ca/ca.pem"));
    let refused = without.run(&["list"]);
    assert!(refused.stderr.contains("the service requires a client certificate"), "{refused:?}");
    std::fs::write(site.path("client.pem"), own.leaf_pem()).expect("written");
    std::fs::write(site.path("client.key"), own.key_pem()).expect("written");
    let with = without.clone().with("OS_CERT", &file("client.pem"));
    let with = with.with("OS_KEY", &file("client.key"));
    assert!(with.must(&["list"]).starts_with("ID "));
    let clouds = format!(
        "clouds:\n  lab:\n    auth_type: none\n    endpoint: {endpoint}\n    cacert: {}\n    cert: {}\n    key: {}\n",
        file("ca/ca.pem"),
        file("client.pem"),
        file("client.key"),
    );
    std::fs::write(site.path("clouds.yaml"), clouds).expect("written");
    let cloud = without.with("OS_CLIENT_CONFIG_FILE", &file("clouds.yaml"));
    assert!(cloud.must(&["--os-cloud", "lab", "list"]).starts_with("ID "));
}

#[test]
fn check_config_names_what_is_wrong_with_the_listener() {
    let site = Site::new();
    let pair = "certificate = 'HERE/tls/cert.pem'\nkey = 'HERE/tls/key.pem'\n";
    assert_eq!(site.check(pair), "the settings are valid");
    let missing = site.check("certificate = 'HERE/tls/cert.pem'");
    assert!(missing.contains("http.key is missing: http.certificate needs it"), "{missing}");
    let missing = site.check("client_ca = 'HERE/ca/ca.pem'");
    assert!(missing.contains("http.certificate is missing: http.client_ca needs it"), "{missing}");
    let absent = site.check("certificate = 'HERE/none.pem'\nkey = 'HERE/tls/key.pem'");
    assert!(absent.contains("cannot read http.certificate `HERE/none.pem`"), "{absent}");
    let no_key = site.check("certificate = 'HERE/tls/cert.pem'\nkey = 'HERE/tls/cert.pem'");
    assert!(no_key.contains("its mode is 644, but only its owner may read it"), "{no_key}");
    let swapped = site.check("certificate = 'HERE/ca/ca.pem'\nkey = 'HERE/tls/key.pem'");
    assert!(
        swapped.contains("cannot use http.certificate `HERE/ca/ca.pem` with http.key"),
        "{swapped}"
    );
    let mut file = std::fs::File::create(site.path("empty.pem")).expect("a file");
    file.write_all(b"nothing\n").expect("written");
    file.set_permissions(std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let no_ca = site.check(&format!("{pair}client_ca = 'HERE/empty.pem'"));
    assert!(no_ca.contains("http.client_ca `HERE/empty.pem` is not valid"), "{no_ca}");
    let no_pem = site.check("certificate = 'HERE/empty.pem'\nkey = 'HERE/tls/key.pem'");
    assert!(no_pem.contains("must contain the certificate of the server in PEM"), "{no_pem}");
    let no_pem = site.check("certificate = 'HERE/tls/cert.pem'\nkey = 'HERE/empty.pem'");
    assert!(no_pem.contains("must contain an unencrypted private key in PEM"), "{no_pem}");
}
