//! Makes a module's acquaintance: where its history begins and which processor it had there.

use alloy::primitives::Address;
use tracing::{info, warn};

use super::ChainConfig;
use super::follow::{Setback, blocking};
use super::node::Node;
use super::node::RpcError;
use super::node::read::{self, Viewed};
use crate::domain::{ModuleAddress, ModuleRecord};
use crate::store::Store;

/// The deployment is searched for only this closely: reading blocks without logs is cheap.
const CLOSE_ENOUGH: u64 = 20_000;
/// Blocks probed at the same time.
const PROBES: u64 = 8;

/// Why a module cannot be read.
#[derive(Debug)]
pub(super) enum NotReadable {
    /// There is no contract at its address, or none that answers as a module does.
    NoContract,
    /// The attempt failed.
    Setback(Setback),
}

impl<E: Into<Setback>> From<E> for NotReadable {
    fn from(error: E) -> Self {
        Self::Setback(error.into())
    }
}

/// The store's record of the module; made from the chain when there is none.
pub(super) async fn register(
    node: &Node,
    store: &Store,
    config: &ChainConfig,
    module: ModuleAddress,
    head: u64,
) -> Result<ModuleRecord, NotReadable> {
    let known = store.clone();
    if let Some(record) = blocking(move || Ok(known.modules()?.remove(&module))).await? {
        return with_processor(node, store, module, record).await;
    }
    let history = async {
        let (start_block, seen_at) = match config.start_block {
            Some(start) => (start, start),
            None => deployment(node, module.0, head).await?,
        };
        let initial_processor = initial_processor(node, module, seen_at).await?;
        Ok::<_, RpcError>((start_block, initial_processor))
    };
    let (has_code, history) = futures_util::join!(read::has_code(node, module.0, None), history);
    if !has_code? {
        return Err(NotReadable::NoContract);
    }
    let (start_block, initial_processor) = history?;
    let Some(initial_processor) = initial_processor else {
        return Err(NotReadable::NoContract);
    };
    info!(%module, start_block, processor = %initial_processor, "a module is new");
    let store = store.clone();
    let record = blocking(move || {
        store.add_module(module, start_block, initial_processor)?;
        Ok(store.modules()?.remove(&module))
    })
    .await?;
    Ok(record.unwrap_or(ModuleRecord {
        start_block,
        synced: crate::domain::Synced::To(None),
        initial_processor,
        processor_updates: Vec::new(),
    }))
}

/// The same record; or, where it says that the module had no processor and the module says otherwise by now, a new one: a
/// node that lagged may have said so.
async fn with_processor(
    node: &Node,
    store: &Store,
    module: ModuleAddress,
    record: ModuleRecord,
) -> Result<ModuleRecord, NotReadable> {
    if !record.is_without_processor() {
        return Ok(record);
    }
    let processor = match read::payment_processor(node, module, None).await? {
        Viewed::Value(processor) if processor != Address::ZERO => processor,
        _ => return Ok(record),
    };
    info!(%module, %processor, "a module has a payment processor after all; reading it again");
    let store = store.clone();
    let again = blocking(move || {
        store.reset_module(module, record.start_block, processor)?;
        Ok(store.modules()?.remove(&module))
    });
    Ok(again.await?.unwrap_or(record))
}

/// A block before which the contract has no history, and a block at which it exists.
async fn deployment(node: &Node, address: Address, head: u64) -> Result<(u64, u64), RpcError> {
    let (mut without, mut with) = (0, head);
    while with - without > CLOSE_ENOUGH {
        let step = (with - without).div_ceil(PROBES + 1);
        let probes: Vec<_> =
            (1..=PROBES)
                .map(|probe| without + probe * step)
                .filter(|block| *block < with)
                .map(|block| async move {
                    Ok((block, read::has_code(node, address, Some(block)).await?))
                })
                .collect();
        let found: Result<Vec<(u64, bool)>, RpcError> =
            futures_util::future::try_join_all(probes).await;
        match found {
            Ok(found) => {
                (without, with) = narrowed(&found, without, with);
            }
            Err(error) if is_temporary(&error) => return Err(error),
            Err(error) => {
                warn!(
                    %address, %error, from = without,
                    "the node keeps no old state, so the module's deployment block cannot be found; set chain.start_block"
                );
                return Ok((without, head));
            }
        }
    }
    // The contract may have been there in the genesis state.
    Ok((without, with))
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

/// The processor at a block; where the node has no state of that block any more, the present one. If that is not the one
/// it had then, the first `PaymentProcessorUpdated` says so, and the module is read again. `None` where the contract does
/// not answer: a node that has just got it may not know it well enough.
async fn initial_processor(
    node: &Node,
    module: ModuleAddress,
    block: u64,
) -> Result<Option<Address>, RpcError> {
    match read::payment_processor(node, module, Some(block)).await {
        Ok(Viewed::Value(processor)) => return Ok(Some(processor)),
        Ok(Viewed::Refused | Viewed::Nothing) => {}
        Err(error) if is_temporary(&error) => return Err(error),
        Err(_) => {}
    }
    match read::payment_processor(node, module, None).await? {
        Viewed::Value(processor) => Ok(Some(processor)),
        Viewed::Refused => {
            warn!(%module, "the contract has no paymentProcessor(); only its own events will be seen");
            Ok(Some(Address::ZERO))
        }
        Viewed::Nothing => Ok(None),
    }
}

/// Whether the call may work later, as opposed to a node without that state.
fn is_temporary(error: &RpcError) -> bool {
    matches!(
        error,
        RpcError::RateLimited { .. } | RpcError::Timeout { .. } | RpcError::WrongChain { .. }
    )
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
