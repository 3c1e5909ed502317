//! Tests of what a stream from a container can do on this machine.

use bytes::Bytes;
use tar::{Builder, EntryType, Header};

use super::*;

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header
}

/// Adds a file with a name that the tar library refuses to write.
fn file(builder: &mut Builder<Vec<u8>>, name: &[u8], content: &[u8]) {
    let mut header = header(EntryType::Regular, content.len() as u64);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_cksum();
    builder.append(&header, content).expect("a vector takes all");
}

fn link(builder: &mut Builder<Vec<u8>>, name: &str, to: &str) {
    let mut header = header(EntryType::Symlink, 0);
    builder.append_link(&mut header, name, to).expect("a vector takes all");
}

fn unpacked(builder: Builder<Vec<u8>>, target: &Target) -> io::Result<()> {
    let bytes = builder.into_inner().expect("a vector takes all");
    let (chunks, reader) = Reader::new(1);
    let feeding = std::thread::spawn(move || chunks.blocking_send(Ok(Bytes::from(bytes))));
    let outcome = unpack(reader, target);
    feeding.join().expect("no panic").ok();
    outcome
}

#[test]
fn nothing_leads_out_of_the_destination() {
    let outside = tempfile::tempdir().expect("a directory");
    let place = tempfile::tempdir().expect("a directory");
    let into = Target::Into(place.path().to_owned());
    let mut dots = Builder::new(Vec::new());
    file(&mut dots, b"../escaped", b"x");
    unpacked(dots, &into).expect_err("refused");
    let mut through = Builder::new(Vec::new());
    link(&mut through, "door", outside.path().to_str().expect("text"));
    file(&mut through, b"door/escaped", b"x");
    unpacked(through, &into).expect_err("refused");
    let mut absolute = Builder::new(Vec::new());
    file(&mut absolute, b"/tmp/absolute", b"x");
    unpacked(absolute, &into).expect("its root is the destination");
    assert!(place.path().join("tmp/absolute").exists());
    assert!(!place.path().parent().expect("one").join("escaped").exists());
    assert_eq!(fs::read_dir(outside.path()).expect("a directory").count(), 0);
}

#[test]
fn a_renamed_copy_is_complete_or_absent() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("new");
    let mut good = Builder::new(Vec::new());
    file(&mut good, b"old", b"content");
    unpacked(good, &Target::As(path.clone())).expect("good");
    assert_eq!(fs::read(&path).expect("a file"), b"content");
    let (chunks, reader) = Reader::new(2);
    let mut cut = Builder::new(Vec::new());
    file(&mut cut, b"old", &[7; 5000]);
    let bytes = cut.into_inner().expect("a vector takes all")[..2000].to_vec();
    chunks.blocking_send(Ok(bytes.into())).expect("room");
    chunks.blocking_send(Err(io::Error::other("cut"))).expect("room");
    unpack(reader, &Target::As(path.clone())).expect_err("cut");
    assert_eq!(fs::read(&path).expect("the old one"), b"content");
    assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 1);
}

fn special(builder: &mut Builder<Vec<u8>>, name: &str, kind: EntryType) {
    let mut header = header(kind, 0);
    builder.append_data(&mut header, name, io::empty()).expect("a vector takes all");
}

fn hard_link(builder: &mut Builder<Vec<u8>>, name: &str, to: &str) {
    let mut header = header(EntryType::Link, 0);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + to.len()].copy_from_slice(to.as_bytes());
    header.set_cksum();
    builder.append(&header, io::empty()).expect("a vector takes all");
}

#[test]
fn no_hard_link_leads_out_of_the_destination() {
    let outside = tempfile::tempdir().expect("a directory");
    let secret = outside.path().join("secret");
    fs::write(&secret, b"secret").expect("a file");
    let secret = secret.to_str().expect("text");
    for to in ["../../../../../../../etc/passwd", "/etc/passwd", secret, "door/secret", "door"] {
        let place = tempfile::tempdir().expect("a directory");
        let mut stream = Builder::new(Vec::new());
        link(&mut stream, "door", outside.path().to_str().expect("text"));
        hard_link(&mut stream, "stolen", to);
        let outcome = unpacked(stream, &Target::Into(place.path().to_owned()));
        // A hard link to a symlink is a symlink.
        assert_eq!(outcome.is_ok(), to == "door", "{to}: {outcome:?}");
        let stolen = fs::symlink_metadata(place.path().join("stolen"));
        assert!(stolen.map_or(true, |there| there.is_symlink()), "{to}");
    }
    assert_eq!(std::os::unix::fs::MetadataExt::nlink(&fs::metadata(secret).expect("there")), 1);
}

#[test]
fn a_second_copy_replaces_files_and_links_and_nothing_else() {
    let place = tempfile::tempdir().expect("a directory");
    let outside = tempfile::tempdir().expect("a directory");
    let into = Target::Into(place.path().to_owned());
    let stream = || {
        let mut stream = Builder::new(Vec::new());
        file(&mut stream, b"a", b"content");
        hard_link(&mut stream, "b", "/a");
        link(&mut stream, "c", "a");
        stream
    };
    unpacked(stream(), &into).expect("the first");
    unpacked(stream(), &into).expect("the second");
    let number = |name: &str| {
        let there = fs::metadata(place.path().join(name)).expect("there");
        std::os::unix::fs::MetadataExt::ino(&there)
    };
    assert_eq!(number("a"), number("b"));
    // A file that replaces a symlink is not written through it.
    fs::write(outside.path().join("other"), b"kept").expect("a file");
    fs::remove_file(place.path().join("a")).expect("removed");
    std::os::unix::fs::symlink(outside.path().join("other"), place.path().join("a")).expect("one");
    unpacked(stream(), &into).expect("the third");
    assert_eq!(fs::read(outside.path().join("other")).expect("a file"), b"kept");
    assert_eq!(fs::read(place.path().join("a")).expect("a file"), b"content");
    let socket = std::os::unix::net::UnixListener::bind(place.path().join("s")).expect("a socket");
    fs::create_dir(place.path().join("directory")).expect("a directory");
    for name in [&b"s"[..], b"directory"] {
        let mut over = Builder::new(Vec::new());
        file(&mut over, name, b"x");
        unpacked(over, &into).expect_err("refused");
    }
    drop(socket);
}

#[test]
fn devices_and_fifos_are_skipped() {
    let place = tempfile::tempdir().expect("a directory");
    let mut stream = Builder::new(Vec::new());
    special(&mut stream, "null", EntryType::Char);
    special(&mut stream, "disk", EntryType::Block);
    special(&mut stream, "pipe", EntryType::Fifo);
    hard_link(&mut stream, "same", "pipe");
    file(&mut stream, b"file", b"x");
    unpacked(stream, &Target::Into(place.path().to_owned())).expect("the rest of it");
    let names: Vec<_> = fs::read_dir(place.path()).expect("a directory").collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let mut alone = Builder::new(Vec::new());
    special(&mut alone, "null", EntryType::Char);
    let become_it = Target::As(place.path().join("new"));
    unpacked(alone, &become_it).expect_err("nothing of it can be copied");
    assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 1);
}

#[test]
fn directories_get_their_modes_and_times_after_their_contents() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let place = tempfile::tempdir().expect("a directory");
    let directory = |stream: &mut Builder<Vec<u8>>, name: &str| {
        let mut header = header(EntryType::Directory, 0);
        header.set_mode(0o555);
        header.set_mtime(1_000_000);
        stream.append_data(&mut header, name, io::empty()).expect("a vector takes all");
    };
    let stream = || {
        let mut stream = Builder::new(Vec::new());
        directory(&mut stream, "tree/");
        directory(&mut stream, "tree/deep/");
        file(&mut stream, b"tree/deep/file", b"x");
        file(&mut stream, b"tree/file", b"x");
        stream
    };
    let become_it = place.path().join("new");
    unpacked(stream(), &Target::As(become_it.clone())).expect("unpacked");
    for _ in 0..2 {
        unpacked(stream(), &Target::Into(place.path().to_owned())).expect("unpacked");
    }
    for path in [become_it.clone(), become_it.join("deep"), place.path().join("tree/deep")] {
        let there = fs::metadata(&path).expect("there");
        assert_eq!((there.permissions().mode() & 0o7777, there.mtime()), (0o555, 1_000_000));
    }
    assert_eq!(fs::read_dir(place.path()).expect("a directory").count(), 2);
    for path in ["new", "new/deep", "tree", "tree/deep"] {
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(place.path().join(path), open).expect("ours");
    }
}

#[test]
fn a_destination_symlink_is_followed_and_a_special_file_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file");
    let symlink = |name: &str, to: &Path| {
        let path = place.path().join(name);
        std::os::unix::fs::symlink(to, &path).expect("a link");
        path
    };
    fs::write(&file, b"x").expect("a file");
    let source = ContainerPath { container: "c".to_owned(), path: b"/f".to_vec() };
    let followed = target(&symlink("link", &file), &source, false).expect("a goal");
    assert_eq!(followed, Target::As(file.canonicalize().expect("there")));
    let nowhere = symlink("nowhere", &place.path().join("no-such"));
    for refused in [Path::new("/dev/null"), &nowhere] {
        let failure = target(refused, &source, false).expect_err("refused");
        assert!(
            failure
                .message
                .is_some_and(|message| message.starts_with(refused.to_str().expect("t")))
        );
    }
}
