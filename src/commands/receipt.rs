//! `/why`: the receipt of a role, and what happened to it lately.

use std::collections::BTreeSet;

use serenity::all as serenity;

use super::answer::Answer;
use super::evidence::{Evidence, gates_of};
use super::running::{Asked, Context, Data, answer, manages, refuse, role_ids};
use crate::clock::machine_time;
use crate::domain::{
    Applied, Gate, GateId, GateMatch, Grant, JournalEntry, MemberStanding, RoleId, Timestamp,
    UserId,
};
use crate::text;

/// Journal entries of the member that are looked through.
const LOOKED_THROUGH: usize = 500;
/// Journal entries of the role that are shown.
const SHOWN: usize = 5;
/// Roles that are told about where none is named.
const MOST_ROLES: usize = 10;

/// Why this member has the roles that subscriptions give here
#[poise::command(context_menu_command = "Why this role?", guild_only, ephemeral)]
pub(super) async fn why_this_role(
    context: Context<'_>,
    user: serenity::User,
) -> anyhow::Result<()> {
    let poise::Context::Application(application) = context else {
        anyhow::bail!("every command is an application command");
    };
    let asks_about_themselves = user.id == application.interaction.user.id;
    let is_manager = manages(application.interaction.member.as_deref());
    if !asks_about_themselves && !is_manager {
        return refuse(context, text::only_yourself()).await;
    }
    // Of others nothing is told, not even whether they have linked a wallet.
    let Some(member) = user.member.as_deref() else {
        return refuse(context, text::not_a_member(UserId(user.id.get()))).await;
    };
    let roles = role_ids(&member.roles);
    answer(context, move |commands, asked| async move {
        let about = Asked {
            user: UserId(user.id.get()),
            guild: asked.guild,
            roles,
        };
        why_each(commands, about, !asks_about_themselves).await
    })
    .await
}

/// Why a member of the server has a role, or does not; `manager`: whether someone else asks.
pub(super) async fn why(
    commands: Data,
    about: Asked,
    role: RoleId,
    name: &str,
    manager: bool,
) -> anyhow::Result<Answer> {
    let known = Known::read(&commands, &about, move |_, _| vec![role]).await?;
    let applied = known.applied.first().cloned().flatten();
    let told = known.tell(&commands, &about, (role, name, applied), manager);
    Ok(Answer::text(told.unwrap_or_else(|| text::not_gated(name))))
}

/// The same of each role that a gate gives here, or a manager gave to the member.
async fn why_each(commands: Data, about: Asked, manager: bool) -> anyhow::Result<Answer> {
    let roles = |gates: &[Gate], grants: &[Grant]| {
        let of_gates = gates.iter().flat_map(|gate| gate.roles.iter().copied());
        let given = grants.iter().map(|grant| grant.role);
        let roles: BTreeSet<_> = of_gates.chain(given).collect();
        roles.into_iter().take(MOST_ROLES).collect()
    };
    let known = Known::read(&commands, &about, roles).await?;
    let told = known.roles.iter().zip(&known.applied);
    let told = told.filter_map(|(role, applied)| {
        let name = commands.discord.role_name(about.guild, *role);
        let name = name.unwrap_or_else(|| role.to_string());
        known.tell(&commands, &about, (*role, &name, applied.clone()), manager)
    });
    let told: Vec<_> = told.collect();
    Ok(Answer::text(match told.is_empty() {
        true => text::nothing_gated(),
        false => told.join("\n\n"),
    }))
}

/// What receipts of a member are told from.
struct Known {
    standing: MemberStanding,
    unread: Option<text::Unread>,
    /// Of this server, newest first.
    history: Vec<JournalEntry>,
    /// Of this server.
    gates: Vec<Gate>,
    /// To the member in this server.
    grants: Vec<Grant>,
    /// The roles that are asked about.
    roles: Vec<RoleId>,
    /// What the program did last to each of them.
    applied: Vec<Option<Applied>>,
    /// What its steps are told from.
    evidence: Evidence,
    /// The machine's clock.
    now: Timestamp,
}

impl Known {
    async fn read(
        commands: &Data,
        about: &Asked,
        roles: impl FnOnce(&[Gate], &[Grant]) -> Vec<RoleId> + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (user, guild) = (about.user, about.guild);
        // First, since it also settles what has just happened.
        let (standing, unread) = commands.standing_in(user, guild, &about.roles).await?;
        let mut known = commands
            .with_store(move |store| {
                let mut history = store.journal_of(user, LOOKED_THROUGH)?;
                history.retain(|entry| entry.change.guild == guild);
                let mut gates = store.gates()?;
                gates.retain(|gate| gate.guild == guild);
                let mut grants = store.grants_of(user)?;
                grants.retain(|grant| grant.guild == guild);
                let roles = roles(&gates, &grants);
                let applied = roles.iter().map(|role| store.applied(guild, user, *role));
                let applied = applied.collect::<Result<_, _>>()?;
                Ok(Self {
                    standing,
                    unread,
                    history,
                    gates,
                    grants,
                    roles,
                    applied,
                    evidence: Evidence::default(),
                    now: machine_time(),
                })
            })
            .await?;
        known.evidence = Evidence::read(commands, &known.standing, guild, &known.roles).await?;
        Ok(known)
    }

    /// How many of a gate's plans are needed.
    fn matching(&self, id: GateId) -> GateMatch {
        let gate = self.gates.iter().find(|gate| gate.id == id);
        gate.map_or_else(GateMatch::default, |gate| gate.matching)
    }

    /// The receipt of a role; `None` where this program has nothing to do with it.
    fn tell(
        &self,
        commands: &Data,
        about: &Asked,
        (role, name, applied): (RoleId, &str, Option<Applied>),
        manager: bool,
    ) -> Option<String> {
        let of_role = self
            .history
            .iter()
            .filter(|entry| entry.change.role == role);
        let history: Vec<_> = of_role.take(SHOWN).cloned().collect();
        let grant = self.grants.iter().find(|grant| grant.role == role);
        let is_gated = self.gates.iter().any(|gate| gate.roles.contains(&role));
        if !is_gated && grant.is_none() && applied.is_none() && history.is_empty() {
            return None;
        }
        let gates = gates_of(&self.standing, about.guild, role);
        let paid = |module, id| self.evidence.paid.get(&(module, id)).copied();
        let sources = |question: &_| self.evidence.sources.get(question).cloned();
        let confirmed = commands.services.chain.borrow().confirmed;
        let trail = text::told_gate(&gates).map(|gate| text::Trail {
            gate,
            matching: self.matching(gate.gate),
            policy: &self.evidence.policy,
            paid: &paid,
            answered: history.first(),
            confirmed,
            sources: &sources,
        });
        Some(text::why(&text::Receipt {
            role,
            name,
            applied: applied.as_ref(),
            history: &history,
            gates,
            trail,
            grant: grant.map(|grant| (grant, self.now)),
            holds: about.roles.contains(&role),
            unread: self.unread.clone(),
            held_back: commands.held_back(about.guild, role),
            queue_wait: commands.queue_wait(about.guild),
            linked: !self.standing.wallets.is_empty(),
            now: self.standing.now,
            whose: manager.then_some(about.user),
        }))
    }
}
