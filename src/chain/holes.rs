//! Holes that show in what is stored: subscriptions and plans whose creation was not read, and modules with plans but
//! without events. A node that has dropped old receipts answers `[]` for their blocks.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tracing::{debug, warn};

use super::context::Context;
use super::error::SessionError;
use super::node::{Node, read};
use crate::domain::{ModuleAddress, Plan, PlanId, unread_beginnings};

/// Ids that a module may have given to its first plan.
const FIRST_PLANS: [u64; 2] = [1, 0];
/// Modules that are asked at the same time.
const AT_ONCE: usize = 8;

/// What was found.
#[derive(Debug)]
pub(super) struct Holes {
    /// The modules that need no further look: they have events, or were asked for their plan.
    pub(super) settled: BTreeSet<ModuleAddress>,
    /// Subscriptions and plans in the store whose creation was not read.
    pub(super) orphans: u64,
}

/// Asks the modules without events for their first plan, which is an orphan if there is one, and counts the orphans.
/// `read_to` is the block up to which all of them were read: what came later is no hole.
pub(super) async fn look(
    context: Context,
    node: Arc<Node>,
    modules: Vec<ModuleAddress>,
    read_to: u64,
) -> Result<Holes, SessionError> {
    let (mut settled, empty) = context
        .reads
        .read(move |store| {
            let (mut with, mut without) = (BTreeSet::new(), Vec::new());
            for module in modules {
                match store.has_events(module)? {
                    true => drop(with.insert(module)),
                    false => without.push(module),
                }
            }
            Ok((with, without))
        })
        .await?;
    let ask = |module: &ModuleAddress| first_plan(&context, &node, *module, read_to);
    let asked: Vec<_> = empty.iter().map(ask).collect();
    let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let mut plans = Vec::new();
    for (module, answer) in empty.into_iter().zip(answers) {
        // Where the call failed, the next look asks again.
        if let Some(plan) = answer {
            settled.insert(module);
            plans.extend(plan.map(|(id, terms)| (module, id, terms)));
        }
    }
    for (module, plan, _) in &plans {
        warn!(%module, %plan, "the module has a plan, but no event of it was read");
    }
    if !plans.is_empty() {
        let learning = context
            .writer
            .submit(move |store| store.learn_plans(&plans));
        learning.await?;
    }
    let orphans = context.reads.read(|store| store.orphans()).await?;
    Ok(Holes { settled, orphans })
}

/// The module's first plan, if it has one; `None` where the node did not say.
async fn first_plan(
    context: &Context,
    node: &Node,
    module: ModuleAddress,
    read_to: u64,
) -> Option<Option<(PlanId, Plan)>> {
    let layouts = &context.config.layouts;
    for id in FIRST_PLANS.map(PlanId::from) {
        match read::plan(node, layouts, module, id, Some(read_to)).await {
            // Some contracts answer zeros for a plan that they do not have.
            Ok(Ok(plan)) if plan.interval > 0 => return Some(Some((id, plan))),
            Ok(_) => {}
            Err(error) => {
                debug!(%module, %error, "a module could not be asked for its first plan");
                return None;
            }
        }
    }
    Some(None)
}

/// Logs what to do about orphans.
pub(super) fn warn_of(orphans: u64) {
    let (sentence, what_to_do) = unread_beginnings(orphans);
    warn!(orphans, "{sentence}: {what_to_do}");
}
