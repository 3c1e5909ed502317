//! Places for connections in a state that costs the gate something before it knows the client: their number is limited, in
//! all and for each source address. A new connection takes the place of the one that has been in this state longest.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How much of an IPv6 address is the network of one client.
const NETWORK_BITS: u32 = 64;

/// Where a connection comes from: an IPv4 address, or an IPv6 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !(u128::MAX >> NETWORK_BITS);
                Ipv6Addr::from_bits(network).into()
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// How many places there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlaceLimits {
    /// In all.
    pub(super) all: usize,
    /// For one source.
    pub(super) of_source: usize,
    /// How long a connection keeps its place in any case.
    pub(super) kept: Duration,
}

/// The places. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    limits: PlaceLimits,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    last: u64,
    /// The oldest first.
    all: BTreeMap<u64, Holder>,
}

#[derive(Debug)]
struct Holder {
    source: Source,
    since: Instant,
    /// Notified when another connection takes the place.
    replaced: Arc<Notify>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
}

impl Places {
    pub(super) fn new(limits: PlaceLimits) -> Self {
        Self { limits, taken: Arc::default() }
    }

    /// Takes a place at this time. `replaced` is notified if another connection takes it. Returns `None` if all are taken,
    /// and none of them for long enough.
    pub(super) fn take(
        &self,
        source: Source,
        replaced: &Arc<Notify>,
        now: Instant,
    ) -> Option<Place> {
        let mut taken = self.taken();
        let of_source = taken.all.values().filter(|holder| holder.source == source).count();
        let from_source = of_source >= self.limits.of_source;
        if from_source || taken.all.len() >= self.limits.all {
            let mut old = taken.all.iter();
            let (number, holder) =
                old.find(|(_, holder)| !from_source || holder.source == source)?;
            if now.saturating_duration_since(holder.since) < self.limits.kept {
                return None;
            }
            holder.replaced.notify_one();
            let number = *number;
            taken.all.remove(&number);
        }
        taken.last += 1;
        let number = taken.last;
        let replaced = Arc::clone(replaced);
        taken.all.insert(number, Holder { source, since: now, replaced });
        drop(taken);
        Some(Place { places: self.clone(), number })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const KEPT: Duration = Duration::from_secs(1);

    struct World {
        places: Places,
        begun: Instant,
        held: Vec<(Place, Arc<Notify>)>,
    }

    impl World {
        fn new() -> Self {
            let limits = PlaceLimits { all: 4, of_source: 2, kept: KEPT };
            Self { places: Places::new(limits), begun: Instant::now(), held: Vec::new() }
        }

        /// A connection after this many milliseconds. Returns whether it has got a place.
        fn comes(&mut self, from: &str, millis: u64) -> bool {
            let source = Source::from(from.parse::<IpAddr>().expect("an address"));
            let replaced = Arc::default();
            let now = self.begun + Duration::from_millis(millis);
            let place = self.places.take(source, &replaced, now);
            let is_in = place.is_some();
            self.held.extend(place.map(|place| (place, replaced)));
            is_in
        }

        /// Which connections have lost their places, by the order of their coming.
        fn replaced(&self) -> Vec<usize> {
            let all = self.held.iter().enumerate();
            let replaced = all.filter(|(_, (_, replaced))| was_notified(replaced));
            replaced.map(|(index, _)| index).collect()
        }
    }

    /// Can be asked again.
    fn was_notified(notify: &Notify) -> bool {
        let was_notified = notify.notified().now_or_never().is_some();
        if was_notified {
            notify.notify_one();
        }
        was_notified
    }

    #[test]
    fn a_source_with_too_many_connections_loses_its_own_oldest_one() {
        let mut world = World::new();
        assert!(world.comes("192.0.2.9", 0));
        assert!(world.comes("192.0.2.1", 0) && world.comes("::ffff:192.0.2.1", 100));
        assert!(!world.comes("192.0.2.1", 900), "all are new");
        assert!(world.comes("192.0.2.1", 1000));
        assert_eq!(world.replaced(), [1]);
        // A connection that is done makes room.
        drop(world.held.remove(2));
        assert!(world.comes("192.0.2.1", 1001));
        assert_eq!(world.replaced(), [1]);
    }

    #[test]
    fn the_oldest_connection_makes_room_if_all_places_are_taken() {
        let mut world = World::new();
        for (index, from) in
            ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"].into_iter().enumerate()
        {
            assert!(world.comes(from, index as u64));
        }
        assert!(!world.comes("192.0.2.3", 999));
        assert!(world.comes("192.0.2.3", 1000));
        assert_eq!(world.replaced(), [0]);
        assert!(!world.comes("192.0.2.4", 1000), "the next one is too new");
        assert!(world.comes("2001:db8::ffff:1", 1001), "one of its network has lost its place");
        assert_eq!(world.replaced(), [0, 1]);
    }
}
