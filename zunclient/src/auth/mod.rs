//! How requests are authenticated: without a token, with a fixed token, or with a token of Keystone (Identity API v3).

mod cache;
mod credentials;
mod error;
mod login;
mod values;

pub use credentials::{Credentials, Method};
pub use error::LoginError;
pub use login::{Login, Session};
pub use values::CloudError;
pub(crate) use values::Values;

use std::sync::Arc;

use zun_common::secret::Secret;

/// How requests are authenticated.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Without a token.
    None,
    /// With this token.
    Token(Secret<String>),
    /// With tokens of Keystone.
    Keystone(Arc<Login>),
}
