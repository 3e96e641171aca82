//! The settings of a server.

use super::{Manager, Merchants, Refusal};
use crate::domain::{GuildId, ServerSettings};

/// The longest leeway, in seconds: a year. A longer one is a mistake.
const LONGEST_LEEWAY: u64 = 366 * 86_400;

impl Merchants {
    /// What is set for a server: the operator's `[[servers]]` first, then what its managers set.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn settings(&self, guild: GuildId) -> Result<ServerSettings, Refusal> {
        let (fixed, own) = self.with_store(move |store| store.settings(guild)).await?;
        Ok(fixed.over(own))
    }

    /// What the operator's `[[servers]]` sets for a server, which managers cannot change.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn fixed_settings(&self, guild: GuildId) -> Result<ServerSettings, Refusal> {
        let (fixed, _) = self.with_store(move |store| store.settings(guild)).await?;
        Ok(fixed)
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
