//! The local Discord, driven by the real serenity client and by raw requests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod faults;
mod gateway;
mod identify;
mod invites;
mod messages;
mod oauth;
mod oauth_invite;
mod page;
mod poise_bot;
mod requests;
mod rest;
mod roles;

use std::time::Duration;

use amser_roles::sandbox::discord::{LocalDiscord, Options};
use serenity::http::{Http, HttpBuilder};

use crate::support::scene::ANSWER_WITHIN;

/// Longer than anything here takes, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

async fn start() -> LocalDiscord {
    let options = Options {
        interaction_deadline: ANSWER_WITHIN,
        ..Options::default()
    };
    LocalDiscord::start(options).await.unwrap()
}

/// Serenity's client, pointed at the local Discord as the program points it.
fn http(discord: &LocalDiscord) -> Http {
    let options = discord.options();
    HttpBuilder::new(&options.token)
        .proxy(discord.base_url())
        .ratelimiter_disabled(true)
        .application_id(options.application_id)
        .build()
}

/// The status and Discord's JSON code of a refused request.
fn refusal<T: std::fmt::Debug>(result: serenity::Result<T>) -> (u16, isize) {
    match result {
        Err(serenity::Error::Http(serenity::http::HttpError::UnsuccessfulRequest(answer))) => {
            (answer.status_code.as_u16(), answer.error.code)
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}
