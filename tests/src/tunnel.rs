//! An HTTP CONNECT proxy, like those of company networks.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use zun_common::shutdown::Tasks;

/// The longest accepted request head, in bytes.
const LONGEST_HEAD: usize = 8192;

/// The proxy. It connects every tunnel to one address and records the requests. It stops on drop.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    tasks: Tasks,
}

impl Tunnel {
    /// Starts the proxy on a free loopback port.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (tasks, requests) = (Tasks::new(), Arc::<Mutex<Vec<String>>>::default());
        let (own, kept) = (tasks.clone(), Arc::clone(&requests));
        tasks.spawn(async move {
            let token = own.token().clone();
            let accept = async {
                while let Ok((stream, _)) = listener.accept().await {
                    let (kept, stop) = (Arc::clone(&kept), token.clone());
                    own.spawn(async move {
                        stop.run_until_cancelled(serve(stream, target, kept)).await;
                    });
                }
            };
            token.run_until_cancelled(accept).await;
        });
        Self { address, requests, tasks }
    }

    /// Returns the URL for `HTTPS_PROXY`, with a user and a password.
    pub fn url(&self) -> String {
        format!("http://user:word@{}", self.address)
    }

    /// Returns the address on which it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the heads of all requests.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

async fn serve(mut stream: TcpStream, target: SocketAddr, requests: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_gone) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let Ok(mut there) = TcpStream::connect(target).await else { return };
    if stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
        // Either end may close the connection.
        drop(copy_bidirectional(&mut stream, &mut there).await);
    }
}
