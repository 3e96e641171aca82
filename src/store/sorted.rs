//! Many rows in the order of their keys, put into a table together: redb's cursor descends once for all of them and fills its
//! pages, where so many inserts cost three times as much.

use std::ops::Bound;

use redb::{CursorError, Key, Table};

/// Bytes of rows that are dealt with at a time: as many as redb's cursor holds back itself.
const MANY_BYTES: usize = 1 << 20;

/// Rows that wait.
#[derive(Debug, Default)]
pub(super) struct SortedRows {
    /// Each row's key, then its value.
    bytes: Vec<u8>,
    /// Where each row's key ends, and where its value does.
    ends: Vec<(usize, usize)>,
}

impl SortedRows {
    /// Adds a row. Its key comes after those of the rows before it.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    /// The keys and values, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |(key_end, end)| {
            let row = (&self.bytes[start..*key_end], &self.bytes[*key_end..*end]);
            start = *end;
            row
        })
    }

    /// Whether it is time to do something with them.
    pub(super) fn are_many(&self) -> bool {
        self.bytes.len() >= MANY_BYTES
    }

    /// Puts all of them into the table, and waits for more. What stands there under the same key is replaced.
    ///
    /// # Errors
    /// When the file cannot be written or is damaged.
    pub(super) fn put_into<K: Key + 'static>(
        &mut self,
        table: &mut Table<'_, K, &'static [u8]>,
    ) -> anyhow::Result<()> {
        let mut rows = self.iter().peekable();
        while let Some((first, _)) = rows.peek() {
            let first = K::from_bytes(first);
            table.remove(&first)?;
            let mut gap = table.lower_bound_mut(Bound::Included(&first))?;
            // Those that belong there, which is mostly all of them: other rows of the table may come between.
            while let Some((key, value)) = rows.peek() {
                match gap.insert_before(K::from_bytes(key), value) {
                    Ok(()) => rows.next(),
                    Err(CursorError::UnorderedKey) => break,
                    Err(error) => return Err(error.into()),
                };
            }
            gap.close()?;
        }
        drop(rows);
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use redb::{Builder, ReadableTable as _, TableDefinition};

    use super::*;

    const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("test");

    proptest! {
        /// The same as so many inserts, whatever stands in the table already.
        #[test]
        fn rows_are_put_between_and_over_what_stands_there(
            mut expected in btree_map(vec(0u8..4, 1..5), vec(any::<u8>(), 0..20), 0..200),
            parts in vec(btree_map(vec(0u8..4, 1..5), vec(any::<u8>(), 0..20), 0..200), 0..3),
        ) {
            let database = Builder::new().create_with_backend(InMemoryBackend::new()).unwrap();
            let transaction = database.begin_write().unwrap();
            let mut table = transaction.open_table(TABLE).unwrap();
            for (key, value) in &expected {
                table.insert(key.as_slice(), value.as_slice()).unwrap();
            }
            let mut rows = SortedRows::default();
            for part in parts {
                for (key, value) in &part {
                    rows.push(key, value);
                }
                rows.put_into(&mut table).unwrap();
                expected.extend(part);
            }
            let stored: BTreeMap<Vec<u8>, Vec<u8>> = table
                .iter()
                .unwrap()
                .map(|row| row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).unwrap())
                .collect();
            prop_assert_eq!(stored, expected);
        }
    }
}
