//! A personal invite for a subscriber who paid and linked a wallet, and is not in the server.

use std::collections::BTreeSet;

use super::{Manager, Merchants, Refusal};
use crate::discord::Reason;
use crate::domain::{
    Act, ActEntry, Cause, Gate, GateMatch, ManualRoles, MemberState, RoleId, UserId,
};

impl Merchants {
    /// Makes an invite that this subscriber alone can accept, once, within a week, and that gives them what they paid for; its
    /// address. Only for one who is listed as not in the server. The role becomes ours as soon as they are in
    /// (`manual_roles`); where roles given by others are left alone, the invite brings none, and the role follows at once.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for anybody else; [`Refusal::DiscordUnavailable`], also where the bot may not invite.
    pub async fn invite(&self, manager: &Manager, user: UserId) -> Result<String, Refusal> {
        let filter = Some(MemberState::NotInServer);
        let found = self
            .members(manager, filter, &user.to_string(), None)
            .await?;
        let mut rows = found.members.into_iter();
        let row = rows.find(|row| row.user == Some(user));
        let row = row.ok_or_else(|| {
            let sentence = "An invite is for a subscriber who paid, linked a wallet, and is not in the server.";
            Refusal::Invalid(sentence.to_owned())
        })?;
        let guild = manager.guild;
        let policy = self.settings(guild).await?.policy(&self.default_policy());
        let roles = match policy.manual_roles {
            ManualRoles::Leave => BTreeSet::new(),
            ManualRoles::Adopt | ManualRoles::Claim => {
                paid_for(&self.gates(guild).await?, row.cause.as_ref())
            }
        };
        let roles: Vec<_> = roles.into_iter().collect();
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

/// The roles that one paid plan gives by itself.
fn paid_for(gates: &[Gate], cause: Option<&Cause>) -> BTreeSet<RoleId> {
    let Some(Cause::Paid { module, plan, .. }) = cause else {
        return BTreeSet::new();
    };
    let gives = |gate: &&Gate| {
        let is_enough = gate.matching == GateMatch::Any || gate.plans.len() == 1;
        gate.module == *module && gate.plans.contains(plan) && is_enough
    };
    let gates = gates.iter().filter(gives);
    gates.flat_map(|gate| gate.roles.iter().copied()).collect()
}
