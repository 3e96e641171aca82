//! A user's right click: the commands in the menu of another user.
use serde_json::{Map, json};

use super::super::handle::LocalDiscord;
use super::super::interaction::{NoReply, Reply};
use super::{check_permissions, first_channel, resolve};
use crate::domain::{GuildId, UserId};

/// The type of a command in a user's menu.
/// <https://discord.com/developers/docs/interactions/application-commands#application-command-object-application-command-types>
const USER_COMMAND: u64 = 2;

impl LocalDiscord {
    /// Chooses a command in the menu of `target` in the guild's first channel, and waits for the answer.
    pub async fn run_user_command(
        &self,
        guild: GuildId,
        user: UserId,
        name: &str,
        target: UserId,
    ) -> Result<Reply, NoReply> {
        let id = self.shared.change(|world| {
            let command = {
                let mut known = world
                    .commands_in(Some(guild))
                    .chain(world.commands_in(None));
                let found = known
                    .find(|command| command["name"] == name && command["type"] == USER_COMMAND);
                let missing = || NoReply::NotOffered(format!("no menu has the command {name}"));
                found.cloned().ok_or_else(missing)?
            };
            check_permissions(world, guild, user, &command)?;
            let mut resolved = Map::new();
            let id = json!(target);
            resolve(world, Some(guild), 6, &id, &mut resolved);
            let data = json!({
                "id": command["id"],
                "name": name,
                "type": USER_COMMAND,
                "guild_id": command["guild_id"],
                "target_id": target,
                "resolved": resolved,
            });
            let channel = first_channel(world, guild)?;
            world.interact(
                Some(guild),
                channel,
                user,
                None,
                2,
                &json!({ "data": data }),
            )
        })?;
        self.finish(id).await
    }
}
