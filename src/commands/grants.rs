//! `/amser grant`: a role for a time.

use super::answer::Answer;
use super::running::{Asked, Data};
use crate::clock::machine_time;
use crate::domain::{Grant, GrantTerms, RoleId, UserId};
use crate::merchants::{Refusal, dangerous, raises_its_maker};
use crate::text;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What a manager asks for.
pub(super) struct Wanted {
    /// Whose role.
    pub(super) user: UserId,
    /// The roles that Discord shows on them; `None`: they are not in the server.
    pub(super) held: Option<Vec<RoleId>>,
    /// The role.
    pub(super) role: RoleId,
    /// Its name.
    pub(super) name: String,
    /// How long from now; 0 ends what was given.
    pub(super) days: u64,
    /// In the manager's words.
    pub(super) reason: String,
}

pub(super) async fn grant(commands: Data, asked: Asked, wanted: Wanted) -> anyhow::Result<Answer> {
    if let Some(sentence) = objection(&commands, &asked, &wanted).await? {
        return Ok(Answer::text(sentence));
    }
    let (guild, user, role) = (asked.guild, wanted.user, wanted.role);
    let by = asked.user;
    let at = machine_time();
    if wanted.days == 0 {
        let key = (guild, user, role);
        let ended = commands
            .with_store(move |store| store.end_grant(key, by, at))
            .await?;
        if ended {
            tracing::info!(%guild, %user, %role, %by, "a manager ended a grant early");
        }
        return Ok(Answer::text(match ended {
            true => text::grant_ended(user, role),
            false => text::no_grant(user, role),
        }));
    }
    let grant = Grant {
        guild,
        user,
        role,
        terms: GrantTerms {
            by,
            at,
            until: at.plus(wanted.days.saturating_mul(DAY)),
            reason: wanted.reason,
        },
    };
    let holds = wanted.held.is_some_and(|held| held.contains(&role));
    let sentence = text::granted(&grant, holds);
    commands
        .with_store(move |store| store.grant(&grant))
        .await?;
    tracing::info!(%guild, %user, %role, %by, days = wanted.days, "a manager gave a role for a time");
    Ok(Answer::text(sentence))
}

/// Why the manager may not do this, or the bot cannot; one sentence.
async fn objection(
    commands: &Data,
    asked: &Asked,
    wanted: &Wanted,
) -> anyhow::Result<Option<String>> {
    let merchants = &commands.services.merchants;
    let looked_up = async {
        let manager = merchants.manager(asked.guild, asked.user).await?;
        Ok((manager, merchants.roles(asked.guild).await?))
    };
    let (manager, roles) = match looked_up.await {
        Ok(looked_up) => looked_up,
        Err(refusal) => return said(refusal).map(Some),
    };
    let row = roles.into_iter().find(|row| row.role == wanted.role);
    let (position, permissions) = row
        .as_ref()
        .map_or((0, 0), |row| (row.position, row.permissions));
    match raises_its_maker(&manager, &wanted.name, position) {
        Err(Refusal::AboveYou { role }) => return Ok(Some(text::grant_above_you(&role))),
        Err(refusal) => return said(refusal).map(Some),
        Ok(()) => {}
    }
    if wanted.days == 0 {
        return Ok(None);
    }
    if wanted.held.is_none() {
        return Ok(Some(text::not_a_member(wanted.user)));
    }
    let risks = dangerous(permissions);
    if !risks.is_empty() {
        return Ok(Some(text::grant_dangerous(&wanted.name, &risks)));
    }
    Ok(match row {
        Some(row) if row.manageable => None,
        Some(row) => Some(text::cannot_give(
            row.why_not.as_deref().unwrap_or_default(),
        )),
        None => Some(text::no_such_role(&wanted.name)),
    })
}

/// A refusal in its own words.
///
/// # Errors
/// A fault of ours, which goes to the log.
pub(super) fn said(refusal: Refusal) -> anyhow::Result<String> {
    match refusal {
        Refusal::Internal(error) => Err(error),
        other => Ok(other.to_string()),
    }
}
