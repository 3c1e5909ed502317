//! Samples every millisecond whether a host's Docker listens and whether the plugin's socket exists. It reads the
//! kernel's list of listeners in the host's network namespace, with real-time priority and without a connection.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketType, connect, netlink, recv, send, socket,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::support::Host;

const PLUGIN: &str = "/run/docker/plugins/zun-authz.sock";
const PORT: u16 = 2376;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(1);
/// The bit of the state LISTEN in the kernel's mask of socket states.
const LISTENING: u32 = 1 << 10;

/// A thread that samples.
pub(super) struct Watch {
    over: Arc<AtomicBool>,
    sampling: JoinHandle<Samples>,
    first: bool,
}

#[derive(Debug, Default)]
struct Samples {
    /// Time between samples.
    gaps: Vec<Duration>,
    /// Samples with the listener open.
    open: u32,
    /// Samples with the listener open and the plugin absent.
    open_alone: u32,
}

impl Watch {
    /// Starts the thread and waits for its first sample.
    pub(super) fn on(host: Host) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (stop, init) = (Arc::clone(&over), host.init());
        let (first, sampled) = channel();
        let sampling = std::thread::spawn(move || {
            request_realtime_priority();
            let sampler = Sampler::within(init);
            first.send(sampler.is_open()).expect("the test waits");
            sampler.sample(&stop)
        });
        Self { over, sampling, first: first_sample(&sampled) }
    }

    /// Returns whether the first sample found the listener open.
    pub(super) const fn found_it_open(&self) -> bool {
        self.first
    }

    /// Stops the thread, and asserts that the listener was never open without the plugin.
    pub(super) fn ends(self, host: Host) {
        self.over.store(true, Ordering::Relaxed);
        let Samples { mut gaps, open, open_alone } =
            self.sampling.join().expect("the sampling thread ends");
        gaps.sort_unstable();
        let (count, at) = (gaps.len(), |share: usize| gaps[(gaps.len() - 1) * share / 1000]);
        println!(
            "{host:?}: {count} samples, {open} with the listener open, {open_alone} with the listener open and no \
             plugin; time between samples {:?} (median), {:?} (99.9 %), {:?} (longest)",
            at(500),
            at(999),
            at(1000)
        );
        assert_eq!(open_alone, 0, "{host:?}");
        assert!(open > 0 && count > 100, "{host:?}");
    }
}

fn first_sample(sampled: &Receiver<bool>) -> bool {
    sampled.recv_timeout(Duration::from_secs(10)).expect("the first sample")
}

/// Requests real-time priority for this thread. If this is not permitted, the gaps show it.
fn request_realtime_priority() {
    let thread = fs::read_link("/proc/thread-self").expect("a thread");
    let thread = thread.file_name().expect("its number").to_owned();
    let done = Command::new("chrt").args(["--fifo", "--pid", "50"]).arg(thread).output();
    if !done.is_ok_and(|done| done.status.success()) {
        println!("cannot get real-time priority here");
    }
}

/// A netlink socket in the network namespace of a host. It remains usable after the host has gone.
struct Sampler {
    kernel: OwnedFd,
}

impl Sampler {
    fn within(init: u32) -> Self {
        let network = File::open(format!("/proc/{init}/ns/net")).expect("a network");
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("this is root");
        let kernel =
            socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::SOCK_DIAG)).expect("one");
        connect(&kernel, &netlink::SocketAddrNetlink::new(0, 0)).expect("the kernel");
        Self { kernel }
    }

    fn sample(&self, over: &AtomicBool) -> Samples {
        let mut samples = Samples::default();
        let (mut last, mut next) = (Instant::now(), Instant::now());
        while !over.load(Ordering::Relaxed) {
            next = (next + SAMPLE_INTERVAL).max(Instant::now());
            park_timeout(next.saturating_duration_since(Instant::now()));
            let now = Instant::now();
            samples.gaps.push(now - last);
            last = now;
            if self.is_open() {
                samples.open += 1;
                // The listener may have closed between the two checks. Then it was not open without the plugin.
                samples.open_alone += u32::from(!plugin_listens() && self.is_open());
            }
        }
        samples
    }

    /// Returns whether something listens on Docker's port.
    fn is_open(&self) -> bool {
        [AddressFamily::INET, AddressFamily::INET6].into_iter().any(|family| self.listens(family))
    }

    fn listens(&self, family: AddressFamily) -> bool {
        send(&self.kernel, &dump_request(family), SendFlags::empty()).expect("asked");
        let (mut found, mut answer) = (false, vec![0; 32 << 10]);
        loop {
            let (length, _) =
                recv(&self.kernel, answer.as_mut_slice(), RecvFlags::empty()).expect("answered");
            let mut rest = &answer[..length];
            while let [a, b, c, d, kind, _, ..] = *rest {
                let whole = u32::from_ne_bytes([a, b, c, d]) as usize;
                match kind {
                    // NLMSG_DONE
                    3 => return found,
                    // NLMSG_ERROR
                    2 => panic!("the kernel does not list its listeners: {:?}", &rest[..whole]),
                    _ => found |= rest[20..22] == PORT.to_be_bytes(),
                }
                rest = &rest[((whole + 3) & !3).min(rest.len())..];
            }
        }
    }
}

/// Builds a request (`nlmsghdr` and `inet_diag_req_v2`) for all listening TCP sockets of a family.
fn dump_request(family: AddressFamily) -> Vec<u8> {
    const LENGTH: u32 = 16 + 56;
    /// `NLM_F_REQUEST | NLM_F_DUMP`
    const DUMP: u16 = 0x301;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const TCP: u8 = 6;
    let mut bytes = LENGTH.to_ne_bytes().to_vec();
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([u8::try_from(family.as_raw()).expect("small"), TCP, 0, 0]);
    bytes.extend(LISTENING.to_ne_bytes());
    bytes.resize(LENGTH as usize, 0);
    bytes
}

/// Returns whether the plugin's socket accepts connections: the kernel shows its flag `__SO_ACCEPTCON` (0x10000).
fn plugin_listens() -> bool {
    let text = fs::read_to_string("/proc/thread-self/net/unix").unwrap_or_default();
    text.lines().any(|line| line.ends_with(PLUGIN) && line.contains(" 00010000 "))
}
