use proptest::prelude::*;

use super::*;

fn ring(limit: usize, memory: Memory) -> Ring {
    Ring::new(crate::kept::memory_file("ring").expect("a file"), limit, memory)
}

fn read(ring: &Ring, from: u64, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert_eq!(ring.read(from, limit, &mut bytes), bytes.len());
    bytes
}

fn kept(ring: &Ring) -> Vec<u8> {
    read(ring, ring.start(), usize::MAX)
}

fn numbered(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|number| u8::try_from(number % 251).expect("small")).collect()
}

proptest! {
    #[test]
    fn a_ring_keeps_the_last_bytes_of_the_stream(
        pieces in prop::collection::vec(0_usize..100_000, 0..40),
        limit in 1_usize..300_000,
    ) {
        let mut ring = ring(limit, Memory::of(usize::MAX));
        let mut all: Vec<u8> = Vec::new();
        for length in pieces {
            let piece = numbered(all.len(), length);
            all.extend(&piece);
            ring.push(&piece);
            ring.free();
            prop_assert_eq!(ring.end(), all.len() as u64);
            let expected = all.len().min(limit);
            prop_assert_eq!(ring.end() - ring.start(), expected as u64);
            prop_assert_eq!(kept(&ring), &all[all.len() - expected..]);
        }
    }

    #[test]
    fn a_part_is_read_by_its_offset(
        length in 1_usize..300_000, from in 0_u64..300_000, limit in 0_usize..100_000,
    ) {
        let mut ring = ring(100_000, Memory::of(usize::MAX));
        let all = numbered(0, length);
        for piece in all.chunks(7_777) {
            ring.push(piece);
        }
        let got = read(&ring, from, limit);
        if from < ring.start() || from >= ring.end() {
            prop_assert!(got.is_empty());
        } else {
            let from = usize::try_from(from).expect("small");
            prop_assert_eq!(got, &all[from..(from + limit).min(length)]);
        }
    }

    #[test]
    fn what_was_reserved_drops_nothing_after_the_floor(
        steps in prop::collection::vec((1_usize..60_000, 0_u64..100_000), 1..30),
        memory in 0_usize..300_000,
    ) {
        let mut ring = ring(200_000, Memory::of(memory));
        let mut floor = 0;
        for (length, read) in steps {
            if ring.reserve(length, floor) {
                ring.push(&numbered(0, length));
                prop_assert!(ring.start() <= floor);
            }
            floor = (floor + read).min(ring.end());
        }
    }
}

#[test]
fn an_unused_ring_has_no_memory_and_a_dropped_one_gives_it_back() {
    let memory = Memory::of(1 << 20);
    let mut ring = ring(4 << 20, memory.clone());
    assert_eq!(memory.left(), 1 << 20);
    ring.push(b"x");
    assert_eq!(memory.left(), (1 << 20) - FIRST);
    drop(ring);
    assert_eq!(memory.left(), 1 << 20);
}

#[test]
fn without_memory_each_ring_has_a_minimum_so_that_no_session_is_blind_or_stops() {
    let memory = Memory::of(FIRST);
    let mut first = ring(4 << 20, memory.clone());
    first.push(&numbered(0, 3 * FIRST));
    assert_eq!((first.start(), first.end()), (2 * FIRST as u64, 3 * FIRST as u64));
    assert_eq!(kept(&first), numbered(2 * FIRST, FIRST));
    let mut second = ring(4 << 20, memory.clone());
    second.push(b"abc");
    assert_eq!((second.start(), second.end()), (0, 3));
    second.push(&numbered(3, 3 * FIRST));
    assert_eq!(second.end() - second.start(), FIRST as u64);
    let end = second.end();
    assert!(!second.reserve(2 * FIRST, end - 1), "the reader comes first");
    assert!(second.reserve(2 * FIRST, end), "the reader has everything");
    second.push(&numbered(0, 2 * FIRST));
    assert_eq!(second.start(), end);
    drop((first, second));
    assert_eq!(memory.left(), FIRST);
}

#[test]
fn a_ring_continues_in_another_process_and_dropped_bytes_take_no_memory() {
    let memory = Memory::of(8 << 20);
    let mut first = ring(128 << 10, memory.clone());
    for piece in numbered(0, 5 << 20).chunks(60_000) {
        first.push(piece);
        first.free();
    }
    let file = first.file().try_clone().expect("a descriptor");
    let at = first.places();
    let bytes = kept(&first);
    drop(first);
    let mut second = Ring::restored(file, at, 128 << 10, memory.clone());
    assert_eq!(kept(&second), bytes);
    second.push(b"more");
    assert_eq!(kept(&second), [&bytes[4..], b"more"].concat());
    let blocks = std::os::unix::fs::MetadataExt::blocks(&second.file().metadata().expect("a file"));
    assert!(blocks * 512 <= 512 << 10, "{blocks} blocks");
    drop(second);
    assert_eq!(memory.left(), 8 << 20);
}

/// A ring of 128 KiB with a file on disk of at most `limit` bytes.
fn spilling(limit: usize, space: &Memory) -> Ring {
    let file = tempfile::tempfile().expect("a file");
    let spill = Spill::new(file, limit, space.clone());
    ring(128 << 10, Memory::of(1 << 20)).with_spill(Some(spill))
}

#[test]
fn what_a_slow_reader_needs_is_moved_to_disk_and_the_rest_is_dropped() {
    let space = Memory::of(64 << 20);
    let mut ring = spilling(4 << 20, &space);
    let mut all = Vec::new();
    while ring.reserve(60_000, 0) {
        let piece = numbered(all.len(), 60_000);
        ring.push(&piece);
        ring.free();
        all.extend(piece);
    }
    assert!(all.len() > 4 << 20, "{}", all.len());
    let mut got = Vec::new();
    while got.len() < all.len() {
        let from = got.len() as u64;
        assert!(ring.read(from, 100_000, &mut got) > 0);
    }
    assert!(got == all);
    for _ in 0..20 {
        let end = ring.end();
        assert!(ring.reserve(60_000, end), "the reader has everything");
        ring.push(&numbered(0, 60_000));
        ring.free();
    }
    assert_eq!(ring.places().start, ring.places().memory_start);
    assert_eq!(space.left(), 64 << 20, "what the reader has got takes no space");
    let end = ring.end();
    while ring.places().start == ring.places().memory_start {
        assert!(ring.reserve(60_000, end), "there is space");
        ring.push(&numbered(0, 60_000));
        ring.free();
    }
    assert!(ring.reserve(60_000, end), "there is space");
    ring.nobody_reads();
    ring.push(&numbered(0, 256 << 10));
    ring.free();
    assert_eq!(
        space.left(),
        64 << 20,
        "what was reserved for a reader that has left takes no space"
    );
    drop(ring);
    assert_eq!(space.left(), 64 << 20);
}

#[test]
fn space_that_is_not_enough_is_left_for_others() {
    let space = Memory::of(2 << 20);
    let mut spill = Spill::new(tempfile::tempfile().expect("a file"), 64 << 20, space.clone());
    assert!(!spill.reserve((2 << 20) + 1));
    assert_eq!(space.left(), 2 << 20);
    assert!(spill.reserve(2 << 20));
    assert_eq!(space.left(), 0);
}

#[test]
fn the_beginning_is_kept_for_who_comes_later_as_long_as_there_is_space() {
    let space = Memory::of(2 << 20);
    let mut ring = spilling(64 << 20, &space);
    let all = numbered(0, 2 << 20);
    all.chunks(60_000).for_each(|piece| ring.push(piece));
    assert_eq!(ring.start(), 0);
    all.chunks(60_000).for_each(|piece| ring.push(piece));
    assert!(ring.start() > 0, "there is no more space");
}

#[test]
fn a_spilled_ring_continues_in_another_process() {
    let space = Memory::of(64 << 20);
    let mut first = spilling(4 << 20, &space);
    let all = numbered(0, 1 << 20);
    for piece in all.chunks(50_000) {
        assert!(first.reserve(piece.len(), 0));
        first.push(piece);
        first.free();
    }
    let files = [first.file(), first.spill_file().expect("a file")];
    let [file, spill] = files.map(|file| file.try_clone().expect("a descriptor"));
    let places = first.places();
    drop(first);
    let second = Ring::restored(file, places, 128 << 10, Memory::of(1 << 20))
        .with_spill(Some(Spill::new(spill, 4 << 20, space)));
    let mut got = Vec::new();
    while second.read(got.len() as u64, usize::MAX, &mut got) > 0 {}
    assert!(got == all);
}
