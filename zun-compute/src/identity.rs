//! The identity of this agent: an ID in the state directory, and the machine's boot ID. zun-api uses it to distinguish
//! a restarted agent from another one with the same host name, or on the same engine, that does not share the state
//! directory.

use std::io;
use std::path::Path;

use zun_common::atomic_file::{self, Attributes};
use zun_common::environment::random_uuid;
use zun_common::rpc::operation::AgentIdentity;

const FILE: &str = "agent-id";
/// The kernel's boot ID: it differs after each boot, and is the same in all containers of a machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Reads the identity, or chooses one. The engine is not known yet.
pub(crate) fn read(directory: &Path) -> io::Result<AgentIdentity> {
    let path = directory.join(FILE);
    let boot = std::fs::read_to_string(BOOT_ID).ok().map(|text| text.trim().to_owned());
    let state = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|error| {
            let words = format!("{} does not hold an id ({error}); remove it", path.display());
            io::Error::new(io::ErrorKind::InvalidData, words)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let new = random_uuid();
            atomic_file::replace(&path, format!("{new}\n").as_bytes(), Attributes::PRIVATE)?;
            new
        }
        Err(error) => return Err(error),
    };
    Ok(AgentIdentity { state, boot, data: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_directory_has_its_own_id_and_keeps_it() {
        let [first, second] = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
        let id = |of: &tempfile::TempDir| read(of.path()).expect("an identity").state;
        assert_eq!(id(&first), id(&first));
        assert_ne!(id(&first), id(&second));
        std::fs::write(first.path().join(FILE), "not an id").expect("written");
        let words = read(first.path()).expect_err("refused").to_string();
        assert!(words.contains("agent-id does not hold an id"), "{words}");
    }
}
