//! Sign-in with Discord: codes and tokens that were granted.
use std::collections::BTreeMap;
use std::time::Instant;

use crate::domain::UserId;

use super::call::Identity;
use super::world::World;

/// A code that the browser carries back to the application.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) user: UserId,
    pub(crate) scopes: Vec<String>,
    pub(crate) redirect_uri: String,
    /// S256 challenge of PKCE.
    pub(crate) challenge: Option<String>,
    pub(crate) issued: Instant,
    pub(crate) used: bool,
    /// The guild that a bot invite added.
    pub(crate) guild: Option<crate::domain::GuildId>,
}

/// An access token and its refresh token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) user: UserId,
    pub(crate) scopes: Vec<String>,
    pub(crate) refresh: String,
    pub(crate) expires: Instant,
}

/// What was granted so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    pub(crate) codes: BTreeMap<String, Code>,
    pub(crate) tokens: BTreeMap<String, Token>,
}

impl World {
    /// Whom an access token speaks for.
    pub(crate) fn bearer(&self, token: &str) -> Option<Identity> {
        let token = self
            .grants
            .tokens
            .get(token)
            .filter(|token| Instant::now() < token.expires)?;
        Some(Identity::Bearer {
            user: token.user,
            scopes: token.scopes.clone(),
        })
    }
}
