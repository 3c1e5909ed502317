//! A registry on loopback that serves one random image, at a pace that the test chooses.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rand::Rng as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use zun_common::shutdown::Tasks;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Large enough that the engine reports progress.
const LAYER: usize = 3 << 20;
const CHUNK: usize = 64 << 10;

/// The content of a registry, by the end of the path.
type Store = HashMap<String, Bytes>;
type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// How fast the registry sends layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Fast,
    /// Each layer takes a few seconds.
    Slow,
    /// It sends half of the layer and then nothing.
    Stalled,
}

/// A registry with the image `zun-conformance:v1`. It answers 403 for `zun-forbidden`.
#[derive(Debug)]
pub struct Registry {
    /// Its `host:port`.
    pub address: String,
    /// The digest of the image's manifest.
    pub digest: String,
    tasks: Tasks,
    open: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Served {
    store: Store,
    pace: Pace,
    open: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Registry {
    /// Starts a registry with an image of one layer, sent at once.
    ///
    /// # Panics
    /// Panics if there is no free port.
    pub async fn start() -> Self {
        Self::with(Pace::Fast, vec![random_layer()]).await
    }

    /// Starts a registry with an image of three layers; one contains a shell.
    ///
    /// # Panics
    /// Panics if there is no free port or this machine has no busybox.
    pub async fn with_shell(pace: Pace) -> Self {
        Self::with(pace, vec![shell_layer(), random_layer(), random_layer()]).await
    }

    async fn with(pace: Pace, layers: Vec<Vec<u8>>) -> Self {
        let (store, digest) = store(layers);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let tasks = Tasks::new();
        let (open, requests) = (Arc::default(), Arc::default());
        let served =
            Served { store, pace, open: Arc::clone(&open), requests: Arc::clone(&requests) };
        tasks.spawn(serve(listener, Arc::new(served), tasks.clone()));
        Self { address, digest, tasks, open, requests }
    }

    /// Returns the number of requests for manifests. Each pull sends a few.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns the number of layers that are being sent now, except at [`Pace::Fast`].
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn serve(listener: TcpListener, served: Arc<Served>, tasks: Tasks) {
    loop {
        let (stream, _) = tokio::select! {
            () = tasks.cancelled() => return,
            accepted = listener.accept() => accepted.expect("a client"),
        };
        let served = Arc::clone(&served);
        let answer = service_fn(move |request| {
            let response = answer(&served, &request);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), answer);
        let own = tasks.clone();
        tasks.spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(error = %error, "a client of the registry left");
                    }
                }
                () = own.cancelled() => {}
            }
        });
    }
}

fn answer(served: &Served, request: &Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if path.contains("/manifests/") {
        served.requests.fetch_add(1, Ordering::Relaxed);
    }
    let known = path.strip_prefix("/v2/zun-conformance/").and_then(|rest| served.store.get(rest));
    let response = Response::builder().header("Docker-Distribution-Api-Version", "registry/2.0");
    let response = match known {
        Some(content) if path.contains("/manifests/") => response
            .header(CONTENT_TYPE, MANIFEST)
            .header("Docker-Content-Digest", digest(content))
            .header(CONTENT_LENGTH, content.len())
            .body(full_body(content.clone())),
        Some(content) if content.len() > CHUNK && served.pace != Pace::Fast => {
            response.header(CONTENT_LENGTH, content.len()).body(paced_body(content.clone(), served))
        }
        Some(content) => {
            response.header(CONTENT_LENGTH, content.len()).body(full_body(content.clone()))
        }
        None if path == "/v2/" => response.body(full_body("{}".into())),
        None if path.starts_with("/v2/zun-forbidden/") => {
            response.status(StatusCode::FORBIDDEN).body(full_body(
                r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#
                    .into(),
            ))
        }
        None => response.status(StatusCode::NOT_FOUND).body(full_body(
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.into(),
        )),
    };
    response.expect("a response")
}

fn full_body(content: Bytes) -> Body {
    StreamBody::new(futures_util::stream::iter([Ok(Frame::data(content))]).boxed())
}

/// Counts a layer while it is being sent.
struct InProgress(Arc<AtomicUsize>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn paced_body(content: Bytes, served: &Served) -> Body {
    served.open.fetch_add(1, Ordering::Relaxed);
    let in_progress = InProgress(Arc::clone(&served.open));
    let (pace, half) = (served.pace, content.len() / 2);
    let stream = unfold((content, in_progress), move |(mut content, in_progress)| async move {
        if content.is_empty() {
            return None;
        }
        if pace == Pace::Stalled && content.len() < half {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        let chunk = content.split_to(CHUNK.min(content.len()));
        Some((Ok(Frame::data(chunk)), (content, in_progress)))
    });
    StreamBody::new(stream.boxed())
}

/// Builds one image. Returns its content and the digest of its manifest.
fn store(layers: Vec<Vec<u8>>) -> (Store, String) {
    let layers: Vec<Bytes> = layers.into_iter().map(Bytes::from).collect();
    let digests: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": digests},
    });
    let config = Bytes::from(config.to_string());
    let descriptors = layers.iter().map(|layer| {
        json!({
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
            "size": layer.len(), "digest": digest(layer),
        })
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(), "digest": digest(&config),
        },
        "layers": descriptors.collect::<Vec<_>>(),
    });
    let manifest = Bytes::from(manifest.to_string());
    let name = digest(&manifest);
    let mut store: Store =
        layers.into_iter().map(|layer| (format!("blobs/{}", digest(&layer)), layer)).collect();
    store.insert(format!("blobs/{}", digest(&config)), config);
    store.insert(format!("manifests/{name}"), manifest.clone());
    store.insert("manifests/v1".to_owned(), manifest);
    (store, name)
}

fn digest(content: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(content) {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

/// Returns a tar of one file that cannot be compressed.
fn random_layer() -> Vec<u8> {
    let mut content = vec![0; LAYER];
    rand::rng().fill_bytes(&mut content);
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join(format!("random{}", content[0])), &content)
        .expect("a file");
    tar_of(directory.path())
}

/// Returns a tar of a shell and a random file. The random file makes the layer unique: if several registries had the
/// same layer, the engine would fetch it from only one of them.
fn shell_layer() -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let bin = directory.path().join("bin");
    std::fs::create_dir(&bin).expect("a directory");
    let found = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| std::fs::copy(path, bin.join("busybox")).is_ok());
    found.expect("the machine's busybox");
    std::os::unix::fs::symlink("busybox", bin.join("sh")).expect("a link");
    let mut own = [0; 32];
    rand::rng().fill_bytes(&mut own);
    std::fs::write(directory.path().join("own"), own).expect("a file");
    tar_of(directory.path())
}

fn tar_of(directory: &std::path::Path) -> Vec<u8> {
    let output = Command::new("tar")
        .args(["--numeric-owner", "--owner=0", "--group=0", "-c", "-C"])
        .arg(directory)
        .arg(".")
        .output()
        .expect("tar runs");
    assert!(output.status.success(), "tar packs a layer");
    output.stdout
}
