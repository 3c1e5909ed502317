//! Upgrades a connection to a websocket.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use zun_common::pty::MAXIMUM_FRAME;

use super::address::Address;
use super::upgrade::upgrade;
use crate::console::ConsoleError;

/// The subprotocols that the client offers.
#[derive(Clone, Copy)]
pub(in crate::console) struct Protocols<'a> {
    /// The one that the host must choose.
    pub(in crate::console) wanted: &'a str,
    /// What is offered after it. It may contain a secret.
    pub(in crate::console) others: &'a str,
}

/// Sends the request, and checks the answer. Docker has no subprotocol.
pub(in crate::console) async fn websocket<S>(
    stream: S,
    address: &Address,
    protocols: Option<Protocols<'_>>,
) -> Result<WebSocketStream<S>, ConsoleError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let authority = address.authority();
    let key = generate_key();
    let more = match protocols {
        Some(Protocols { wanted, others }) => {
            format!("Sec-WebSocket-Protocol: {wanted}, {others}\r\n")
        }
        // Docker insists on an origin. The console gate takes one for that of a browser.
        None => format!("Origin: https://{authority}\r\n"),
    };
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: zun\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{more}\r\n",
        address.target,
    );
    let upgraded = upgrade(stream, &authority, request.as_bytes()).await?;
    let bad = |problem| ConsoleError::BadAnswer { address: authority.clone(), problem };
    if upgraded.header("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes())) {
        return Err(bad("it does not accept the WebSocket"));
    }
    let chosen = upgraded.header("sec-websocket-protocol");
    if chosen != protocols.map(|protocols| protocols.wanted) {
        return Err(bad("it chooses another protocol for the WebSocket"));
    }
    let limits = protocols.map(|_ours| {
        let config = WebSocketConfig::default();
        config.max_message_size(Some(MAXIMUM_FRAME)).max_frame_size(Some(MAXIMUM_FRAME))
    });
    let first = upgraded.first;
    Ok(WebSocketStream::from_partially_read(upgraded.stream, first, Role::Client, limits).await)
}
