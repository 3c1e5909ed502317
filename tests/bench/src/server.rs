//! A zun-api of its own, from the release build, with a database that nothing else uses.

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zun_common::shutdown::Tasks;
use zun_tests::eventually::eventually;
use zun_tests::postgres;
use zun_tests::rabbit::{Rabbit, VirtualHost};
use zun_tests::zun_cli::binary;

use crate::http::Connection;
use crate::run::Run;

/// The token of an administrator.
pub const TOKEN: &str = "the-token-of-the-benchmarks";

/// The project of that token.
pub const PROJECT: &str = "blue";

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// The server of the test services.
    Postgres,
}

/// The database of a zun-api.
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// A database on the server of the test services.
    Postgres(postgres::Database),
}

/// One or several zun-api on one database, with a virtual host of RabbitMQ.
pub struct Servers {
    processes: Vec<Process>,
    /// The tasks of agents and of their connections.
    pub tasks: Tasks,
    /// The virtual host.
    pub bus: VirtualHost,
    /// The database.
    pub database: Database,
    rabbit: Rabbit,
    directory: TempDir,
}

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Servers {
    /// Starts this number of zun-api. SQLite allows one.
    ///
    /// # Panics
    /// Panics if they do not start.
    pub fn start(run: &Run, kind: Kind, count: usize) -> Self {
        let (rabbit, bus) = run.runtime.block_on(async {
            let rabbit = Rabbit::shared().await;
            let bus = rabbit.virtual_host().await;
            (rabbit, bus)
        });
        // Under target, and not in a directory in memory: commits wait for the disk.
        let programs = binary("zun-api");
        let place = programs.parent().and_then(Path::parent).expect("the directory target");
        let directory = tempfile::Builder::new().prefix("zun-bench-").tempdir_in(place);
        let directory = directory.expect("a directory");
        let database = match kind {
            Kind::Sqlite => Database::Sqlite(directory.path().join("zun.sqlite")),
            Kind::Postgres => Database::Postgres(postgres::Database::create()),
        };
        let tasks = Tasks::new();
        let mut servers = Self { processes: Vec::new(), tasks, bus, database, rabbit, directory };
        servers.write_tokens();
        for index in 0..count {
            servers.launch(index);
        }
        servers
    }

    /// Opens a connection to one of them.
    pub fn connect(&self, index: usize) -> Connection {
        Connection::open(self.processes[index % self.processes.len()].address, TOKEN)
    }

    /// Opens connections, in turn to each of them.
    pub fn connections(&self, count: usize) -> Vec<Connection> {
        (0..count).map(|index| self.connect(index)).collect()
    }

    /// Returns the processes.
    pub fn pids(&self) -> Vec<u32> {
        self.processes.iter().map(|process| process.child.id()).collect()
    }

    /// Stops everything.
    pub fn stop(mut self, run: &Run) {
        for process in &mut self.processes {
            kill_process(Pid::from_child(&process.child), Signal::TERM).expect("it runs");
        }
        for process in &mut self.processes {
            let child = &mut process.child;
            eventually("zun-api has ended", || child.try_wait().expect("its status").is_some());
        }
        run.runtime.block_on(async {
            self.tasks.finish(std::time::Duration::from_secs(20)).await;
            self.rabbit.remove(&self.bus).await;
        });
    }

    fn write_tokens(&self) {
        let hash = hex::encode(Sha256::digest(TOKEN));
        let text = format!(
            "[[token]]\nsha256 = '{hash}'\nuser = 'ann'\nproject = '{PROJECT}'\nroles = ['admin']\n"
        );
        write_private(&self.directory.path().join("tokens.toml"), &text);
    }

    fn launch(&mut self, index: usize) {
        let address = free_address();
        let here = self.directory.path();
        let database = match &self.database {
            Database::Sqlite(file) => format!("sqlite://{}", file.display()),
            Database::Postgres(database) => database.url(),
        };
        let text = format!(
            "[http]\nlisten = '{address}'\n[auth]\nstrategy = 'token'\ntoken_file = '{}/tokens.toml'\n\
             [database]\nurl = '{database}'\n[bus]\nurl = '{}'\n\
             [quotas]\ncontainers = -1\ncpu = -1\nmemory = -1\ndisk = -1\n",
            here.display(),
            self.bus.url(),
        );
        let settings = here.join(format!("zun-api-{index}.toml"));
        write_private(&settings, &text);
        let log = File::create(here.join(format!("zun-api-{index}.log"))).expect("a log file");
        let child = Command::new(binary("zun-api"))
            .arg("--config")
            .arg(&settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("zun-api runs");
        self.processes.push(Process { child, address });
        eventually("zun-api listens", || TcpStream::connect(address).is_ok());
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.tasks.cancel();
        for process in &mut self.processes {
            if process.child.kill().is_ok() && process.child.wait().is_err() {
                eprintln!("cannot wait for zun-api");
            }
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("zun-api-0.log"));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        }
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

fn write_private(path: &Path, text: &str) {
    let file = File::options().create(true).truncate(true).write(true).mode(0o600).open(path);
    file.expect("a file").write_all(text.as_bytes()).expect("written");
}
