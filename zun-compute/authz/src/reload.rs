//! The current policy. The CA file is read again when it changes, so that a CA rotation needs no restart.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zun_common::file_stamp::FileStamp;
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;

use super::decision::Policy;
use super::decision_log::DecisionLog;
use zun_common::client_certificate::{TrustedCas, TrustedCasError};

/// A policy whose CAs are reloaded from a file.
pub(super) struct ReloadingPolicy {
    file: PathBuf,
    state: Mutex<State>,
}

struct State {
    /// The file's stamp at the last read, even if the content was invalid. `None` if the file was missing.
    seen: Option<FileStamp>,
    policy: Arc<Policy>,
}

impl ReloadingPolicy {
    /// Reads the CA file, which must be valid at the start.
    pub(super) fn load(
        file: PathBuf,
        host: HostName,
        version: ApiVersion,
    ) -> Result<Self, TrustedCasError> {
        // Read the stamp first: if the file is replaced before it is read, the next call reads it again.
        let seen = FileStamp::of(&file);
        let cas = TrustedCas::read(&file)?;
        let policy = Arc::new(Policy { host, version, cas });
        Ok(Self { file, state: Mutex::new(State { seen, policy }) })
    }

    /// Returns the current policy, and reloads the CA file if it changed. If the file is invalid, keeps the previous
    /// CAs and logs one warning.
    pub(super) fn current(&self, log: &DecisionLog) -> Arc<Policy> {
        let mut state = self.state();
        let stamp = FileStamp::of(&self.file);
        if stamp != state.seen {
            state.seen = stamp;
            match TrustedCas::read(&self.file) {
                Ok(cas) => {
                    let Policy { host, version, .. } = &*state.policy;
                    let (host, version) = (host.clone(), *version);
                    state.policy = Arc::new(Policy { host, version, cas });
                    log.cas_reloaded(&state.policy);
                }
                Err(cause) => {
                    log.warning("cannot reload the CA file; keeping the previous CAs", &cause);
                }
            }
        }
        Arc::clone(&state.policy)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half-updated, because each field is replaced as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io};
    use zun_common::client_certificate::InvalidCertificate;

    use super::*;
    use crate::decision::{Decision, Phase};
    use crate::refusal::Refusal;
    use crate::testing::{HOST, NOW, Signer};

    /// A CA file in a temporary directory.
    struct CaFile {
        policy: ReloadingPolicy,
        log: DecisionLog,
        directory: tempfile::TempDir,
    }

    impl CaFile {
        fn of(signer: &Signer) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let file = directory.path().join("ca.pem");
            fs::write(&file, signer.ca_pem()).expect("written");
            let (host, version) = (HOST.parse().expect("a host"), "1.41".parse().expect("one"));
            let policy = ReloadingPolicy::load(file, host, version).expect("good");
            Self { policy, log: DecisionLog::to(io::sink()), directory }
        }

        fn replace(&self, text: &str) {
            let new = self.directory.path().join("new");
            fs::write(&new, text).expect("written");
            fs::rename(new, &self.policy.file).expect("replaced");
        }

        fn accepts(&self, signer: &Signer) -> bool {
            let request = signer.request(|_| {});
            let decision = self.policy.current(&self.log).decide(&request, Phase::Request, NOW);
            match decision {
                Decision::Granted(_) => true,
                Decision::Refused(refusal, _) => {
                    assert_eq!(refusal, Refusal::Certificate(InvalidCertificate::UntrustedIssuer));
                    false
                }
                Decision::Local => panic!("local"),
            }
        }
    }

    #[test]
    fn during_a_rotation_both_cas_are_accepted_and_afterwards_only_the_new_one() {
        let (old, new) = (Signer::new("old"), Signer::new("new"));
        let ca_file = CaFile::of(&old);
        assert_eq!((ca_file.accepts(&old), ca_file.accepts(&new)), (true, false));
        ca_file.replace(&format!("{}{}", old.ca_pem(), new.ca_pem()));
        assert_eq!((ca_file.accepts(&old), ca_file.accepts(&new)), (true, true));
        ca_file.replace(new.ca_pem());
        assert_eq!((ca_file.accepts(&old), ca_file.accepts(&new)), (false, true));
    }

    #[test]
    fn if_the_file_is_invalid_or_missing_the_previous_cas_stay() {
        let (ours, theirs) = (Signer::new("ours"), Signer::new("theirs"));
        let ca_file = CaFile::of(&ours);
        for text in ["", "nonsense", ours.key_pem().as_str()] {
            ca_file.replace(text);
            assert_eq!((ca_file.accepts(&ours), ca_file.accepts(&theirs)), (true, false));
        }
        fs::remove_file(&ca_file.policy.file).expect("removed");
        assert!(ca_file.accepts(&ours));
        ca_file.replace(theirs.ca_pem());
        assert_eq!((ca_file.accepts(&ours), ca_file.accepts(&theirs)), (false, true));
    }
}
