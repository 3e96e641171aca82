//! What `/why` adds to the receipt: the last payments, the server's policy, and what contract and API say now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::running::Data;
use crate::domain::{
    ActiveAnswer, ActiveQuestion, GateStanding, GuildId, Mark, MemberStanding, ModuleAddress,
    Policy, RoleId, SourcesSay, SubscriptionId,
};
use crate::text;

/// How long contract and API are waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Questions to them for one answer.
const MOST: usize = 8;

/// What the steps from a payment to a role are told from.
#[derive(Default)]
pub(super) struct Evidence {
    /// The last payment of each subscription that is told about.
    pub(super) paid: BTreeMap<(ModuleAddress, SubscriptionId), Mark>,
    /// The server's policy.
    pub(super) policy: Policy,
    /// What contract and API say.
    pub(super) sources: BTreeMap<ActiveQuestion, SourcesSay>,
}

impl Evidence {
    /// Reads what is told of these roles of a server.
    pub(super) async fn read(
        commands: &Data,
        standing: &MemberStanding,
        guild: GuildId,
        roles: &[RoleId],
    ) -> anyhow::Result<Self> {
        let mut ids = BTreeSet::new();
        let mut questions = BTreeSet::new();
        for role in roles {
            let Some(gate) = text::told_gate(&gates_of(standing, guild, *role)) else {
                continue;
            };
            for one in text::told(gate) {
                ids.insert((gate.module, one.subscription));
                questions.insert(text::question(gate, one));
            }
        }
        let default = commands.services.merchants.default_policy();
        let read = commands.with_store(move |store| {
            let mut paid = BTreeMap::new();
            for (module, id) in ids {
                let mark = store.subscription(module, id)?.and_then(|state| state.paid);
                paid.extend(mark.map(|mark| ((module, id), mark)));
            }
            let (fixed, own) = store.settings(guild)?;
            Ok((paid, fixed.over(own).policy(&default)))
        });
        let questions: Vec<_> = questions.into_iter().take(MOST).collect();
        let asked = (commands.services.sources)(questions.clone());
        let (read, said) = tokio::join!(read, tokio::time::timeout(PATIENCE, asked));
        let (paid, policy) = read?;
        let late = SourcesSay {
            block: 0,
            contract: ActiveAnswer::Unknown("too late".to_owned()),
            api: None,
        };
        let said = said.unwrap_or_else(|_elapsed| vec![late; questions.len()]);
        Ok(Self {
            paid,
            policy,
            sources: questions.into_iter().zip(said).collect(),
        })
    }
}

/// Where the member stands at the server's gates for a role.
pub(super) fn gates_of(
    standing: &MemberStanding,
    guild: GuildId,
    role: RoleId,
) -> Vec<&GateStanding> {
    let gates = standing.gates.iter().filter(|gate| gate.guild == guild);
    gates
        .filter(|gate| gate.roles.iter().any(|one| one.role == role))
        .collect()
}
