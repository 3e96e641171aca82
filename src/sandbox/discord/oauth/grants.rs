//! The codes and tokens that were given out.
use std::collections::BTreeMap;
use std::time::Instant;

use rand::Rng as _;
use rand::distr::Alphanumeric;

use crate::domain::{GuildId, UserId};

/// A code that the browser carries back to the application.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) user: UserId,
    pub(crate) scopes: Vec<String>,
    pub(crate) redirect_uri: String,
    /// S256 challenge of PKCE.
    pub(crate) challenge: Option<String>,
    pub(crate) issued: Instant,
    /// The guild that the bot was invited to on the way.
    pub(crate) guild: Option<GuildId>,
}

/// What an access token and its refresh token stand for.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) user: UserId,
    pub(crate) scopes: Vec<String>,
    pub(crate) refresh: String,
    pub(crate) expires: Instant,
}

/// What was granted so far. A code is removed by its first use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    pub(crate) codes: BTreeMap<String, Code>,
    /// By access token.
    pub(crate) tokens: BTreeMap<String, Token>,
}

/// A fresh opaque secret.
pub(crate) fn fresh_secret() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(30)
        .map(char::from)
        .collect()
}
