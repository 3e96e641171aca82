//! Modules that cannot be read at the moment: when each is tried again, and what is said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tracing::{debug, warn};

use super::register::NotYet;
use crate::chain::node::RpcError;
use crate::chain::node::reconnect::Reconnect;
use crate::domain::ModuleAddress;

/// Failures in a row on one node after which another one is asked, or the module is given up for now.
pub(super) const MOST_FAILURES: u32 = 3;

/// The modules that failed and have not been read since.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<ModuleAddress, Failed>);

#[derive(Debug)]
struct Failed {
    retry: Reconnect,
    times: u32,
    /// One sentence, once it is no passing failure.
    sentence: Option<String>,
    /// Reading it again would bring the same.
    is_final: bool,
}

impl Failures {
    fn entry(&mut self, module: ModuleAddress) -> &mut Failed {
        self.0.entry(module).or_insert_with(|| Failed {
            retry: Reconnect::new(),
            times: 0,
            sentence: None,
            is_final: false,
        })
    }

    /// Whether a module may be tried now.
    pub(super) fn may_start(&self, module: &ModuleAddress) -> bool {
        let failed = self.0.get(module);
        failed.is_none_or(|failed| !failed.is_final && failed.retry.not_before().is_none())
    }

    /// When the next one may be tried again, of those that are not `under_way` again already.
    pub(super) fn next_try(&self, under_way: impl Fn(&ModuleAddress) -> bool) -> Option<Instant> {
        let waiting = self.0.iter();
        let waiting = waiting.filter(|(module, failed)| !failed.is_final && !under_way(module));
        let at = waiting.map(|(_, failed)| failed.retry.not_before().unwrap_or_else(Instant::now));
        at.min()
    }

    /// Forgets modules that are not wanted any more.
    pub(super) fn keep_only(&mut self, wanted: &BTreeSet<ModuleAddress>) {
        self.0.retain(|module, _| wanted.contains(module));
    }

    /// A module was read after all.
    pub(super) fn remove(&mut self, module: &ModuleAddress) {
        self.0.remove(module);
    }

    /// What is said of a module that is given up for now.
    pub(super) fn sentence(&self, module: &ModuleAddress) -> Option<&str> {
        self.0.get(module)?.sentence.as_deref()
    }

    /// The same of all.
    pub(super) fn sentences(&self) -> BTreeMap<ModuleAddress, String> {
        let told = self.0.iter();
        told.filter_map(|(module, failed)| Some((*module, failed.sentence.clone()?)))
            .collect()
    }

    /// Whether every module that failed is given up for now.
    pub(super) fn are_all_told(&self) -> bool {
        self.0.values().all(|failed| failed.sentence.is_some())
    }

    /// A module cannot be registered yet. It is looked for again later, and complained about once.
    pub(super) fn not_yet(&mut self, module: ModuleAddress, why: NotYet) {
        let failed = self.entry(module);
        failed.retry.failed(None);
        failed.sentence.get_or_insert_with(|| match why {
            NotYet::NoContract => {
                warn!(%module, "there is no module at this address: correct the gate that names it");
                format!(
                    "There is no module contract at {module}: correct the module's address, or chain.rpc_urls if the chain is another."
                )
            }
            NotYet::StartsLater { start, newest } => {
                warn!(%module, start_block = start, newest, "chain.start_block is beyond the newest block, so the module is not followed");
                format!(
                    "Module {module} is not followed, because chain.start_block is {start} and the newest block is {newest}: set chain.start_block to a block before the module's first event, or leave it out."
                )
            }
        });
    }

    /// The chain moved while a module was read: it is read again after a pause.
    pub(super) fn moved(&mut self, module: ModuleAddress, why: &str) {
        let wait = self.entry(module).retry.failed(None);
        debug!(%module, why, ?wait, "a module is read again");
    }

    /// The node refused to read a module. It is tried again; returns how often in a row it failed.
    pub(super) fn refused(&mut self, module: ModuleAddress, error: &RpcError) -> u32 {
        let failed = self.entry(module);
        let wait = failed.retry.failed(None);
        failed.times += 1;
        debug!(%module, %error, ?wait, "a module cannot be read");
        failed.times
    }

    /// No node can read it: it is reported once, and the other modules are followed on.
    pub(super) fn give_up(&mut self, module: ModuleAddress, error: &RpcError) {
        let failed = self.entry(module);
        if failed.sentence.is_none() {
            warn!(%module, %error, "no node can read this module; retrying while the others are followed");
            failed.sentence = Some(match error {
                RpcError::Crowded { .. } => format!(
                    "Module {module} has more events in one block than the node serves, and is not followed until one serves them: set chain.rpc_urls to a node that answers with more logs at once, or remove the gate that names the module."
                ),
                _ => format!(
                    "Module {module} cannot be read from the chain at the moment; retrying automatically."
                ),
            });
            // Each try costs the node some calls, and there may be many such modules.
            failed.retry = Reconnect::slow();
            failed.retry.failed(None);
        }
    }

    /// A contract that replaces its processor again and again is dropped for good.
    pub(super) fn too_many_processors(&mut self, module: ModuleAddress) {
        warn!(%module, "the module has replaced its payment processor too often; it is not followed any more");
        let failed = self.entry(module);
        failed.is_final = true;
        failed.sentence = Some(format!(
            "Module {module} has replaced its payment processor too often to be believed: remove the gate that names it."
        ));
    }
}
