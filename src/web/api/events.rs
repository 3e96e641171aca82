//! `GET …/events`: a server's status as server-sent events, a snapshot first.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts as _, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::super::Site;
use super::super::session::{Managing, Visitor};
use super::Failure;
use super::status::{self, Status};
use crate::domain::{ChainStatus, DiscordStatus, GuildId};

/// Between two events at least.
const PACE: Duration = Duration::from_millis(500);

/// Proxies end connections on which nothing comes.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often the visitor's session and permission are looked at again.
const AUTHORISED_FOR: Duration = Duration::from_secs(30);

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/api/v1/guilds/{guild_id}/events", get(events))
}

struct Stream {
    site: Arc<Site>,
    guild: GuildId,
    /// The request, by which the visitor is authorised again.
    parts: Parts,
    chain: watch::Receiver<ChainStatus>,
    discord: watch::Receiver<DiscordStatus>,
    sent: Option<Status>,
    next_at: Instant,
    authorised_until: Instant,
}

async fn events(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    parts: Parts,
) -> Response {
    let now = Instant::now();
    let stream = Stream {
        guild: manager.guild,
        parts,
        chain: site.state.chain.clone(),
        discord: site.state.discord.clone(),
        sent: None,
        next_at: now,
        authorised_until: now + AUTHORISED_FOR,
        site,
    };
    let events = stream::unfold(stream, async |mut stream| {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let events = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let unbuffered = (
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    ([unbuffered], events).into_response()
}

impl Stream {
    /// The next event; `None` ends the stream: the visitor lost the session or the permission, or a part is gone.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if Instant::now() >= self.authorised_until {
                // The visitor that was found before is kept with the request.
                self.parts.extensions.remove::<Visitor>();
                let again = Managing::from_request_parts(&mut self.parts, &self.site).await;
                // Where Discord does not answer, nobody can tell; the session was found.
                if let Err(refused) = again
                    && refused.status() != StatusCode::SERVICE_UNAVAILABLE
                {
                    return None;
                }
                self.authorised_until = Instant::now() + AUTHORISED_FOR;
            }
            sleep_until(self.next_at).await;
            self.chain.mark_unchanged();
            self.discord.mark_unchanged();
            match self.status().await {
                Ok(status) if self.sent.as_ref() != Some(&status) => {
                    self.next_at = Instant::now() + PACE;
                    let event = Event::default().event("status").json_data(&status).ok()?;
                    self.sent = Some(status);
                    return Some(event);
                }
                Ok(_) => {}
                Err(failure) => {
                    failure.log();
                    return None;
                }
            }
            self.next_at = Instant::now() + PACE;
            tokio::select! {
                changed = self.chain.changed() => changed.ok()?,
                changed = self.discord.changed() => changed.ok()?,
                () = sleep_until(self.authorised_until) => {}
            }
        }
    }

    async fn status(&self) -> Result<Status, Failure> {
        let gates = self.site.state.merchants.gates(self.guild).await?;
        status::of(&self.site, self.guild, &gates).await
    }
}
