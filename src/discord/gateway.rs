//! The gateway: one connection per shard, its events as [`Observation`]s in Discord's order, its commands to a serenity
//! framework. <https://discord.com/developers/docs/events/gateway>
//!
//! The connections are our own: serenity's can neither resume at the address that Discord names, nor survive every close
//! code, and drops events of a shape that it does not know.

mod close;
mod commands;
mod connection;
mod event;
mod events;
mod modal;
mod pending;
mod shard;
mod starts;

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use secrecy::SecretString;
use serenity::framework::Framework;
use serenity::model::gateway::{BotGateway, GatewayIntents};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use commands::NoCommands;

use self::close::Next;
use self::connection::Shard;
use self::events::Events;
use self::starts::Starts;
use super::backoff::rare_delay;
use super::shared::Shared;
use super::{Observation, Settings, rest};
use crate::domain::MembersIntent;
use crate::text;

/// How long the connections may take to say goodbye after the stop.
const GOODBYE: Duration = Duration::from_secs(3);

/// Connects and stays connected until `stop`.
///
/// # Errors
/// In one sentence, when Discord refuses for good.
pub(crate) async fn run<F: Framework + 'static>(
    shared: Arc<Shared>,
    settings: Settings,
    token: SecretString,
    commands: F,
    observations: mpsc::UnboundedSender<Observation>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (interacted, interactions) = mpsc::unbounded_channel();
    let http = rest::http(&settings, &token, rest::client(&settings.api_url)?);
    let events = Arc::new(Events::new(Arc::clone(&shared), observations, interacted));
    let connected = stay_connected(&token, events, &stop);
    let dispatch = commands::dispatch(commands, &settings, http, interactions);
    let result = tokio::try_join!(connected, dispatch);
    shared.connected(false);
    result.map(drop)
}

/// Connects all shards, again and again: with the privileged intent while Discord allows it.
async fn stay_connected(
    token: &SecretString,
    events: Arc<Events>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut refusals = 0;
    // Survives the connections: the pause between two sessions counts across them.
    let mut starts: Option<Arc<Starts>> = None;
    loop {
        let found = starts::find(&events.shared, u32::MAX);
        let Some(gateway) = stop.run_until_cancelled(found).await else {
            return Ok(());
        };
        let gateway = gateway?;
        let known = starts.filter(|starts| starts.renew(&gateway));
        let begin = known.unwrap_or_else(|| Arc::new(Starts::new(&gateway)));
        starts = Some(Arc::clone(&begin));
        let with_members = events.shared.members_intent() == MembersIntent::Used;
        match shards(token, &events, &gateway, begin, with_members, stop).await? {
            Next::WithoutIntent if with_members => events.shared.refuse_members_intent(),
            Next::WithoutIntent => bail!(text::gateway_refused(4014)),
            Next::TokenRefused => bail!(text::token_refused()),
            Next::Refused(code) => bail!(text::gateway_refused(code)),
            Next::Stop if stop.is_cancelled() => return Ok(()),
            Next::FindAgain => {
                tracing::warn!("Discord wants another number of shards; asking for it");
                if refusals > 0 {
                    let pause = tokio::time::sleep(rare_delay(refusals));
                    stop.run_until_cancelled(pause).await;
                }
                refusals += 1;
            }
            // The intent was given up meanwhile.
            Next::Stop | Next::Resume | Next::Identify => {}
        }
    }
}

/// Runs all shards until one of them ends with something that concerns them all.
async fn shards(
    token: &SecretString,
    events: &Arc<Events>,
    gateway: &BotGateway,
    starts: Arc<Starts>,
    with_members: bool,
    stop: &CancellationToken,
) -> anyhow::Result<Next> {
    let total = gateway.shards.max(1);
    let mut intents = GatewayIntents::GUILDS;
    if with_members {
        intents |= GatewayIntents::GUILD_MEMBERS;
    }
    let end = stop.child_token();
    events.begin(total);
    let mut running = JoinSet::new();
    for id in 0..total {
        let shard = Shard {
            id,
            total,
            url: gateway.url.clone(),
            token: token.clone(),
            intents,
            starts: Arc::clone(&starts),
            events: Arc::clone(events),
            stop: end.clone(),
        };
        running.spawn(shard::run(shard));
    }
    let first = tokio::select! {
        ended = running.join_next() => ended,
        () = events.shared.until_members_intent_refused(), if with_members => None,
    };
    end.cancel();
    let goodbye = async { while running.join_next().await.is_some() {} };
    // Those that take longer are dropped.
    let _late = tokio::time::timeout(GOODBYE, goodbye).await;
    match first {
        Some(ended) => ended?,
        None => Ok(Next::Stop),
    }
}
