//! A personal invite for a subscriber who paid and linked a wallet, and is not in the server.

use super::{Manager, Merchants, Refusal};
use crate::discord::Reason;
use crate::domain::{Act, ActEntry, Question, UserId};

impl Merchants {
    /// Makes an invite that this subscriber alone can accept, once, within a week, and that gives them what they paid for; its
    /// address. The roles are ours from now on: who has not paid any longer when they accept it loses them again.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for anybody who is listed otherwise than as not in the server; [`Refusal::DiscordUnavailable`], also
    /// where the bot may not invite.
    pub async fn invite(&self, manager: &Manager, user: UserId) -> Result<String, Refusal> {
        let guild = manager.guild;
        let roles = self.ask(|answer| Question::Invite {
            guild,
            user,
            answer,
        });
        let roles = roles.await?;
        if roles.is_empty() {
            let sentence = "An invite is for a subscriber who paid, linked a wallet, and is not in the server.";
            return Err(Refusal::Invalid(sentence.to_owned()));
        }
        let made = self.inputs().discord.invite(guild, user, &roles).await;
        let code = made.map_err(|failure| match failure.reason() {
            Some(Reason::Permissions | Reason::Guild) => Refusal::DiscordUnavailable(
                "The bot may not invite into this server's first channels. Give it the permission \"Create Invite\" there, and try again.".to_owned(),
            ),
            _ => failure.into(),
        })?;
        let entry = ActEntry {
            at: self.now(),
            guild,
            by: Some(manager.user),
            act: Act::Invited { user },
        };
        self.with_store(move |store| store.note_act(&entry)).await?;
        Ok(format!("https://discord.gg/{code}"))
    }
}
