//! Requests the host's certificate and the probe grant from zun-api, over the bus.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use chrono::{DateTime, Utc};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;
use zun_common::bus::Bus;
use zun_common::id::HostName;
use zun_common::pki::signing_request;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::host::SignProbe;

use super::error::SetupError;
use super::files::FileError;
use super::verify::VerifyError;
use crate::certificate::{self, CertificateFiles, CertificateSettings, Renewal};
use crate::probe::{Identity, ProbeError};

/// The clock difference to zun-api at which setup fails, in seconds. zun-api backdates certificates by a minute, and
/// grants expire after two minutes.
const MAX_CLOCK_SKEW: i64 = 60;

/// Refuses a certificate that was copied from another host, because then two hosts have its key.
pub(super) fn check_host(path: &Path, host: &HostName) -> Result<(), SetupError> {
    let Ok(text) = fs::read(path) else { return Ok(()) };
    match subject(&text) {
        // If the host's name is too long for a common name, zun-api uses the literal common name `host`.
        Some(found) if found != host.as_str() && found != "host" => {
            let host = host.to_string();
            Err(SetupError::OtherHost { path: path.to_owned(), found, host })
        }
        Some(_) | None => Ok(()),
    }
}

fn subject(text: &[u8]) -> Option<String> {
    let pem = Pem::iter_from_buffer(text).next()?.ok()?;
    let (_, certificate) = parse_x509_certificate(&pem.contents).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
    Some(name)
}

/// Requests the probe grant, which matches no container, and checks this host's clock against zun-api's.
pub(super) async fn probe_grant(bus: &Bus, host: &HostName) -> Result<Identity, SetupError> {
    let request = signing_request(host.as_str(), Vec::new())?;
    let question = SignProbe { host: host.clone(), csr: request.csr };
    let grant = bus
        .with_sender(host.as_str())
        .call_controller(&question, &CallContext::internal())
        .await
        .map_err(SetupError::NoGrant)?;
    check_clock(Utc::now(), grant.signed_at)?;
    Identity::from_pem(&grant.certificate, request.key.expose())
        .map_err(|error| VerifyError::from(ProbeError::from(error)).into())
}

fn check_clock(here: DateTime<Utc>, there: DateTime<Utc>) -> Result<(), SetupError> {
    let ahead = (here - there).num_seconds();
    if ahead.abs() < MAX_CLOCK_SKEW {
        return Ok(());
    }
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    Err(SetupError::Clock { seconds: ahead.abs(), direction })
}

/// Renews the certificate if needed. The files get the owner of the directory, because the agent renews them later.
pub(super) async fn ensure(bus: &Bus, wanted: &CertificateSettings) -> Result<Renewal, SetupError> {
    let renewal = certificate::renew(bus, wanted).await?;
    let CertificateFiles { ca, certificate, key } = CertificateFiles::within(&wanted.directory);
    let directory = &wanted.directory;
    let about = fs::metadata(directory)
        .map_err(|cause| FileError::Read { path: directory.clone(), cause })?;
    for path in [ca, certificate, key] {
        // lchown does not follow links. The owner of the directory is not root, and could have created one.
        lchown(&path, Some(about.uid()), Some(about.gid()))
            .map_err(|cause| FileError::Write { path, cause })?;
    }
    Ok(renewal)
}

/// Lets zun-authz, which runs as another user, read the CA file. The file is not secret.
pub(super) fn open_to_plugin(ca: &Path) -> Result<(), FileError> {
    let directory = ca.parent().unwrap_or_else(|| Path::new("/"));
    for (path, needed) in [(directory, 0o111), (ca, 0o444)] {
        let opened = open(path, needed);
        opened.map_err(|cause| FileError::Write { path: path.to_owned(), cause })?;
    }
    Ok(())
}

/// Adds the permission bits. Links are not followed, because the directory's owner could have created them.
fn open(path: &Path, needed: u32) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::LOOP) => return Ok(()),
        file => File::from(file?),
    };
    let mode = file.metadata()?.permissions().mode();
    if mode & needed == needed {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode & 0o7777 | needed))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_clock_that_is_a_minute_off_is_reported_with_its_direction() {
        let there = Utc::now();
        let words = |seconds| {
            check_clock(there + TimeDelta::seconds(seconds), there)
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(words(59), None);
        assert_eq!(words(-59), None);
        assert!(words(3600).expect("refused").contains("3600 s ahead of zun-api's"));
        assert!(words(-61).expect("refused").contains("61 s behind zun-api's"));
    }

    #[test]
    fn the_ca_file_becomes_readable_and_the_target_of_a_link_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        let (list, secret) = (directory.path().join("ca.pem"), directory.path().join("secret"));
        for path in [&list, &secret] {
            fs::write(path, "x").expect("written");
            fs::set_permissions(path, Permissions::from_mode(0o600)).expect("set");
        }
        let closed = Permissions::from_mode(0o700);
        fs::set_permissions(directory.path(), closed).expect("set");
        open_to_plugin(&list).expect("opened");
        assert_eq!((mode(&list), mode(directory.path())), (0o644, 0o711));
        fs::remove_file(&list).expect("removed");
        std::os::unix::fs::symlink(&secret, &list).expect("a link");
        open_to_plugin(&list).expect("left alone");
        assert_eq!(mode(&secret), 0o600);
    }

    #[test]
    fn a_certificate_of_another_host_is_refused_and_a_missing_one_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("cert.pem");
        let host: HostName = "c1".parse().expect("a name");
        check_host(&path, &host).expect("none is there");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "c2");
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        fs::write(&path, pem).expect("written");
        let words = check_host(&path, &host).expect_err("another's").to_string();
        assert!(words.contains("`c2`") && words.contains("`c1`"), "{words}");
    }
}
