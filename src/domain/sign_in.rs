//! A visitor's sign-in to Discord.

use std::collections::BTreeMap;

use secrecy::SecretString;

use super::{GuildId, UserId};

/// A code that Discord gave a visitor's browser, with what is needed to redeem it.
#[derive(Debug)]
pub struct SignInCode {
    /// The code; it works once. Chosen by the visitor.
    pub code: SecretString,
    /// What is behind the PKCE challenge of the sign-in.
    pub verifier: SecretString,
    /// The address that the browser came back to.
    pub redirect_uri: String,
}

/// A visitor who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedInVisitor {
    /// Who.
    pub user: UserId,
    /// Servers that they manage, with their names, as Discord says; empty where it was not allowed to tell.
    pub manages: BTreeMap<GuildId, String>,
    /// The server that they added the bot to on the way.
    pub invited_to: Option<GuildId>,
}
