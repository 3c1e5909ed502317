//! Debian's docker-registry on loopback. A test chooses whether it accepts clients or refuses all of them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use crate::eventually::eventually;

/// The registry. Its process and its data are removed on drop.
#[derive(Debug)]
pub struct DebianRegistry {
    /// Its `host:port`.
    pub address: String,
    process: Mutex<Child>,
    directory: TempDir,
}

impl DebianRegistry {
    /// Starts the registry. It refuses every client.
    ///
    /// # Panics
    /// Panics if `ZUN_TEST_REGISTRY` does not name the program.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("nobody"), "").expect("a file");
        let process = Mutex::new(serve(directory.path(), address, REFUSE_ALL));
        Self { address: address.to_string(), process, directory }
    }

    /// Accepts every client from now on.
    pub fn accept_all(&self) {
        self.restart("");
    }

    /// Accepts the client [`ANN`] from now on, and no other.
    ///
    /// # Panics
    /// Panics if the file of passwords cannot be written.
    pub fn accept_ann(&self) {
        let line = format!("{}:{ANNS_HASH}\n", ANN.0);
        std::fs::write(self.directory.path().join("users"), line).expect("written");
        self.restart("auth: { htpasswd: { realm: zun, path: users } }\n");
    }

    /// Accepts every client while `done` runs, and refuses every client afterwards.
    pub fn accept_all_during(&self, done: impl FnOnce()) {
        self.restart("");
        done();
        self.restart(REFUSE_ALL);
    }

    fn restart(&self, authorization: &str) {
        let mut process = self.process.lock().expect("the process");
        end(&mut process);
        let address = self.address.parse().expect("its address");
        *process = serve(self.directory.path(), address, authorization);
    }
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        if let Ok(mut process) = self.process.lock() {
            end(&mut process);
        }
    }
}

/// The name and the password of a client.
pub const ANN: (&str, &str) = ("ann", "ann-secret");
/// The bcrypt hash of Ann's password.
const ANNS_HASH: &str = "$2y$05$abcdefghijklmnopqrstuuTiO/KVoK528XHhK5ppG/oBowDaYxheu";
const REFUSE_ALL: &str = "auth: { htpasswd: { realm: zun, path: nobody } }\n";

fn serve(directory: &Path, address: SocketAddr, authorization: &str) -> Child {
    let program = std::env::var_os("ZUN_TEST_REGISTRY")
        .expect("ZUN_TEST_REGISTRY names no program; run the tests with `make test`");
    let text = format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: held }} }}\n\
         http: {{ addr: '{address}' }}\n{authorization}"
    );
    std::fs::write(directory.join("config.yml"), text).expect("written");
    let child = Command::new(program)
        .args(["serve", "config.yml"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry runs");
    eventually("the registry listens", || TcpStream::connect(address).is_ok());
    child
}

fn end(process: &mut Child) {
    if process.kill().is_ok() && process.wait().is_err() {
        eprintln!("cannot wait for docker-registry");
    }
}
