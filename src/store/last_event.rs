//! When something was last heard of some modules.

use std::collections::BTreeSet;

use redb::{ReadableDatabase as _, ReadableTable as _};

use super::Store;
use super::rollback::keys_of;
use super::tables::{BATCHES, HEADERS};
use crate::domain::{ModuleAddress, Timestamp};

/// Batches that are looked at, newest first: few enough for a page, and more than most modules stay silent.
const NEWEST_BATCHES: usize = 4_096;

impl Store {
    /// The newest block in which any of these modules has a stored event, with its time where the block is still followed;
    /// `None` where none of the newest batches has one. A batch too large to be listed counts for every module.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn last_event(
        &self,
        modules: &BTreeSet<ModuleAddress>,
    ) -> anyhow::Result<Option<(u64, Option<Timestamp>)>> {
        let transaction = self.database.begin_read()?;
        let batches = transaction.open_table(BATCHES)?;
        for batch in batches.iter()?.rev().take(NEWEST_BATCHES) {
            let (key, list) = batch?;
            let mut is_ours = list.value().is_empty();
            for key in keys_of(list.value()) {
                let module = key?.first_chunk::<20>();
                is_ours |=
                    module.is_some_and(|module| modules.contains(&ModuleAddress(module.into())));
            }
            if is_ours {
                let (block, _) = key.value();
                let header = transaction.open_table(HEADERS)?.get(block)?;
                let time = header.map(|header| Timestamp(header.value().1));
                return Ok(Some((block, time)));
            }
        }
        Ok(None)
    }
}
