//! Whether the file is whole: redb's own check of its pages, and each row of each table read and decoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use redb::{
    Key, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    TableHandle as _, Value,
};
use serde::de::DeserializeOwned;

use super::codec::{KnownPlan, decode, split_event_key, unpack};
use super::open::quietly;
use super::rollback::keys_of;
use super::tables::{
    ACTS, ALERTS, APPLIED, BATCHES, BLOCKED, CHALLENGES, CHECKS, CONFIG_SETTINGS, DIRECT_MESSAGES,
    EVENTS, EachTable, GATES, GRANTS, JOURNAL, LINK_REQUESTS, LINKS, MERCHANT_WALLETS, META,
    META_CURSOR, META_FINALIZED, META_FOLD, META_SCHEMA, MODULES, PLANS, PLANS_READ, RUNS,
    SERVER_SETTINGS, SERVERS, SESSIONS, SUBSCRIPTIONS, each_kept, each_short_lived,
};
use super::{Challenge, LinkRequest, MerchantWallet, ServerRecord, Session, Store, forgotten};
use crate::domain::{
    ActEntry, AlertRow, CheckRow, Checkpoint, DirectMessages, Gate, GrantTerms, JournalEntry, Link,
    Mark, ModuleRecord, Plan, Rules, ServerSettings, Subscription,
};

/// What redb's check of the pages came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// All are as they were written.
    Whole,
    /// Some did not fit together, and redb repaired the file.
    Repaired,
}

/// What came of reading every row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsRead {
    /// How many there are.
    pub rows: u64,
    /// How many of them cannot be read or decoded, by table; one for a table whose pages cannot be read further.
    pub damaged: BTreeMap<String, u64>,
}

impl Store {
    /// Has redb check every page, which takes some seconds per gigabyte. The store goes in and comes back, because nothing
    /// else may use it meanwhile.
    ///
    /// # Errors
    /// When the file is damaged beyond repair, or the store is in use.
    pub fn check_pages(mut self) -> anyhow::Result<(Self, Pages)> {
        // redb's debug builds panic on damage that its release builds report.
        let checked = quietly(move || {
            let database = Arc::get_mut(&mut self.database).context("the store is in use")?;
            let pages = match database.check_integrity()? {
                true => Pages::Whole,
                false => Pages::Repaired,
            };
            Ok((self, pages))
        });
        checked.context("its pages do not fit together")?
    }

    /// Reads and decodes every row of every table, as of one moment; a few seconds per million events. Nobody waits for it.
    ///
    /// # Errors
    /// When no transaction can begin.
    pub fn read_through(&self) -> anyhow::Result<RowsRead> {
        let transaction = self.database.begin_read()?;
        let mut reading = Reading {
            transaction: &transaction,
            decoders: decoders(),
            found: RowsRead::default(),
        };
        each_kept(&mut reading)?;
        each_short_lived(&mut reading)?;
        Ok(reading.found)
    }
}

struct Reading<'a> {
    transaction: &'a ReadTransaction,
    decoders: BTreeMap<&'static str, Decoder>,
    found: RowsRead,
}

impl EachTable for Reading<'_> {
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'static, K, V>,
    ) -> anyhow::Result<()> {
        let decoder = self.decoders.get(definition.name()).copied();
        let damaged = match self.rows(definition, decoder) {
            Ok(damaged) => damaged,
            Err(error) => {
                let table = definition.name();
                tracing::debug!(
                    table,
                    error = format!("{error:#}"),
                    "a table cannot be read"
                );
                1
            }
        };
        if damaged > 0 {
            self.found
                .damaged
                .insert(definition.name().to_owned(), damaged);
        }
        Ok(())
    }
}

impl Reading<'_> {
    /// How many rows of a table cannot be decoded.
    fn rows<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'static, K, V>,
        decoder: Option<Decoder>,
    ) -> anyhow::Result<u64> {
        let mut damaged = 0;
        for row in self.transaction.open_table(definition)?.iter()? {
            let (key, value) = row?;
            let (key, value) = (key.value(), value.value());
            self.found.rows += 1;
            let (key, value) = (K::as_bytes(&key), V::as_bytes(&value));
            let decoded = decoder.map(|decode| decode(key.as_ref(), value.as_ref()));
            damaged += u64::from(decoded.is_some_and(|decoded| decoded.is_err()));
        }
        Ok(damaged)
    }
}

/// Reads a row's key and value as the program does that uses them.
type Decoder = fn(&[u8], &[u8]) -> anyhow::Result<()>;

/// By table; those whose values redb itself knows the shape of need none.
fn decoders() -> BTreeMap<&'static str, Decoder> {
    let decoders: [(&str, Decoder); 25] = [
        (META.name(), meta),
        (MODULES.name(), value::<ModuleRecord>),
        (EVENTS.name(), events),
        (RUNS.name(), |_, row| super::runs::check(row)),
        (BATCHES.name(), batch),
        (SUBSCRIPTIONS.name(), value::<Subscription>),
        (PLANS.name(), value::<KnownPlan>),
        (PLANS_READ.name(), value::<Plan>),
        (BLOCKED.name(), value::<Mark>),
        (LINKS.name(), value::<Link>),
        (ALERTS.name(), value::<AlertRow>),
        (DIRECT_MESSAGES.name(), value::<DirectMessages>),
        (GATES.name(), value::<Gate>),
        (SERVERS.name(), value::<ServerRecord>),
        (MERCHANT_WALLETS.name(), value::<MerchantWallet>),
        (APPLIED.name(), value::<forgotten::Row>),
        (GRANTS.name(), value::<GrantTerms>),
        (ACTS.name(), value::<ActEntry>),
        (CHECKS.name(), value::<CheckRow>),
        (SERVER_SETTINGS.name(), value::<ServerSettings>),
        (CONFIG_SETTINGS.name(), value::<ServerSettings>),
        (JOURNAL.name(), value::<JournalEntry>),
        (LINK_REQUESTS.name(), value::<LinkRequest>),
        (CHALLENGES.name(), value::<Challenge>),
        (SESSIONS.name(), value::<Session>),
    ];
    decoders.into()
}

fn value<T: DeserializeOwned>(_key: &[u8], value: &[u8]) -> anyhow::Result<()> {
    decode::<T>(value).map(drop)
}

fn events(key: &[u8], value: &[u8]) -> anyhow::Result<()> {
    let (module, subject) = split_event_key(key)?;
    unpack(module, &subject, value).map(drop)
}

fn batch(_key: &[u8], value: &[u8]) -> anyhow::Result<()> {
    keys_of(value).try_for_each(|key| split_event_key(key?).map(drop))
}

fn meta(key: &[u8], value: &[u8]) -> anyhow::Result<()> {
    match std::str::from_utf8(key)? {
        META_CURSOR | META_FINALIZED => decode::<Checkpoint>(value).map(drop)?,
        META_FOLD => decode::<(u32, Rules)>(value).map(drop)?,
        META_SCHEMA => ensure!(value.len() == 4, "the schema version is damaged"),
        _ => ensure!(value.len() == 8, "a stored number is damaged"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables whose values redb takes as mere bytes.
    #[derive(Default)]
    struct OfBytes(Vec<&'static str>);

    impl EachTable for OfBytes {
        fn table<K: Key + 'static, V: Value + 'static>(
            &mut self,
            definition: TableDefinition<'static, K, V>,
        ) -> anyhow::Result<()> {
            if V::type_name() == <&[u8]>::type_name() {
                // The names are constants of `tables.rs`.
                self.0.push(definition.name().to_owned().leak());
            }
            Ok(())
        }
    }

    #[test]
    fn every_table_of_bytes_has_a_decoder() {
        let mut of_bytes = OfBytes::default();
        each_kept(&mut of_bytes).unwrap();
        each_short_lived(&mut of_bytes).unwrap();
        of_bytes.0.sort_unstable();
        let decoders: Vec<_> = decoders().into_keys().collect();
        assert_eq!(of_bytes.0, decoders);
    }

    #[test]
    fn rows_that_cannot_be_decoded_are_counted_by_table_and_the_others_are_read() {
        let store = Store::in_memory().unwrap();
        let before = store.read_through().unwrap();
        assert_eq!(before.damaged, BTreeMap::new());
        let transaction = store.database.begin_write().unwrap();
        let odd = [0xff_u8; 3].as_slice();
        transaction
            .open_table(GATES)
            .unwrap()
            .insert(9, odd)
            .unwrap();
        let mut journal = transaction.open_table(JOURNAL).unwrap();
        journal.insert(1, odd).unwrap();
        journal.insert(2, odd).unwrap();
        drop(journal);
        transaction
            .open_table(EVENTS)
            .unwrap()
            .insert(odd, odd)
            .unwrap();
        transaction.commit().unwrap();
        let found = store.read_through().unwrap();
        assert_eq!(found.rows, before.rows + 4);
        let damaged = [("events_v1", 1), ("gates_v1", 1), ("journal_v1", 2)];
        let damaged = damaged.map(|(table, rows)| (table.to_owned(), rows));
        assert_eq!(found.damaged, damaged.into());
    }

    #[test]
    fn a_page_that_changed_on_the_disk_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let text = "a signed text that stands in the file";
        {
            let store = Store::open(&path).unwrap();
            let link = Link {
                user: crate::domain::UserId(1),
                wallet: crate::domain::Wallet([7; 20].into()),
                linked_at: crate::domain::Timestamp(1),
                proof: Some((text.to_owned(), vec![1; 65])),
            };
            store.link(&link, 5).unwrap();
        }
        let (store, pages) = Store::open(&path).unwrap().check_pages().unwrap();
        assert_eq!(pages, Pages::Whole);
        let clone = store.clone();
        assert!(store.check_pages().is_err(), "it is in use");
        drop(clone);
        let mut bytes = std::fs::read(&path).unwrap();
        let found: Vec<_> = (0..bytes.len() - text.len())
            .filter(|at| bytes[*at..].starts_with(text.as_bytes()))
            .collect();
        assert!(!found.is_empty());
        for at in found {
            bytes[at] ^= 1;
        }
        std::fs::write(&path, bytes).unwrap();
        let checked = Store::open(&path).unwrap().check_pages();
        let told = checked.map(|(_, pages)| pages);
        assert!(!matches!(told, Ok(Pages::Whole)), "{told:?}");
    }
}
