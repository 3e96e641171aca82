//! Gates that give nobody a role whatever is paid: a module that is none, a plan that its module does not have. Found by asking
//! the chain, and said at the start, in `plan`, in `/readyz` and among the failing gates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::domain::{
    ChainStatus, Gate, GateMatch, GateTrouble, GateTroubles, ModuleAddress, PlanId,
};
use crate::store::Store;
use crate::views::Views;

/// How often the chain is asked about the same gates again.
const EVERY: Duration = Duration::from_secs(60);

/// What is looked at.
pub(super) struct Inputs {
    pub(super) store: Store,
    pub(super) views: Views,
    pub(super) chain: watch::Receiver<ChainStatus>,
    /// Told when gates may have come, gone or been changed.
    pub(super) changed: Arc<Notify>,
}

/// Looks at all gates once the chain has been followed to its tip, then at each change of them and every minute.
pub(super) async fn keep_checking(
    mut inputs: Inputs,
    troubles: watch::Sender<GateTroubles>,
    stop: CancellationToken,
) {
    let checking = async {
        // Its sender is the follower: an error means the stop.
        if inputs
            .chain
            .wait_for(|chain| chain.reached_tip)
            .await
            .is_err()
        {
            return std::future::pending().await;
        }
        loop {
            let unread = inputs.chain.borrow_and_update().unread_modules.clone();
            // A store that cannot be read ends the service elsewhere.
            let gates = stored(&inputs.store).await.unwrap_or_default();
            match troubles_of(&inputs.store, &inputs.views, &gates, &unread).await {
                Ok(found) => publish(&troubles, found),
                // No node answers, which the follower says.
                Err(error) => {
                    tracing::debug!(error = format!("{error:#}"), "gates are not checked")
                }
            }
            tokio::select! {
                () = inputs.changed.notified() => {}
                // A sentence that no longer holds is not to stand for the rest of the minute.
                Ok(_) = inputs.chain.wait_for(|chain| chain.unread_modules != unread) => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = checking => {}
    }
}

async fn stored(store: &Store) -> anyhow::Result<Vec<Gate>> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || store.gates()).await?
}

/// Says what is new and what is mended.
fn publish(troubles: &watch::Sender<GateTroubles>, found: GateTroubles) {
    troubles.send_if_modified(|before| {
        for (gate, trouble) in &found {
            if before.get(gate) != Some(trouble) {
                for sentence in &trouble.sentences {
                    warn!(gate = gate.0, guild = %trouble.guild, "a gate cannot work: {sentence}");
                }
            }
        }
        for (gate, trouble) in before.iter().filter(|(gate, _)| !found.contains_key(gate)) {
            info!(gate = gate.0, guild = %trouble.guild, "a gate can work again");
        }
        std::mem::replace(before, found.clone()) != found
    });
}

/// What is wrong with these gates. `unread` are modules of which it is known already why they cannot be read.
///
/// # Errors
/// When the store cannot be read or no node answers.
pub(super) async fn troubles_of(
    store: &Store,
    views: &Views,
    gates: &[Gate],
    unread: &BTreeMap<ModuleAddress, String>,
) -> anyhow::Result<GateTroubles> {
    let mut asked = BTreeMap::<ModuleAddress, BTreeSet<PlanId>>::new();
    for gate in gates {
        asked.entry(gate.module).or_default().extend(&gate.plans);
    }
    let modules: Vec<_> = asked
        .keys()
        .copied()
        .filter(|module| !unread.contains_key(module))
        .collect();
    let merchants = views.merchants_of(&modules).await?;
    let mut wrong: BTreeMap<_, _> = unread.clone();
    let mut missing = BTreeMap::new();
    for (module, merchant) in modules.into_iter().zip(merchants) {
        if merchant.is_none() {
            wrong.insert(module, no_module(module));
            continue;
        }
        let reading = store.clone();
        let known = tokio::task::spawn_blocking(move || reading.plans_of(module));
        let known = known.await.context("reading the plans failed")??;
        let ids = asked.get(&module).into_iter().flatten();
        let unknown: Vec<_> = ids.filter(|id| !known.contains_key(id)).copied().collect();
        if unknown.is_empty() {
            continue;
        }
        for id in views.missing_plans(module, &unknown).await? {
            missing.insert((module, id), no_plan(module, id, known.keys()));
        }
    }
    let mut troubles = GateTroubles::new();
    for gate in gates {
        if let Some(trouble) = trouble_of(gate, &wrong, &missing) {
            troubles.insert(gate.id, trouble);
        }
    }
    Ok(troubles)
}

/// What is wrong with one gate, if anything is: its module, or plans that its module does not have.
fn trouble_of(
    gate: &Gate,
    wrong: &BTreeMap<ModuleAddress, String>,
    missing: &BTreeMap<(ModuleAddress, PlanId), String>,
) -> Option<GateTrouble> {
    let lacks = |plan: &&PlanId| missing.contains_key(&(gate.module, **plan));
    let lacking: BTreeSet<_> = gate.plans.iter().filter(lacks).copied().collect();
    let of_module = wrong.get(&gate.module);
    let of_plans = lacking
        .iter()
        .filter_map(|plan| missing.get(&(gate.module, *plan)));
    let sentences: BTreeSet<_> = of_module.into_iter().chain(of_plans).cloned().collect();
    // Where all plans are needed, the others alone give nobody the roles either.
    let gives_nothing =
        of_module.is_some() || (gate.matching == GateMatch::All && !lacking.is_empty());
    let not_for_sale = match gives_nothing {
        true => gate.plans.clone(),
        false => lacking,
    };
    (!sentences.is_empty()).then_some(GateTrouble {
        guild: gate.guild,
        sentences,
        not_for_sale,
    })
}

pub(super) fn no_module(module: ModuleAddress) -> String {
    format!(
        "At {module} there is no subscription module (no contract that names its merchant): correct the gate's module, or chain.rpc_urls if the chain is another."
    )
}

fn no_plan<'a>(
    module: ModuleAddress,
    plan: PlanId,
    known: impl Iterator<Item = &'a PlanId>,
) -> String {
    let known: Vec<_> = known.map(ToString::to_string).collect();
    let has = match known.as_slice() {
        [] => "it has none yet".to_owned(),
        _ => format!("it has {}", known.join(", ")),
    };
    format!("Module {module} has no plan {plan} ({has}): correct the gate's plan_ids.")
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::{GateId, GateOrigin, GuildId, RoleId, is_for_sale};

    const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));
    const GATE: GateId = GateId(3);

    /// Which of plans 1 and 7, of which the module has the first alone, are for sale at a gate that asks for both.
    fn for_sale(matching: GateMatch, is_module: bool) -> [bool; 2] {
        let plans = [PlanId::from(1), PlanId::from(7)];
        let gate = Gate {
            id: GATE,
            guild: GuildId(5),
            module: MODULE,
            plans: plans.into(),
            matching,
            roles: [RoleId(9)].into(),
            origin: GateOrigin::Config,
        };
        let wrong = (!is_module).then(|| (MODULE, no_module(MODULE)));
        let missing = no_plan(MODULE, plans[1], [plans[0]].iter());
        let missing = BTreeMap::from([((MODULE, plans[1]), missing)]);
        let trouble = trouble_of(&gate, &wrong.into_iter().collect(), &missing).unwrap();
        let found = GateTroubles::from([(GATE, trouble)]);
        plans.map(|plan| is_for_sale(&found, GATE, &plan))
    }

    #[test]
    fn a_plan_is_for_sale_where_it_can_lead_to_the_role() {
        assert_eq!(for_sale(GateMatch::Any, true), [true, false]);
        assert_eq!(for_sale(GateMatch::All, true), [false, false]);
        assert_eq!(for_sale(GateMatch::Any, false), [false, false]);
        assert!(is_for_sale(&GateTroubles::new(), GATE, &PlanId::from(7)));
    }
}
