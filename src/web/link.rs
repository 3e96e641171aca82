//! The link that `/verify` gives out: a token in a URL, of which the store knows the hash alone.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Clock;
use crate::domain::{GuildId, Timestamp, UserId};
use crate::store::Store;

/// How long a link works, in seconds.
pub const LINK_SECONDS: u64 = 600;

/// How long a link works from when its member opened it, signed in, in seconds: a wallet must be found, and the owners of a
/// contract wallet sign one after the other.
pub(super) const OPENED_SECONDS: u64 = 3600;

/// How often old links are forgotten.
pub const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;

/// A token as it stands in a URL. Prints nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// Reads a token; `None` for anything that cannot be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn fresh() -> anyhow::Result<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        OsRng.try_fill_bytes(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// What the store knows it by.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// As it stands in a URL.
    pub(super) fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Makes a single-use link for a member in a server and returns its URL; an older one of theirs stops working. Blocks
/// on the store: call it from `spawn_blocking`.
///
/// # Errors
/// When the store or the system's random numbers fail.
pub fn new_link(
    store: &Store,
    user: UserId,
    guild: GuildId,
    public_url: &Url,
    now: Timestamp,
) -> anyhow::Result<Url> {
    let token = Token::fresh()?;
    store.open_request(&token.hash(), user, guild, now.plus(LINK_SECONDS))?;
    Ok(under(public_url, &format!("verify/{}", token.reveal())))
}

/// Forgets old links and the texts that were to be signed with them, at once and `every` so often until `stop`.
///
/// # Errors
/// When the store fails.
pub async fn keep_forgetting(
    store: Store,
    clock: Clock,
    every: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let (store, now) = (store.clone(), clock());
        let forgotten = tokio::task::spawn_blocking(move || store.forget_old(now)).await??;
        tracing::debug!(forgotten, "old links and texts to sign are forgotten");
    }
}

/// An address by its path under a base: the public URL, which is an origin alone, or Discord's, which may have a path.
pub(super) fn under(base_url: &Url, path: &str) -> Url {
    let mut url = base_url.clone();
    let base = base_url.path().trim_end_matches('/');
    url.set_path(&format!("{base}/{path}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// An alphanumeric secret of some 142 bits: nonces, OAuth states, CSRF tokens. Never 32 characters long, which the
/// store keeps for hashes.
pub(super) fn fresh_secret() -> anyhow::Result<String> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut secret = String::with_capacity(24);
    while secret.len() < 24 {
        let mut bytes = [0; 24];
        OsRng.try_fill_bytes(&mut bytes)?;
        // Bytes beyond the last multiple of 62 would make some letters likelier.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        secret.extend(fair.map(|byte| char::from(LETTERS[usize::from(byte % 62)])));
    }
    secret.truncate(24);
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_url_and_does_not_print() {
        let token = Token::fresh().unwrap();
        assert_eq!(Token::parse(&token.reveal()), Some(token.clone()));
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_ne!(token, Token::fresh().unwrap());
        for odd in [
            "",
            "a",
            &"a".repeat(42),
            &"a".repeat(44),
            "../../etc/passwd",
        ] {
            assert_eq!(Token::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn secrets_are_alphanumeric_and_fresh() {
        let secret = fresh_secret().unwrap();
        assert!(secret.len() == 24 && secret.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(secret, fresh_secret().unwrap());
    }

    #[test]
    fn addresses_stay_under_the_path_of_their_base() {
        let url = |text: &str| under(&Url::parse(text).unwrap(), "verify/x").to_string();
        assert_eq!(
            url("https://roles.example"),
            "https://roles.example/verify/x"
        );
        assert_eq!(
            url("https://example.org/discord/?q#f"),
            "https://example.org/discord/verify/x"
        );
    }
}
