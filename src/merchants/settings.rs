//! The settings of a server.

use super::{Manager, Merchants, Refusal};
use crate::domain::{ChannelId, GuildId, ServerSettings, TextChannel};

/// The longest leeway, in seconds: a year. A longer one is a mistake.
const LONGEST_LEEWAY: u64 = 366 * 86_400;

impl Merchants {
    /// What is set for a server: the operator's `[[servers]]` first, then what its managers set.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn settings(&self, guild: GuildId) -> Result<ServerSettings, Refusal> {
        Ok(self.settings_and_fixed(guild).await?.0)
    }

    /// The same, and what of it the operator's `[[servers]]` sets, which managers cannot change.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn settings_and_fixed(
        &self,
        guild: GuildId,
    ) -> Result<(ServerSettings, ServerSettings), Refusal> {
        let (fixed, own) = self.with_store(move |store| store.settings(guild)).await?;
        Ok((fixed.over(own), fixed))
    }

    /// The text channels of a server, with what keeps the bot from writing in them.
    ///
    /// # Errors
    /// [`Refusal::DiscordUnavailable`] where they cannot be read.
    pub async fn text_channels(&self, guild: GuildId) -> Result<Vec<TextChannel>, Refusal> {
        Ok(self.inputs().discord.text_channels(guild).await?)
    }

    /// Refuses a channel that is not a text channel of the manager's own server, or in which the bot cannot write: else a
    /// manager could have the bot write in somebody else's server.
    async fn check_channels(
        &self,
        guild: GuildId,
        channels: impl Iterator<Item = ChannelId>,
    ) -> Result<(), Refusal> {
        let mut channels = channels.peekable();
        if channels.peek().is_none() {
            return Ok(());
        }
        let known = self.text_channels(guild).await?;
        for channel in channels {
            let Some(found) = known.iter().find(|one| one.id == channel) else {
                let sentence = "This server has no such text channel.";
                return Err(Refusal::Invalid(sentence.to_owned()));
            };
            if let Some(why) = &found.why_not {
                let sentence = format!("The bot can't write in #{}. {why}", found.name);
                return Err(Refusal::Invalid(sentence));
            }
        }
        Ok(())
    }

    /// Sets what managers set, all of it. What the operator sets may be repeated, and is not changed.
    ///
    /// # Errors
    /// [`Refusal::FromConfig`] for another value than the operator's; [`Refusal::Invalid`].
    pub async fn set_settings(
        &self,
        manager: &Manager,
        settings: ServerSettings,
    ) -> Result<(), Refusal> {
        if settings
            .expiry_leeway
            .is_some_and(|leeway| leeway > LONGEST_LEEWAY)
        {
            let sentence = "The leeway can be a year at most.";
            return Err(Refusal::Invalid(sentence.to_owned()));
        }
        let (guild, by, at) = (manager.guild, manager.user, self.now());
        let before = self.settings(guild).await?;
        let chosen = [
            (settings.log_channel, before.log_channel),
            (settings.alert_channel, before.alert_channel),
        ];
        let new = chosen.into_iter().filter(|(now, before)| now != before);
        self.check_channels(guild, new.filter_map(|(now, _)| now))
            .await?;
        let is_allowed = self
            .with_store(move |store| {
                let (fixed, _) = store.settings(guild)?;
                let is_allowed = fixed.over(settings) == settings.over(fixed);
                if is_allowed {
                    store.set_settings(guild, settings.without(&fixed), by, at)?;
                }
                Ok(is_allowed)
            })
            .await?;
        match is_allowed {
            true => Ok(()),
            false => Err(Refusal::SettingFromConfig),
        }
    }
}
