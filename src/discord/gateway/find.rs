//! Where the gateway is, and whether sessions may be begun there.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serenity::http::Route;
use serenity::model::gateway::BotGateway;

use crate::clock::machine_time;
use crate::discord::backoff::delay;
use crate::discord::error::{Failure, Reason};
use crate::discord::shared::Shared;
use crate::text;

/// The shortest wait for a session to begin.
const SHORTEST: Duration = Duration::from_millis(250);

/// Asks Discord where the gateway is, which also shows whether the token is good, and waits until a session may be begun
/// there for each shard, or until `enough` may be begun.
///
/// # Errors
/// In one sentence, when Discord refuses.
pub(super) async fn find(shared: &Shared, enough: u32) -> anyhow::Result<BotGateway> {
    let mut failures = 0;
    loop {
        let pause = match shared.rest.get::<BotGateway>(Route::GatewayBot).await {
            Ok(gateway) => {
                let limit = &gateway.session_start_limit;
                if limit.remaining >= u64::from(gateway.shards.min(enough).max(1)) {
                    return Ok(gateway);
                }
                // Discord takes the token away from a bot that begins more sessions.
                let pause = Duration::from_millis(limit.reset_after).max(SHORTEST);
                let until = machine_time().plus(pause.as_secs());
                tracing::warn!(%until, "Discord allows no more sessions before then; role changes go on meanwhile");
                pause
            }
            Err(failure) if failure.reason() == Some(Reason::Token) => bail!(text::token_refused()),
            Err(Failure::Refused(refusal)) => {
                return Err(refusal).context("Discord does not say where its gateway is");
            }
            Err(failure) => {
                tracing::warn!(%failure, "Discord's gateway cannot be found yet");
                failures += 1;
                delay(failures - 1, rand::random())
            }
        };
        tokio::time::sleep(pause).await;
    }
}
