//! Replaces the CA in three steps. zun-api, zun-compute and Docker must be restarted between the steps.
//!
//! ```text
//!            ca.key   ca.pem (the first one signs)   ca.next.key
//!            A        A
//!  prepare   A        A B                            B            hosts and clients trust both, A signs
//!  switch    B        B A                                         B signs, certificates from A stay valid
//!  finish    B        B                                           A is no longer trusted
//! ```
//! Each file is replaced atomically. An interrupted step can be repeated.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use pem::{EncodeConfig, LineEnding};
use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;
use zun_common::atomic_file::{self, Attributes};

use super::{CERTIFICATE_FILE, CaError, KEY_FILE, NEXT_KEY_FILE, files, issue};

/// A step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Create a new CA and trust it as well.
    Prepare,
    /// Sign with the new CA.
    Switch,
    /// Stop trusting the old CA.
    Finish,
}

/// The role of a trusted CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It signs.
    Signing,
    /// It will sign after the switch.
    Next,
    /// It signed before the switch.
    Previous,
}

/// A trusted CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedCa {
    /// Its role.
    pub role: Role,
    /// Its common name.
    pub subject: String,
    /// SHA-256 of its certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// When it expires. After that, no certificate that it signed is accepted.
    pub expires_at: DateTime<Utc>,
}

/// Performs a step. A running zun-api uses the result after a restart.
pub fn rotate(directory: &Path, step: Step) -> Result<(), CaError> {
    files::require_owner(directory)?;
    let all = read(directory)?;
    match step {
        Step::Prepare => prepare(directory, &all),
        Step::Switch => switch(directory, &all),
        Step::Finish => finish(directory, &all),
    }
}

/// Returns all trusted CAs, the signing one first.
pub fn trusted_cas(directory: &Path) -> Result<Vec<TrustedCa>, CaError> {
    let mut all: Vec<_> = read(directory)?.into_iter().map(|(trusted, _)| trusted).collect();
    all.sort_by_key(|trusted| trusted.role != Role::Signing);
    Ok(all)
}

type All = Vec<(TrustedCa, Pem)>;

fn prepare(directory: &Path, all: &All) -> Result<(), CaError> {
    if all.iter().any(|(trusted, _)| trusted.role != Role::Signing) {
        return Err(CaError::Rotation(
            "a rotation is already in progress; `zun-api ca show` prints the next step",
        ));
    }
    let new = issue::new_ca(Utc::now())?;
    // A key without a certificate is left from an interrupted step.
    files::replace(&directory.join(NEXT_KEY_FILE), new.key.expose(), Attributes::PRIVATE)?;
    let file = directory.join(CERTIFICATE_FILE);
    files::replace(&file, &(text(all, |_| true) + &new.certificate), Attributes::PUBLIC)
}

fn switch(directory: &Path, all: &All) -> Result<(), CaError> {
    if !all.iter().any(|(trusted, _)| trusted.role == Role::Next) {
        return Err(CaError::Rotation(
            "there is no new CA yet; run `zun-api ca rotate prepare` first",
        ));
    }
    let next = text(all, |role| role == Role::Next) + &text(all, |role| role != Role::Next);
    files::replace(&directory.join(CERTIFICATE_FILE), &next, Attributes::PUBLIC)?;
    let (key, file) = (directory.join(NEXT_KEY_FILE), directory.join(KEY_FILE));
    atomic_file::rename(&key, &file).map_err(|cause| CaError::Write { file, cause })
}

fn finish(directory: &Path, all: &All) -> Result<(), CaError> {
    if all.iter().any(|(trusted, _)| trusted.role == Role::Next) {
        return Err(CaError::Rotation(
            "the new CA does not sign yet; run `zun-api ca rotate switch` first",
        ));
    }
    let last = text(all, |role| role == Role::Signing);
    files::replace(&directory.join(CERTIFICATE_FILE), &last, Attributes::PUBLIC)
}

/// Returns the selected certificates as PEM.
fn text(all: &All, wanted: impl Fn(Role) -> bool) -> String {
    all.iter().filter(|(trusted, _)| wanted(trusted.role)).map(|(_, pem)| encode(pem)).collect()
}

fn encode(pem: &Pem) -> String {
    let block = pem::Pem::new("CERTIFICATE", pem.contents.as_slice());
    pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF))
}

fn read(directory: &Path) -> Result<All, CaError> {
    let signing = files::public_key(&directory.join(KEY_FILE))?;
    let next = directory.join(NEXT_KEY_FILE);
    let next = if next.exists() { Some(files::public_key(&next)?) } else { None };
    let file = directory.join(CERTIFICATE_FILE);
    let bytes = fs::read(&file).map_err(|cause| CaError::Read { file: file.clone(), cause })?;
    let unusable =
        || CaError::InvalidFile { file: file.clone(), why: "it must contain certificates in PEM" };
    let mut all = Vec::new();
    for pem in Pem::iter_from_buffer(&bytes) {
        let pem = pem.map_err(|_not_pem| unusable())?;
        let trusted = describe(&pem, &signing, next.as_deref()).ok_or_else(unusable)?;
        all.push((trusted, pem));
    }
    if all.iter().any(|(trusted, _)| trusted.role == Role::Signing) {
        Ok(all)
    } else {
        Err(CaError::InvalidFile { file, why: "none of its certificates matches ca.key" })
    }
}

fn describe(pem: &Pem, signing: &[u8], next: Option<&[u8]>) -> Option<TrustedCa> {
    let certificate = pem.parse_x509().ok()?;
    let key = certificate.public_key().raw;
    let role = match next {
        _ if key == signing => Role::Signing,
        Some(next) if key == next => Role::Next,
        Some(_) | None => Role::Previous,
    };
    Some(TrustedCa {
        role,
        subject: certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned(),
        fingerprint: hex::encode(Sha256::digest(&pem.contents)),
        expires_at: DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)?,
    })
}
