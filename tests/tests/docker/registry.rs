//! A registry on loopback that gives one image, made at random.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use rand::Rng as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use zun_common::shutdown::Tasks;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Large enough for the engine to tell of its progress.
const LAYER: usize = 3 << 20;

/// What a registry has: content by the end of its path.
type Store = HashMap<String, Bytes>;

/// A registry with the image `zun-conformance:v1`.
pub(crate) struct Registry {
    /// Its `host:port`.
    pub(crate) address: String,
    /// The digest of the image.
    pub(crate) digest: String,
    tasks: Tasks,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let (store, digest) = store();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let tasks = Tasks::new();
        tasks.spawn(serve(listener, Arc::new(store), tasks.clone()));
        Self { address, digest, tasks }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn serve(listener: TcpListener, store: Arc<Store>, tasks: Tasks) {
    loop {
        let (stream, _) = tokio::select! {
            () = tasks.cancelled() => return,
            accepted = listener.accept() => accepted.expect("a client"),
        };
        let store = Arc::clone(&store);
        let answer = service_fn(move |request| {
            let response = answer(&store, &request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), answer);
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "a client of the registry left");
            }
        });
    }
}

fn answer(store: &Store, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let known = path.strip_prefix("/v2/zun-conformance/").and_then(|rest| store.get(rest));
    let response = Response::builder().header("Docker-Distribution-Api-Version", "registry/2.0");
    let response = match known {
        Some(content) if path.contains("/manifests/") => response
            .header(CONTENT_TYPE, MANIFEST)
            .header("Docker-Content-Digest", digest(content))
            .body(Full::new(content.clone())),
        Some(content) => response.body(Full::new(content.clone())),
        None if path == "/v2/" => response.body(Full::new("{}".into())),
        None => response.status(StatusCode::NOT_FOUND).body(Full::new(
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.into(),
        )),
    };
    response.expect("a response")
}

/// One image, and the digest of its manifest.
fn store() -> (Store, String) {
    let layer = Bytes::from(tar());
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let config = Bytes::from(config.to_string());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(), "digest": digest(&config),
        },
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
            "size": layer.len(), "digest": digest(&layer),
        }],
    });
    let manifest = Bytes::from(manifest.to_string());
    let name = digest(&manifest);
    let store = HashMap::from([
        (format!("blobs/{}", digest(&layer)), layer),
        (format!("blobs/{}", digest(&config)), config),
        (format!("manifests/{name}"), manifest.clone()),
        ("manifests/v1".to_owned(), manifest),
    ]);
    (store, name)
}

fn digest(content: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(content) {
        write!(text, "{byte:02x}").expect("a text takes all");
    }
    text
}

/// An archive of one file that cannot be compressed.
fn tar() -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..6].copy_from_slice(b"random");
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{LAYER:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut content = vec![0; LAYER];
    rand::rng().fill_bytes(&mut content);
    [header.as_slice(), &content, &[0; 1024]].concat()
}
