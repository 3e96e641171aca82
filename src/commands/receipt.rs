//! `/why`: the receipt of a role, and what happened to it lately.

use super::answer::Answer;
use super::running::{Asked, Data};
use crate::domain::RoleId;
use crate::text;

/// Journal entries of the member that are looked through.
const LOOKED_THROUGH: usize = 500;
/// Journal entries of the role that are shown.
const SHOWN: usize = 5;

/// Why a member of the server has a role, or does not; `manager`: whether someone else asks.
pub(super) async fn why(
    commands: Data,
    about: Asked,
    role: RoleId,
    name: &str,
    manager: bool,
) -> anyhow::Result<Answer> {
    let (user, guild) = (about.user, about.guild);
    // First, since it also settles what has just happened.
    let (standing, unread) = commands.standing_in(user, guild, &about.roles).await?;
    let (applied, history, gates) = commands
        .with_store(move |store| {
            let mut history = store.journal_of(user, LOOKED_THROUGH)?;
            history.retain(|entry| (entry.change.guild, entry.change.role) == (guild, role));
            history.truncate(SHOWN);
            Ok((store.applied(guild, user, role)?, history, store.gates()?))
        })
        .await?;
    let gated = gates
        .iter()
        .any(|gate| gate.guild == guild && gate.roles.contains(&role));
    if !gated && applied.is_none() && history.is_empty() {
        return Ok(Answer::text(text::not_gated(name)));
    }
    let receipt = text::Receipt {
        role,
        name,
        applied: applied.as_ref(),
        history: &history,
        gates: standing
            .gates
            .iter()
            .filter(|gate| gate.guild == guild && gate.roles.iter().any(|one| one.role == role))
            .collect(),
        unread,
        held_back: commands.held_back(guild, role),
        linked: !standing.wallets.is_empty(),
        now: standing.now,
        whose: manager.then_some(user),
    };
    Ok(Answer::text(text::why(&receipt)))
}
