//! Copies of a container's files.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use zun_common::grant::ArchiveCall;
use zun_common::id::EngineId;

use super::EngineError;

/// A finite stream of bytes.
pub type Bytestream = UnsyncBoxBody<Bytes, io::Error>;

/// A request about files.
#[derive(Debug)]
pub struct ArchiveRequest {
    /// The container.
    pub container: EngineId,
    /// What to do.
    pub call: ArchiveCall,
    /// The absolute path.
    pub path: Vec<u8>,
    /// The tar stream to unpack, for `ArchiveCall::Write`; otherwise empty.
    pub body: Bytestream,
}

/// The engine's answer.
#[derive(Debug)]
pub struct ArchiveAnswer {
    /// The description of the path, in base64; absent for `ArchiveCall::Write`.
    pub stat: Option<String>,
    /// The tar stream, for `ArchiveCall::Read`; otherwise empty.
    pub body: Bytestream,
}

/// Why files were not copied.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is no such path.
    #[error("no such file or directory")]
    NoFile,
    /// The engine refuses, such as for a container with a read-only file system.
    #[error("{message}")]
    Refused {
        /// The engine's status code.
        status: u16,
        /// Its reason.
        message: String,
    },
    /// The engine failed, or does not know the container.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
