//! `zun.pty.v1`: one websocket to the host's console gate, with the session's input, output, sizes, signals and ending.
//! A session outlives its links: if one is lost, the client opens another with the same key, and both sides continue
//! where they were. zun-api is not involved.
//!
//! ```text
//!  Events  <──┐                ┌── receive <──┐
//!  Input   ───┼── Session ─────┼── send ──────┼── link ── gate
//!  Control ───┘   (no I/O)     └── watch      │
//!                                  reopen ────┘
//! ```

mod closing;
mod driver;
mod link;
mod parts;
mod session;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;
use zun_common::pty::{ClientHello, Replay, ServerHello, TICKET_PATH, Ticket, close};
use zun_common::shutdown::Tasks;

use super::docker::address::Address;
use super::docker::dial::Dialer;
use super::docker::stream::Stream;
use super::{Connection, Console, ConsoleError, Dial, LinkTimeouts, Proxies};
use driver::Driver;
use link::{Host, Receiver, Sender, open};
use parts::{PtyControl, PtyEvents, PtyInput};
use session::Session;
use shared::Shared;

/// How many bytes of output the gate may send before they are shown.
const WINDOW: u64 = 1 << 20;

/// The timeouts of one attempt to connect. They are short, because zun can connect to Docker instead, and a lost
/// session is retried anyway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to ask the gate again for an exec that it may have started: it holds the exec, and may be restarting.
const ASKING: Duration = Duration::from_secs(30);
/// How long to ask a restarting gate again for a console that starts nothing.
const RESTARTING: Duration = Duration::from_secs(5);
/// The pause between two attempts.
const ASKING_PAUSE: Duration = Duration::from_millis(250);

/// The gate's status if the container engine failed after it was asked for the console.
const BAD_GATEWAY: u16 = 502;
/// The gate's status if it is stopping, or has reached a limit.
const UNAVAILABLE: u16 = 503;

/// The pings of the protocol keep the link active.
const NO_KEEPALIVE: Duration = Duration::from_secs(1 << 30);

/// A console at the gate that is not yet connected.
pub struct Pty {
    host: Gate,
    request: OpenRequest,
    tasks: Tasks,
}

/// The client's request to open a console.
struct OpenRequest {
    hello: ClientHello,
    /// Whether opening the console starts the process, which can be done once only.
    starts: bool,
}

/// The gate, over TLS.
struct Gate {
    dialer: Dialer,
    address: Address,
    ticket: Option<Ticket>,
}

/// A console that a ticket opens, without an account.
#[derive(Debug, Clone)]
pub struct TicketDial {
    /// The host that the link names.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The secret.
    pub ticket: Ticket,
    /// CA certificates to trust besides those of the system, in PEM.
    pub extra_roots: Vec<u8>,
    /// Whether input is sent too, if the ticket allows it.
    pub input: bool,
    /// The proxies for the connection.
    pub proxies: Proxies,
}

/// A console that a ticket has opened, and what the gate reports about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketedConsole {
    /// Whether the process has a terminal.
    pub tty: bool,
    /// Whether this client may send input.
    pub writes: bool,
}

#[async_trait]
impl Host for Gate {
    type Stream = Stream;

    fn address(&self) -> &Address {
        &self.address
    }

    fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref()
    }

    async fn connect(&self) -> Result<Stream, ConsoleError> {
        self.dialer.dial(&self.address).await
    }
}

impl Pty {
    /// Checks the endpoint, without connecting.
    pub fn new(dial: &Dial) -> Result<Self, ConsoleError> {
        let Dial {
            endpoint, key, input, shows_screen, link, proxies, tasks, on_disconnect, ..
        } = dial;
        let address = endpoint.calls.pty.as_deref().ok_or(ConsoleError::NoAddress("pty"))?;
        let link = of_gate(*link);
        // The grant's certificate may expire during the session: the gate accepts its key to resume.
        let dialer = Dialer::new(&endpoint.tls, key)?.with_options(link, proxies.clone());
        let hello = ClientHello {
            size: None,
            writes: *input && endpoint.stdin,
            // Output of a run that begins now is shown from its first byte.
            replay: match (endpoint.running, shows_screen) {
                (false, _) => Replay::All,
                (true, true) => Replay::Screen,
                (true, false) => Replay::None,
            },
            window: WINDOW,
            resume: None,
            on_disconnect: *on_disconnect,
        };
        let host = Gate { dialer, address: Address::parse(address)?, ticket: None };
        // A grant for the gate only has no call of Docker.
        let starts = address.contains("/pty/v1/execs/");
        let request = OpenRequest { hello, starts };
        Ok(Self { host, request, tasks: tasks.child() })
    }

    /// Opens the console of a ticket. To resume, it uses the same ticket, even after that has expired.
    pub async fn open_with_ticket(
        dial: TicketDial,
        tasks: &Tasks,
    ) -> Result<(Console, TicketedConsole), ConsoleError> {
        let TicketDial { host, port, ticket, extra_roots, input, proxies } = dial;
        let dialer = Dialer::without_certificate(&extra_roots)?
            .with_options(of_gate(LinkTimeouts::default()), proxies);
        let hello = ClientHello {
            writes: input,
            replay: Replay::Screen,
            window: WINDOW,
            ..ClientHello::default()
        };
        let address = Address { host, port, target: TICKET_PATH.to_owned() };
        let host = Gate { dialer, address, ticket: Some(ticket) };
        let request = OpenRequest { hello, starts: false };
        let (console, ServerHello { tty, writes, .. }) =
            open_at(host, request, tasks.child()).await?;
        Ok((console, TicketedConsole { tty, writes }))
    }
}

fn of_gate(link: LinkTimeouts) -> LinkTimeouts {
    LinkTimeouts {
        connect: link.connect.min(CONNECT_TIMEOUT),
        handshake: link.handshake.min(HANDSHAKE_TIMEOUT),
        keepalive: NO_KEEPALIVE,
        ..link
    }
}

#[async_trait]
impl Connection for Pty {
    async fn open(self: Box<Self>) -> Result<Console, ConsoleError> {
        let Self { host, request, tasks } = *self;
        open_at(host, request, tasks).await.map(|(console, _)| console)
    }
}

/// A link with the gate's hello.
type Opened<S> = (Sender<S>, Receiver<S>, ServerHello);

/// Opens the first link.
async fn open_first<H: Host>(
    host: &H,
    OpenRequest { hello, starts }: &OpenRequest,
) -> Result<Opened<H::Stream>, ConsoleError> {
    let stream = host.connect().await?;
    open(stream, host, hello).await.map_err(|error| {
        // If it refuses, it has started nothing. Otherwise the result of the request to the engine is unknown.
        if *starts && !is_refusal(&error) {
            ConsoleError::MayHaveStarted(Box::new(error))
        } else {
            error
        }
    })
}

const fn is_refusal(error: &ConsoleError) -> bool {
    matches!(error, ConsoleError::Refused { status, .. } if !matches!(*status, BAD_GATEWAY | close::RESTARTING))
}

/// Asks again: for an exec that the gate may have started, or for any console of a gate that is restarting. Returns the
/// first failure if the gate does not have the exec, or is unavailable for too long.
async fn open_again<H: Host>(
    host: &H,
    OpenRequest { hello, starts }: &OpenRequest,
    first: Result<Opened<H::Stream>, ConsoleError>,
) -> Result<Opened<H::Stream>, ConsoleError> {
    // Asks for everything that the exec has printed since its start.
    let replay = if *starts { Replay::All } else { hello.replay };
    let request = OpenRequest { hello: ClientHello { replay, ..hello.clone() }, starts: *starts };
    let until = Instant::now() + if *starts { ASKING } else { RESTARTING };
    while Instant::now() < until {
        tokio::time::sleep(ASKING_PAUSE).await;
        match open_first(host, &request).await {
            Ok(opened) => return Ok(opened),
            // A new gate takes over from the former one.
            Err(ConsoleError::Refused { status: UNAVAILABLE | close::RESTARTING, .. }) => {}
            Err(ConsoleError::Refused { .. }) => break,
            // It cannot be reached, or still does not know the result.
            Err(_unknown) => {}
        }
    }
    first
}

/// Opens the first link, and begins the session.
async fn open_at<H: Host>(
    host: H,
    request: OpenRequest,
    tasks: Tasks,
) -> Result<(Console, ServerHello), ConsoleError> {
    let mut opened = open_first(&host, &request).await;
    let asks_again = match &opened {
        Err(
            ConsoleError::MayHaveStarted(_)
            | ConsoleError::Refused { status: close::RESTARTING, .. },
        ) => true,
        // The ticket may be used up, and nobody else can open its session: the gate has it for a while.
        Err(
            ConsoleError::LinkLost(_)
            | ConsoleError::NoAnswer { .. }
            | ConsoleError::BadAnswer { .. },
        ) => host.ticket().is_some(),
        Ok(_) | Err(_) => false,
    };
    if asks_again {
        opened = open_again(&host, &request, opened).await;
    }
    let (sender, receiver, hello) = opened?;
    let request = request.hello;
    let ServerHello { running, has_screen, acts_on_disconnect, .. } = hello;
    let has_screen = has_screen && request.replay == Replay::Screen;
    let bad = |problem| ConsoleError::BadAnswer { address: host.address().authority(), problem };
    let session = Session::new(request, hello.clone(), Instant::now())
        .map_err(|violation| bad(violation.0))?;
    let shared = Arc::new(Shared::new(session));
    let (alive, driver_ended) = watch::channel(());
    let driver = Driver { shared: Arc::clone(&shared), host, tasks: tasks.clone(), alive };
    tasks.spawn(driver.run((sender, receiver)));
    let console = Console {
        events: Box::new(PtyEvents { shared: Arc::clone(&shared), driver: tasks }),
        input: Box::new(PtyInput { shared: Arc::clone(&shared), driver_ended }),
        control: Box::new(PtyControl(shared)),
        running: Some(running),
        has_screen,
        acts_on_disconnect,
    };
    Ok((console, hello))
}
