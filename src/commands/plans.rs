//! `/plans`, and the names of plans.

use std::collections::BTreeSet;
use std::time::Duration;

use super::answer::Answer;
use super::running::{Asked, Commands, Data};
use crate::domain::{Gate, GuildId, ModuleAddress};
use crate::text::{self, PlanRows};

/// How long names of plans are waited for where their numbers will do.
const NAMES_WITHIN: Duration = Duration::from_secs(2);

/// What the gates of the server ask for.
pub(super) async fn offered(commands: Data, asked: Asked) -> anyhow::Result<Answer> {
    let gates = commands.gates(asked.guild).await?;
    let rows = commands.plan_rows(&gates).await;
    let failing = commands.failing(asked.guild);
    let unread = commands.services.chain.borrow().unread_modules.clone();
    let is_stuck = |gate: &Gate| {
        let mut roles = gate.roles.iter();
        failing.contains_key(&None)
            || unread.contains_key(&gate.module)
            || roles.any(|role| failing.contains_key(&Some(*role)))
    };
    let checkout = commands.checkout(asked.guild);
    let found = commands.services.gate_troubles.borrow().clone();
    let plans = text::plans(&gates, &rows, &checkout, &is_stuck, &found);
    Ok(Answer::text(plans))
}

impl Commands {
    /// The checkout for those who read of it in this server, to which it leads them back.
    pub(super) fn checkout(&self, guild: GuildId) -> text::Checkout<'_> {
        text::Checkout {
            template: &self.services.checkout_url,
            back: (self.services.return_url)(guild),
        }
    }

    /// The plans that these gates ask about, as far as they can be told at once.
    pub(super) async fn plan_rows(&self, gates: &[Gate]) -> PlanRows {
        let modules: BTreeSet<ModuleAddress> = gates.iter().map(|gate| gate.module).collect();
        let modules: Vec<_> = modules.into_iter().collect();
        let merchants = &self.services.merchants;
        let rows = merchants.plans_within(&modules, NAMES_WITHIN).await;
        let rows = rows.into_iter();
        rows.map(|row| ((row.module, row.plan), row)).collect()
    }
}
