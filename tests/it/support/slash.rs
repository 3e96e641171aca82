//! Slash commands that are typed until the answer is the wanted one.

use amser_roles::domain::{GuildId, UserId};
use amser_roles::sandbox::discord::LocalDiscord;
use serde_json::Value;

use super::until;

/// Types a command until the answer is as wanted; that answer. It may not be registered yet, and what it tells of may be a
/// moment away.
pub(crate) async fn until_answered(
    discord: &LocalDiscord,
    (guild, user): (GuildId, UserId),
    (name, options): (&str, &[(&str, Value)]),
    is_wanted: impl Fn(&str) -> bool,
) -> String {
    until(&format!("/{name} says it"), async || {
        let reply = discord.run_command(guild, user, name, options).await;
        let told = reply.map_or_else(|none| format!("{none:?}"), |reply| reply.text());
        match is_wanted(&told) {
            true => Ok(told),
            false => Err(told),
        }
    })
    .await
}
