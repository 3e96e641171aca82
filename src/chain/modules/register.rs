//! Registers a module: finds where its history begins and which processor it had there; and corrects that later.

use alloy::primitives::Address;
use alloy::sol_types::SolCall as _;
use tracing::{info, warn};

use crate::abi::PERMIT2;
use crate::abi::SubscriptionModule::paymentProcessorCall;
use crate::chain::context::Context;
use crate::chain::error::SessionError;
use crate::chain::node::{Node, RpcError, heads, read};
use crate::chain::processors::ProcessorError;
use crate::chain::state::Followed;
use crate::domain::{ModuleAddress, ModuleRecord, Synced};
use crate::store::Store;

/// Blocks probed at the same time.
const PROBES: u64 = 8;

/// A module that the store knows from now on.
#[derive(Debug)]
pub(crate) struct Registered {
    /// What the store knows of it.
    pub(crate) record: ModuleRecord,
    /// Its processor at the newest confirmed block.
    pub(crate) processor: Address,
}

/// Why a module cannot be registered yet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NotYet {
    /// There is no contract at its address, or an answer of its that is no address.
    NoContract,
    /// The configured first block is beyond the newest one: what happens until then would never be read.
    StartsLater { start: u64, newest: u64 },
}

/// Registers a module, or finds the store's record of it; where the configured start differs from it, the module's history
/// begins again there. `confirmed` and `head` are the newest confirmed block and the newest one.
pub(crate) async fn register(
    context: &Context,
    node: &Node,
    module: ModuleAddress,
    confirmed: u64,
    head: u64,
) -> Result<Result<Registered, NotYet>, SessionError> {
    if let Some(start) = context.config.start_block.filter(|start| *start > head) {
        // What is read may end before the newest block.
        let newest = heads::newest(node).await?.number;
        if start > newest {
            return Ok(Err(NotYet::StartsLater { start, newest }));
        }
    }
    let known = context
        .reads
        .read(move |store| store.module(module))
        .await?;
    if let Some(record) = known {
        let (now, there) = futures_util::try_join!(
            processor_at(node, module, None),
            initial_processor_at(node, module, confirmed),
        )?;
        let record = updated(context, module, record, now).await?;
        let last = record.processor_updates.last();
        let before = last.map_or(record.initial_processor, |(_, processor)| *processor);
        let processor = there.or(now).unwrap_or(before);
        return Ok(Ok(Registered { record, processor }));
    }
    let configured = context.config.start_block;
    let (now, there, has_code, then) = futures_util::try_join!(
        processor_at(node, module, None),
        initial_processor_at(node, module, confirmed),
        read::has_code(node, module.0, None),
        async {
            match configured {
                Some(start) => initial_processor_at(node, module, start).await,
                None => Ok(None),
            }
        },
    )?;
    let Some(now) = now.filter(|_| has_code) else {
        return Ok(Err(NotYet::NoContract));
    };
    let (start_block, then) = match configured {
        Some(start) => (start, then),
        None => {
            let within = context.config.deployment_within;
            let (start, seen_at) = deployment(node, within, module.0, now, head).await?;
            let then = match there {
                // What happened since is not read yet.
                Some(_) if seen_at > confirmed => None,
                _ => initial_processor_at(node, module, seen_at).await?,
            };
            (start, then)
        }
    };
    let initial_processor = then.or(there).unwrap_or(now);
    info!(%module, start_block, processor = %initial_processor, "a module is new");
    let add = context
        .writer
        .submit(move |store| store.add_module(module, start_block, initial_processor));
    add.await?;
    Ok(Ok(Registered {
        record: unread(start_block, initial_processor),
        processor: there.unwrap_or(now),
    }))
}

/// The record of a module that was not read yet.
fn unread(start_block: u64, initial_processor: Address) -> ModuleRecord {
    ModuleRecord {
        start_block,
        synced: Synced::To(None),
        initial_processor,
        processor_updates: Vec::new(),
    }
}

/// The record from now on. The module's history begins again if another start is configured, or if it has a processor after
/// all: a node that lagged may have answered that it had none.
async fn updated(
    context: &Context,
    module: ModuleAddress,
    record: ModuleRecord,
    now: Option<Address>,
) -> Result<ModuleRecord, SessionError> {
    let start_block = context.config.start_block.unwrap_or(record.start_block);
    let mut initial_processor = record.initial_processor;
    if start_block != record.start_block {
        warn!(
            %module, read_from = record.start_block, start_block,
            "chain.start_block differs from where this module was read from; reading it again"
        );
    } else if record.is_without_processor()
        && let Some(processor) = now.filter(|processor| *processor != Address::ZERO)
    {
        info!(%module, %processor, "a module has a payment processor after all; reading it again");
        initial_processor = processor;
    } else {
        return Ok(record);
    }
    let reset = context
        .writer
        .submit(move |store| store.reset_module(module, start_block, initial_processor));
    reset.await?;
    Ok(unread(start_block, initial_processor))
}

/// A module had another processor than was thought when it was first read, or one that was hidden, and is read again; or it
/// names more processors than any honest one, and is not followed any more.
pub(crate) async fn correct(
    context: &Context,
    followed: &mut Followed,
    error: ProcessorError,
) -> anyhow::Result<()> {
    let (module, actual) = match error {
        ProcessorError::WrongStart { module, actual } => (module, Some(actual)),
        ProcessorError::Hidden(module) => (module, None),
        ProcessorError::TooMany(module) => {
            followed.drop_module(module);
            return Ok(());
        }
    };
    match actual {
        Some(processor) => {
            warn!(%module, %processor, "the module had another payment processor before; reading it again");
        }
        None => {
            warn!(%module, "the module had a payment processor that the node has not told of; reading it again");
        }
    }
    followed.drop_module(module);
    followed.unsaved.next.left.retain(|left| *left != module);
    context.plans.forget(module);
    let reset = context.writer.submit(move |store| {
        let Some(record) = store.module(module)? else {
            return Ok(());
        };
        let initial = actual.unwrap_or(record.initial_processor);
        store.reset_module(module, record.start_block, initial)
    });
    reset.await
}

/// Forgets what was read of every module; those that are wanted join again from their first blocks on.
pub(crate) async fn read_again(context: &Context, followed: &mut Followed) -> anyhow::Result<()> {
    let modules: Vec<_> = followed.processors.modules().collect();
    info!(modules = modules.len(), "reading everything again");
    for module in &modules {
        followed.drop_module(*module);
        context.plans.forget(*module);
    }
    // The store forgets that they were at the cursor with all the rest.
    followed.unsaved.next.left.clear();
    followed.histories.clear();
    context.writer.submit(Store::reset_modules).await
}

/// A block before which the contract has no history, and a block at which it exists.
///
/// A node without old state may answer that there was no code. So the search ends at a block without code only if another
/// contract, which is older, had code there.
async fn deployment(
    node: &Node,
    within: u64,
    module: Address,
    processor: Address,
    head: u64,
) -> Result<(u64, u64), RpcError> {
    let (mut without, mut with) = (0, head);
    while with - without > within.max(1) {
        let step = (with - without).div_ceil(PROBES + 1);
        let probes: Vec<_> =
            (1..=PROBES)
                .map(|probe| without + probe * step)
                .filter(|block| *block < with)
                .map(|block| async move {
                    Ok((block, read::has_code(node, module, Some(block)).await?))
                })
                .collect();
        let found: Result<Vec<(u64, bool)>, RpcError> =
            futures_util::future::try_join_all(probes).await;
        match found {
            Ok(found) => (without, with) = narrowed(&found, without, with),
            Err(error) if error.is_temporary() => return Err(error),
            Err(error) => {
                warn!(
                    %module, %error, from = 0,
                    "the node keeps no old state, so the module's deployment block cannot be found; set chain.start_block"
                );
                return Ok((0, head));
            }
        }
    }
    if without > 0 && !keeps_state(node, processor, without).await? {
        warn!(
            %module, from = 0, no_code_at = without,
            "the node shows no code at old blocks, which proves nothing: it may keep no old state; set chain.start_block"
        );
        return Ok((0, with));
    }
    // The contract may have been there in the genesis state.
    Ok((without, with))
}

/// Whether the node knows the state of this block: it shows a contract there that is older than any module.
async fn keeps_state(node: &Node, processor: Address, block: u64) -> Result<bool, RpcError> {
    for contract in [processor, PERMIT2] {
        match read::has_code(node, contract, Some(block)).await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) if error.is_temporary() => return Err(error),
            Err(_) => return Ok(false),
        }
    }
    Ok(false)
}

/// The bounds after these probes, in ascending order: the first block with code, and the last one without below it. Code
/// may come and go (a delegated key, a destroyed contract, a node that forgot): then history begins with the first.
fn narrowed(found: &[(u64, bool)], without: u64, with: u64) -> (u64, u64) {
    let with = found
        .iter()
        .find_map(|(block, has_code)| has_code.then_some(*block))
        .unwrap_or(with);
    let without = found
        .iter()
        .rev()
        .find_map(|(block, has_code)| (!has_code && *block < with).then_some(*block))
        .unwrap_or(without);
    (without, with)
}

/// The module's processor at the block from which on it is read. `None` where the node has no state of that block any more,
/// and the present one counts: if it is not the one that the module had then, the first `PaymentProcessorUpdated` says so, and
/// the module is read again.
async fn initial_processor_at(
    node: &Node,
    module: ModuleAddress,
    block: u64,
) -> Result<Option<Address>, RpcError> {
    match processor_at(node, module, Some(block)).await {
        Err(error) if !error.is_temporary() => Ok(None),
        answer => answer,
    }
}

/// The module's processor at a block (`None`: at the newest). `None` where the contract does not answer.
async fn processor_at(
    node: &Node,
    module: ModuleAddress,
    block: Option<u64>,
) -> Result<Option<Address>, RpcError> {
    let call = paymentProcessorCall {};
    match read::call_view(node, module, &call, block).await? {
        Some(answer) => Ok(paymentProcessorCall::abi_decode_returns_validate(&answer).ok()),
        None if block.is_none() => {
            warn!(%module, "the contract has no paymentProcessor(); only its own events will be seen");
            Ok(Some(Address::ZERO))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_comes_and_goes_begins_where_it_was_first() {
        let probes = |has_code: [bool; 4]| {
            let blocks = [20, 40, 60, 80];
            blocks.into_iter().zip(has_code).collect::<Vec<_>>()
        };
        for (has_code, expected) in [
            ([false, false, true, true], (40, 60)),
            ([false, false, false, false], (80, 100)),
            ([true, true, true, true], (0, 20)),
            ([true, false, true, true], (0, 20)),
            ([false, true, false, true], (20, 40)),
        ] {
            assert_eq!(narrowed(&probes(has_code), 0, 100), expected);
        }
    }
}
