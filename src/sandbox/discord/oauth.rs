//! Sign-in with Discord: the code grant with PKCE, refresh and revocation, and the bot's invite.
//!
//! <https://discord.com/developers/docs/topics/oauth2>
pub(crate) mod authorize;
pub(crate) mod grants;
pub(crate) mod request;
pub(crate) mod token;
pub(crate) mod visitor;

use std::time::Instant;

use super::call::Identity;
use super::world::World;

impl World {
    /// Whom an access token speaks for.
    pub(crate) fn bearer(&self, token: &str) -> Option<Identity> {
        let token = self.grants.tokens.get(token)?;
        let live = Instant::now() < token.expires;
        live.then(|| Identity::Bearer {
            user: token.user,
            scopes: token.scopes.clone(),
        })
    }
}
