//! Names and pictures of servers and members, as the pages show them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use url::Url;

use super::Site;
use super::error::WebError;
use crate::domain::{GuildId, UserId};

/// How long a profile is believed.
const FRESH: Duration = Duration::from_secs(120);

/// Profiles kept at once.
const MOST_PROFILES: usize = 2_000;

/// Largest picture that is passed on, in bytes.
const LARGEST_PICTURE: usize = 512 * 1024;

/// The picture types that Discord serves and browsers show without running anything.
const PICTURE_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/// What Discord knows of a server and one of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The server's name.
    pub server_name: String,
    /// Its icon on Discord's CDN.
    pub server_icon: Option<Url>,
    /// The member's name as the server shows it (nickname, else display name, else username).
    pub member_name: String,
    /// The member's unique username.
    pub username: String,
    /// The member's avatar on Discord's CDN.
    pub avatar: Option<Url>,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum NoProfile {
    /// The user is no member of the server (any more).
    #[error("the member left the server")]
    MemberLeft,
    /// The bot is not in the server (any more), or the server is gone.
    #[error("the bot is not in the server")]
    BotAbsent,
    /// Discord did not answer, or would not.
    #[error("Discord did not answer for a profile")]
    Unavailable(#[source] anyhow::Error),
}

/// Asks Discord for a profile.
pub type Profiles =
    Arc<dyn Fn(GuildId, UserId) -> BoxFuture<'static, Result<Profile, NoProfile>> + Send + Sync>;

#[derive(Default)]
pub(super) struct Cache(Mutex<BTreeMap<(GuildId, UserId), (Instant, Profile)>>);

impl Site {
    /// The profile of a member in a server.
    pub(super) async fn profile(&self, guild: GuildId, user: UserId) -> Result<Profile, WebError> {
        let now = Instant::now();
        let lock = || {
            self.profiles
                .0
                .lock()
                .expect("no holder of this lock can panic")
        };
        let known = lock().get(&(guild, user)).cloned();
        if let Some((at, profile)) = known
            && now.saturating_duration_since(at) < FRESH
        {
            return Ok(profile);
        }
        let profile = match (self.state.profiles)(guild, user).await {
            Ok(profile) => profile,
            Err(NoProfile::MemberLeft) => return Err(WebError::MemberLeft),
            Err(NoProfile::BotAbsent) => return Err(WebError::BotAbsent),
            Err(NoProfile::Unavailable(error)) => {
                let error = format!("{error:#}");
                tracing::warn!(%guild, error, "Discord did not answer for a profile");
                return Err(WebError::DiscordUnavailable);
            }
        };
        let mut profiles = lock();
        if profiles.len() >= MOST_PROFILES {
            profiles.retain(|_, (at, _)| now.saturating_duration_since(*at) < FRESH);
            if profiles.len() >= MOST_PROFILES {
                profiles.clear();
            }
        }
        profiles.insert((guild, user), (now, profile.clone()));
        Ok(profile)
    }

    /// Passes a picture on, so that the visitor's browser asks nobody but us.
    pub(super) async fn picture(&self, url: Option<Url>) -> Result<Response, WebError> {
        let url = url.ok_or(WebError::NotFound)?;
        let fetched = async {
            let mut answer = self.http.get(url).send().await?.error_for_status()?;
            let kind = answer.headers().get(CONTENT_TYPE);
            let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let kind = PICTURE_TYPES.into_iter().find(|known| *known == kind);
            let kind = kind.ok_or_else(|| anyhow::anyhow!("not a picture"))?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await? {
                anyhow::ensure!(
                    body.len() + chunk.len() <= LARGEST_PICTURE,
                    "too large a picture"
                );
                body.extend_from_slice(&chunk);
            }
            anyhow::Ok((kind, body))
        };
        match fetched.await {
            Ok((kind, body)) => Ok((
                [
                    (CONTENT_TYPE, kind),
                    (CACHE_CONTROL, "private, max-age=600"),
                ],
                body,
            )
                .into_response()),
            Err(error) => {
                tracing::debug!(%error, "a picture was not to be had");
                Err(WebError::NotFound)
            }
        }
    }
}
