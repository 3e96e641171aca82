//! Where the gateway is, and whether a session may be begun there.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serenity::http::{LightMethod, Request, Route};
use serenity::model::gateway::BotGateway;
use tokio_util::sync::CancellationToken;

use crate::discord::backoff::delay;
use crate::discord::error::{Failure, Reason};
use crate::discord::shared::Shared;
use crate::text;

/// The shortest wait for a session to begin.
const SHORTEST: Duration = Duration::from_millis(250);

/// Asks Discord where the gateway is, which also shows whether the token is good. `None` when stopped meanwhile.
pub(super) async fn find(
    shared: &Shared,
    stop: &CancellationToken,
) -> anyhow::Result<Option<BotGateway>> {
    let mut failures = 0;
    loop {
        let ask = shared
            .rest
            .call(Request::new(Route::GatewayBot, LightMethod::Get));
        let answer = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            answer = ask => answer,
        };
        match answer {
            Ok(gateway) => {
                let BotGateway {
                    shards,
                    session_start_limit: limit,
                    ..
                } = &gateway;
                if limit.remaining >= u64::from(*shards) {
                    return Ok(Some(gateway));
                }
                // Discord takes the token away from a bot that begins more sessions.
                let pause = Duration::from_millis(limit.reset_after).max(SHORTEST);
                tracing::warn!(
                    seconds = pause.as_secs(),
                    "Discord allows no more sessions for now; role changes go on meanwhile"
                );
                tokio::select! {
                    () = stop.cancelled() => return Ok(None),
                    () = tokio::time::sleep(pause) => {}
                }
            }
            Err(failure) if failure.reason() == Some(Reason::Token) => bail!(text::token_refused()),
            Err(Failure::Refused(refusal)) => {
                return Err(refusal).context("Discord does not tell where its gateway is");
            }
            Err(failure) => {
                tracing::warn!(%failure, "Discord's gateway cannot be found yet");
                tokio::select! {
                    () = stop.cancelled() => return Ok(None),
                    () = tokio::time::sleep(delay(failures, rand::random())) => {}
                }
                failures += 1;
            }
        }
    }
}
