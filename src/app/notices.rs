//! What the notices ask of Discord.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::discord::Discord;
use crate::domain::{ChainStatus, DiscordStatus, DriftStatus, Policy};
use crate::forecast::Forecast;
use crate::store::Store;
use crate::views::Views;
use crate::{notices, web};

/// What is wired to the notices besides Discord.
pub(super) struct Parts<'a> {
    pub(super) store: &'a Store,
    pub(super) chain: &'a watch::Receiver<ChainStatus>,
    pub(super) discord_status: &'a watch::Sender<DiscordStatus>,
    pub(super) drift: &'a watch::Receiver<DriftStatus>,
    pub(super) policy: &'a watch::Receiver<Policy>,
    pub(super) views: &'a Views,
}

pub(super) fn inputs(config: &Config, discord: &Discord, parts: &Parts<'_>) -> notices::Inputs {
    notices::Inputs {
        store: parts.store.clone(),
        chain: parts.chain.clone(),
        discord: parts.discord_status.clone(),
        drift: parts.drift.clone(),
        policy: parts.policy.clone(),
        forecast: Forecast::new(parts.store.clone(), parts.views.clone()),
        open_direct: open_direct(discord),
        post: post(discord),
        names: names(discord),
        chain_id: config.chain.chain_id,
        clock: web::machine_clock(),
        timing: notices::Timing::default(),
    }
}

/// Opens channels for direct messages.
pub fn open_direct(discord: &Discord) -> notices::OpenDirect {
    let discord = discord.clone();
    Arc::new(move |user| {
        let discord = discord.clone();
        Box::pin(async move { Ok(discord.direct_channel(user).await?) })
    })
}

/// Sends messages.
pub fn post(discord: &Discord) -> notices::Post {
    let discord = discord.clone();
    Arc::new(move |channel, message| {
        let discord = discord.clone();
        Box::pin(async move { Ok(discord.say(channel, &message).await?) })
    })
}

/// What servers and roles are called.
pub fn names(discord: &Discord) -> notices::Names {
    let discord = discord.clone();
    Arc::new(move |guild, role| (discord.guild_name(guild), discord.role_name(guild, role)))
}
