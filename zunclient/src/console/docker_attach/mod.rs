//! `docker.attach`: Docker's attach call over mTLS, directly to the host. It uses a WebSocket for a terminal with
//! input, and a hijacked connection otherwise. Resize and wait are control calls with the same grant.
//!
//! ```text
//!  dial ──┬─> attached ────────┬──> (started) ──> output … end ──> exit code
//!         └─> wait registered ─┘
//! ```
//! The stream ends in the same way when the process exits or the engine restarts. Only the answer to the wait tells
//! them apart. Without an answer, there is no exit event.

mod output;
mod ws;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Method;
use zun_common::api::v1::console::Calls;
use zun_common::units::TerminalSize;

use super::docker::address::Address;
use super::docker::control_calls::ControlCalls;
use super::docker::dial::Dialer;
use super::docker::exit;
use super::docker::grants::Grants;
use super::docker::hijack::{Framing, HijackInput, hijack};
use super::{Connection, Console, ConsoleError, Control, Dial, Input};
use output::{Output, OutputThenExit};

/// A container's console that is not yet connected.
pub struct DockerAttach {
    dial: Dial,
    grants: Grants,
    attach_call: AttachCall,
}

/// The attach call to use.
enum AttachCall {
    Websocket(Address),
    Hijack(Address),
    OutputOnly(Address),
}

impl DockerAttach {
    /// Checks the endpoint, without connecting.
    pub fn new(dial: Dial) -> Result<Self, ConsoleError> {
        let grants = Grants::new(&dial)?;
        let attach_call = attach_call(&dial)?;
        Ok(Self { dial, grants, attach_call })
    }
}

fn attach_call(dial: &Dial) -> Result<AttachCall, ConsoleError> {
    let Calls { websocket, attach, output, .. } = &dial.endpoint.calls;
    let typed = dial.input && dial.endpoint.stdin;
    match (websocket, attach, output) {
        (Some(websocket), _, _) if typed && dial.endpoint.tty => {
            Ok(AttachCall::Websocket(Address::parse(websocket)?))
        }
        // Docker detects the loss of a client with stdin at once, and of one without stdin only late. So viewers of a
        // terminal also attach with stdin. Without a terminal, that would close the process's stdin at the end.
        (_, Some(attach), _) if typed || (dial.endpoint.tty && dial.endpoint.stdin) => {
            Ok(AttachCall::Hijack(Address::parse(attach)?))
        }
        (_, _, Some(output)) => Ok(AttachCall::OutputOnly(Address::parse(output)?)),
        (_, Some(attach), None) => Ok(AttachCall::Hijack(Address::parse(attach)?)),
        (_, None, None) => Err(ConsoleError::NoAddress("attach")),
    }
}

#[async_trait]
impl Connection for DockerAttach {
    async fn open(self: Box<Self>) -> Result<Console, ConsoleError> {
        let Self { dial, grants, attach_call } = *self;
        let dialer = grants.dialer().await?;
        let calls = &dial.endpoint.calls;
        let control_calls = ControlCalls::new(grants, dial.tasks.clone());
        let wait = Address::parse(calls.wait.as_deref().ok_or(ConsoleError::NoAddress("wait"))?)?;
        // Concurrently: each has its own connection, and the process starts only after both.
        let ((output, input), exit) = tokio::try_join!(
            attach(&dialer, &attach_call, &dial),
            exit::wait(&control_calls, &wait, dial.until, &dial.tasks),
        )?;
        let resize = calls.resize.as_deref().map(Address::parse).transpose()?;
        Ok(Console {
            events: Box::new(OutputThenExit::new(output, exit, dial.link.peer_timeout())),
            input,
            control: Box::new(AttachControl { control_calls, resize }),
            running: None,
            has_screen: false,
            acts_on_disconnect: false,
        })
    }
}

/// Opens the stream.
async fn attach(
    dialer: &Dialer,
    attach_call: &AttachCall,
    dial: &Dial,
) -> Result<(Output, Box<dyn Input>), ConsoleError> {
    let framing = Framing::of(dial.endpoint.tty);
    Ok(match attach_call {
        AttachCall::Websocket(address) => {
            let (output, input) = ws::open(dialer, address, &dial.tasks).await?;
            (Output::Websocket(output), Box::new(input))
        }
        AttachCall::Hijack(address) => {
            let (output, input) = hijack(dialer, address, "", framing).await?;
            (Output::Hijack(output), Box::new(AttachInput(input, dial.endpoint.tty)))
        }
        AttachCall::OutputOnly(address) => {
            let (output, input) = hijack(dialer, address, "", framing).await?;
            (Output::Hijack(output), Box::new(NoInput(input)))
        }
    })
}

/// The input of a hijacked connection, and whether it has a terminal.
struct AttachInput(HijackInput, bool);

#[async_trait]
impl Input for AttachInput {
    async fn write(&mut self, typed: Bytes) -> Result<(), ConsoleError> {
        self.0.write(&typed).await
    }

    async fn eof(&mut self) -> Result<(), ConsoleError> {
        if self.1 { self.0.write(END_OF_TRANSMISSION).await } else { self.0.shutdown().await }
    }

    async fn detach(&mut self) {
        // The connection is dropped next, so an error does not matter.
        drop(self.0.shutdown().await);
    }
}

/// The key that ends the input of a terminal (ctrl-d).
const END_OF_TRANSMISSION: &[u8] = b"\x04";

/// The input of a read-only console. It keeps our half of the connection open, because the host would hang up otherwise.
struct NoInput(HijackInput);

#[async_trait]
impl Input for NoInput {
    async fn write(&mut self, _typed: Bytes) -> Result<(), ConsoleError> {
        Ok(())
    }

    async fn eof(&mut self) -> Result<(), ConsoleError> {
        Ok(())
    }

    async fn detach(&mut self) {
        drop(self.0.shutdown().await);
    }
}

struct AttachControl {
    control_calls: ControlCalls,
    resize: Option<Address>,
}

#[async_trait]
impl Control for AttachControl {
    async fn resize(&self, size: TerminalSize) -> Result<(), ConsoleError> {
        let resize = self.resize.as_ref().ok_or(ConsoleError::Unsupported("resizing"))?;
        let address = resize.with(&format!("?h={}&w={}", size.rows, size.columns));
        self.control_calls.fetch(Method::POST, &address).await.map(drop)
    }

    async fn signal(&self, _name: &str) -> Result<(), ConsoleError> {
        Err(ConsoleError::Unsupported("signals"))
    }
}
