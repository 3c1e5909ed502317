//! Replays the fuzz corpus.

use std::path::Path;

use zun_common::client_certificate::GrantCertificate;

fn replayed(name: &str, target: fn(&[u8])) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files = std::fs::read_dir(&directory).expect("a corpus");
    let inputs = files.map(|file| std::fs::read(file.expect("a file").path()).expect("read"));
    inputs.map(|input| target(&input)).count()
}

#[test]
fn all_checks_pass_for_the_whole_corpus() {
    let inputs = [
        replayed("request", zun_fuzz::request),
        replayed("trusted_cas", zun_fuzz::trusted_cas),
        replayed("certificate", zun_fuzz::certificate),
        replayed("line", zun_fuzz::line),
        replayed("screen", zun_fuzz::screen),
        replayed("replies", zun_fuzz::replies),
        replayed("frames", zun_fuzz::frames),
        replayed("hello", zun_fuzz::hello),
    ];
    assert!(inputs.iter().all(|count| *count > 3), "{inputs:?}");
}

#[test]
fn the_corpus_contains_granted_requests() {
    // The fuzz targets use this fixed time. If the certificates were not valid then, every request would be refused,
    // and the code after that check would not be tested.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/certificate/rw");
    let granted = GrantCertificate::read_unverified(&std::fs::read(file).expect("a file"));
    let granted = granted.expect("a grant");
    assert!(granted.grant.to_string().starts_with("zun://compute1/containers/"));
    assert!(granted.is_valid_at(1_800_000_000));
}
