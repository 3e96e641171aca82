//! What every step needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch::{Receiver, Sender};

use super::config::{ChainConfig, Goal};
use super::doubts::Doubts;
use super::node::Pool;
use super::plans::Plans;
use super::reads::StoreReader;
use super::writer::Writer;
use crate::domain::{ChainStatus, ModuleAddress};

/// What every step needs; clones share it.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) config: Arc<ChainConfig>,
    pub(super) goal: Goal,
    pub(super) reads: StoreReader,
    pub(super) writer: Writer,
    pub(super) plans: Plans,
    pub(super) pool: Pool,
    /// The modules that gates ask about.
    pub(super) wanted: Receiver<BTreeSet<ModuleAddress>>,
    /// What contracts contradict.
    pub(super) doubts: Doubts,
    pub(super) status: Sender<ChainStatus>,
}

impl Context {
    /// Returns when nothing that was begun works on the store any more: whoever hears of the end may open the file again.
    pub(super) async fn settle(&self) {
        self.reads.settle().await;
        // The thread has ended only by a panic, which its own caller has heard of.
        let _ = self.writer.settle().await;
    }

    /// Blocks on top of an event's block before it counts; the goal of an index is confirmed already.
    pub(super) fn confirmations(&self) -> u64 {
        match self.goal {
            Goal::Follow => self.config.confirmations,
            Goal::Index { .. } => 0,
        }
    }
}
