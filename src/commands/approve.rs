//! `/amser approve`: shows what is stopped, and lets exactly that through when the button is pressed.

use super::answer::Answer;
use super::ids::{self, Shown};
use super::running::{Asked, Commands, Data};
use crate::domain::{GuildId, HeldBack, Question, RoleId};
use crate::text;

/// Asks before the stopped removals of a role are let through.
pub(super) async fn asked(commands: Data, asked: Asked, role: RoleId) -> anyhow::Result<Answer> {
    let Some(held) = commands.held_back(asked.guild, role) else {
        return Ok(Answer::text(text::nothing_held(role)));
    };
    let id = Shown::new(role, held).id();
    let button = ids::press(text::approve_button(held), id, true);
    Ok(Answer::text(text::approve_question(role, held)).with([button]))
}

/// The button: approves what the manager was shown, unless something else is stopped by now.
pub(super) async fn pressed(commands: Data, asked: Asked, shown: Shown) -> anyhow::Result<Answer> {
    let approved = commands.ask(|answer| Question::Approve {
        guild: asked.guild,
        role: shown.role,
        by: asked.user,
        shown: Some((shown.since, shown.removals)),
        answer,
    });
    Ok(Answer::text(text::approved(shown.role, approved.await?)))
}

impl Commands {
    /// The removals of a role that are stopped.
    pub(super) fn held_back(&self, guild: GuildId, role: RoleId) -> Option<HeldBack> {
        let status = self.services.discord.borrow();
        let server = status.servers.get(&guild)?;
        server.held_back.get(&role).copied()
    }
}
