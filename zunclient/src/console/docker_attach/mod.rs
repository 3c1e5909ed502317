//! `docker.attach`: Docker's own attach over mTLS, straight to the host. A websocket for a terminal, a
//! hijacked connection for anything else; resize and wait are side calls of the same grant.
//!
//! ```text
//!  dial ──> attached ──> wait registered ──> (started) ──> output … end ──> exit code
//! ```
//! Exit, detach, restart and a restart of the engine all end the stream in the same way: only the
//! wait's answer says which it was, and where it has none, there is no exit event.

mod output;
mod ws;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Method;
use zun_common::api::v1::console::Calls;
use zun_common::units::TerminalSize;

use super::docker::address::Address;
use super::docker::control_calls::ControlCalls;
use super::docker::exit;
use super::docker::grants::Grants;
use super::docker::hijack::{Framing, HijackInput, hijack};
use super::{Connection, Console, ConsoleError, Control, Dial, Input};
use output::{Output, OutputThenExit};

/// A container's console that is not yet dialled.
pub struct DockerAttach {
    dial: Dial,
    grants: Grants,
    attach_call: AttachCall,
}

/// Which of the attach calls is used.
enum AttachCall {
    Websocket(Address),
    Hijack(Address),
    OutputOnly(Address),
}

impl DockerAttach {
    /// Checks the endpoint; dials nothing yet.
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
        // An engine notices at once that one who could type has gone, and only late that one who watches
        // has. But of a process without a terminal that reads stdin, it would be the end of the input.
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
        let framing = Framing::of(dial.endpoint.tty);
        let (output, input): (Output, Box<dyn Input>) = match &attach_call {
            AttachCall::Websocket(address) => {
                let (output, input) = ws::open(&dialer, address, &dial.tasks).await?;
                (Output::Websocket(output), Box::new(input))
            }
            AttachCall::Hijack(address) => {
                let (output, input) = hijack(&dialer, address, "", framing).await?;
                (Output::Hijack(output), Box::new(AttachInput(input, dial.endpoint.tty)))
            }
            AttachCall::OutputOnly(address) => {
                let (output, input) = hijack(&dialer, address, "", framing).await?;
                (Output::Hijack(output), Box::new(NoInput(input)))
            }
        };
        let control_calls = ControlCalls::new(grants, dial.tasks.clone());
        let wait = calls.wait.as_deref().ok_or(ConsoleError::NoAddress("wait"))?;
        let exit =
            exit::wait(&control_calls, &Address::parse(wait)?, dial.until, &dial.tasks).await?;
        let resize = calls.resize.as_deref().map(Address::parse).transpose()?;
        Ok(Console {
            events: Box::new(OutputThenExit::new(output, exit, dial.link.peer_timeout())),
            input,
            control: Box::new(AttachControl { control_calls, resize }),
        })
    }
}

/// Typed bytes of a hijacked connection.
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
        // The connection is dropped next; what goes wrong here changes nothing.
        drop(self.0.shutdown().await);
    }
}

/// What a terminal takes as the end of its input.
const END_OF_TRANSMISSION: &[u8] = b"\x04";

/// A console that takes no input. Its half of the connection stays open, or the host would hang up.
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
