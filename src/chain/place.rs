//! Where the follower is: found in the store at the start, checked against the node's chain.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use tracing::info;

use super::advance::AT_ONCE;
use super::follow::{Follower, NEAR, Setback, blocking};
use super::module::{self, NotReadable};
use super::node::Node;
use super::node::RpcError;
use super::node::heads;
use super::node::read::{self, Header};
use super::unsure::Unsure;
use super::watch::Watch;
use super::window::Window;
use crate::domain::Checkpoint;

/// Modules whose acquaintance is made at the same time.
const REGISTERED_AT_ONCE: usize = 8;

/// The place in the chain, which survives a change of node.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) window: Window,
    pub(super) watch: Watch,
    /// Blocks whose logs are to be looked at once more.
    pub(super) unsure: Unsure,
    /// Where the first range ends, if it is known already.
    pub(super) range_end: Option<Header>,
}

impl Place {
    fn at(base: Checkpoint, watch: Watch) -> Self {
        Self {
            window: Window::new(base),
            watch,
            unsure: Unsure::default(),
            range_end: None,
        }
    }

    /// Forgets the unconfirmed events of modules that are not watched any more.
    pub(super) fn drop_unwatched(&mut self) {
        for block in self.window.tail_mut() {
            block
                .events
                .retain(|event| self.watch.contains(&event.module));
        }
    }
}

impl Follower {
    /// Where to begin: at the store's cursor, else before the first block of the first module.
    pub(super) async fn begin(&mut self, node: &Node, head: &Header) -> Result<Place, Setback> {
        let wanted = self.modules.borrow_and_update().clone();
        let store = self.store.clone();
        let (cursor, known, unsure) =
            blocking(move || Ok((store.cursor()?, store.modules()?, store.unsure_blocks()?)))
                .await?;
        let confirmed = head.number.saturating_sub(self.confirmations());
        if let Some(cursor) = cursor {
            let modules = known
                .into_iter()
                .filter(|(module, record)| {
                    wanted.contains(module)
                        && record.synced_to == Some(cursor.number)
                        // One that had none joins like a new one, and is asked for it again.
                        && !record.is_without_processor()
                })
                .collect();
            let watch = Watch::new(modules);
            info!(block = cursor.number, "following from the stored cursor");
            self.committer.anchored();
            let mut place = Place::at(cursor, watch);
            place.unsure.restore(unsure);
            return Ok(place);
        }
        let mut records = BTreeMap::new();
        let (store, config) = (&self.store, &self.config);
        let mut registered = stream::iter(wanted)
            .map(|module| async move {
                let record = module::register(node, store, config, module, head.number).await;
                (module, record)
            })
            .buffer_unordered(REGISTERED_AT_ONCE);
        while let Some((module, registered)) = registered.next().await {
            match registered {
                Ok(record) => {
                    records.insert(module, record);
                }
                // These are tried again with the modules that come later: one contract must not hold up the others.
                Err(
                    NotReadable::NoContract
                    | NotReadable::Setback(Setback::Rpc(
                        RpcError::Other { .. }
                        | RpcError::Pruned { .. }
                        | RpcError::Timeout { .. }
                        | RpcError::Unavailable { .. },
                    )),
                ) => {}
                Err(NotReadable::Setback(setback)) => return Err(setback),
            }
        }
        let watch = Watch::new(records);
        let base = match watch.is_empty() {
            true => confirmed,
            // The genesis block holds no transactions, so nothing is lost by starting on top of it.
            false => watch.start_block().saturating_sub(1).min(confirmed),
        };
        let base = self.known_header(node, base);
        let range_end = self.known_header(node, self.range_end(head));
        let (base, range_end) = futures_util::try_join!(base, range_end)?;
        let base = base.checkpoint();
        info!(
            block = base.number,
            modules = watch.modules().len(),
            "following from the start"
        );
        Ok(Place {
            range_end: Some(range_end),
            ..Place::at(base, watch)
        })
    }

    /// Compares the newest followed confirmed block with the node's chain: it may have changed while nobody looked.
    pub(super) async fn check_stored_chain(
        &mut self,
        node: &Node,
        place: &mut Place,
    ) -> Result<(), Setback> {
        let base = place.window.base();
        match read::header_at(node, base.number).await? {
            Some(header) if header.hash == base.hash => Ok(()),
            Some(_) => self.recover(node, place).await,
            None => {
                // Shorter than what was followed: a lagging node, or a chain that went back. Only another block at a
                // height that both have is evidence of the latter.
                let head = heads::newest(node).await?;
                if self.is_on_another_chain(node, place, head.number).await? {
                    return self.recover(node, place).await;
                }
                Err(
                    RpcError::unavailable(format!("it does not have block {} yet", base.number))
                        .into(),
                )
            }
        }
    }

    /// Makes the window remember the newest blocks below the confirmed tip, so that a module can join without reading
    /// them by range.
    pub(super) async fn look_back(&self, node: &Node, place: &mut Place) -> Result<(), Setback> {
        let base = place.window.base();
        let oldest = base.number.saturating_sub(NEAR);
        if place.window.oldest().number <= oldest + 1 {
            return Ok(());
        }
        let reads: Vec<_> = (oldest + 1..=base.number)
            .map(|number| read::header_at(node, number))
            .collect();
        let headers: Vec<Option<Header>> =
            stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        let headers: Option<Vec<Header>> = headers.into_iter().collect();
        if headers.is_some_and(|headers| place.window.remember(headers)) {
            Ok(())
        } else {
            Err(Setback::Moved(
                "the newest blocks are not linked".to_owned(),
            ))
        }
    }

    /// A block that the node must have.
    pub(super) async fn known_header(&self, node: &Node, number: u64) -> Result<Header, Setback> {
        read::header_at(node, number)
            .await?
            .ok_or_else(|| RpcError::unavailable(format!("it does not have block {number}")).into())
    }
}
