//! Slash commands that are typed until the answer is the wanted one.

use amser_roles::domain::{GuildId, UserId};
use amser_roles::sandbox::discord::LocalDiscord;
use serde_json::Value;

use super::stage::DEADLINE;

/// Types a command until the answer is as wanted; that answer. It may not be registered yet, and what it tells of may be a
/// moment away.
pub(crate) async fn until_answered(
    discord: &LocalDiscord,
    (guild, user): (GuildId, UserId),
    (name, options): (&str, &[(&str, Value)]),
    is_wanted: impl Fn(&str) -> bool,
) -> String {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let reply = discord.run_command(guild, user, name, options).await;
        let told = reply.map_or_else(|none| format!("{none:?}"), |reply| reply.text());
        if is_wanted(&told) {
            return told;
        }
        assert!(tokio::time::Instant::now() < deadline, "/{name}: {told}");
        // A member may use so many commands a minute.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}
