//! Constants that the agent and the program `zun-runtime` share.

/// The runtime that `zun-runtime` wraps.
pub const RUNC: &str = "runc";

/// The default directory of terminal sizes. The agent writes the size of a container or an exec into a file that is
/// named by Docker's ID of it.
pub const SIZES: &str = "/var/lib/zun-compute/sizes";
