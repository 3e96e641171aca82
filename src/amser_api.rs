//! amser's HTTP API: names of plans.

use secrecy::SecretString;
use url::Url;

/// The client; clones share what was asked before.
#[derive(Clone, Debug)]
pub struct AmserApi {
    base: Url,
    key: Option<SecretString>,
}

impl AmserApi {
    /// Asks nothing yet. `key`: `AMSER_ROLES_API_KEY`.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(base: &Url, key: Option<SecretString>) -> anyhow::Result<Self> {
        Ok(Self {
            base: base.clone(),
            key,
        })
    }
}
