//! All rows of a store at one moment as a stream of bytes, and back: what a running service hands to the process that keeps
//! the backup.
//!
//! A stream is a sequence of tables, each `T`, the length of its name (2 bytes) and the name, followed by its rows, each `R`, the
//! length of the key (4 bytes), the key, the length of the value (4 bytes) and the value; and at last `E`, a length (4 bytes) and
//! the manifest as JSON. Lengths are little-endian. Without the `E` a stream is cut off and worth nothing.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use anyhow::{Context as _, bail, ensure};
use redb::{
    Key, ReadTransaction, ReadableTable as _, TableDefinition, TableError, TableHandle as _, Value,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::tables::{EachTable, each_kept};

/// A row's key or value is never longer; a longer one is damage, and must not become a giant buffer.
const LONGEST: usize = 64 << 20;

/// What a table held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSum {
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of the rows as they stand in the stream, hexadecimal.
    pub sha256: String,
}

/// What each table held, by its name.
pub type Sums = BTreeMap<String, TableSum>;

/// Writes every table that a backup holds, as of the transaction's moment; what was in each.
pub(super) fn write(transaction: &ReadTransaction, out: &mut impl Write) -> anyhow::Result<Sums> {
    let mut writing = Writing {
        transaction,
        out,
        sums: Sums::new(),
    };
    each_kept(&mut writing)?;
    Ok(writing.sums)
}

/// Writes the end of the stream.
pub(super) fn end(manifest: &[u8], out: &mut impl Write) -> anyhow::Result<()> {
    out.write_all(b"E")?;
    put(out, manifest)?;
    Ok(out.flush()?)
}

struct Writing<'a, W> {
    transaction: &'a ReadTransaction,
    out: &'a mut W,
    sums: Sums,
}

impl<W: Write> EachTable for Writing<'_, W> {
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'static, K, V>,
    ) -> anyhow::Result<()> {
        let table = match self.transaction.open_table(definition) {
            // An older file than this program.
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            opened => opened?,
        };
        let name = definition.name();
        let length = u16::try_from(name.len()).context("a table's name is too long")?;
        self.out.write_all(b"T")?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(name.as_bytes())?;
        let (mut rows, mut hash, mut row_bytes) = (0, Sha256::new(), Vec::new());
        for row in table.iter()? {
            let (key, value) = row?;
            row_bytes.clear();
            row_bytes.push(b'R');
            put(&mut row_bytes, K::as_bytes(&key.value()).as_ref())?;
            put(&mut row_bytes, V::as_bytes(&value.value()).as_ref())?;
            hash.update(&row_bytes);
            self.out.write_all(&row_bytes)?;
            rows += 1;
        }
        let sha256 = hex::encode(hash.finalize());
        self.sums.insert(name.to_owned(), TableSum { rows, sha256 });
        Ok(())
    }
}

fn put(out: &mut impl Write, bytes: &[u8]) -> anyhow::Result<()> {
    let length = u32::try_from(bytes.len()).context("a stored row is too long")?;
    out.write_all(&length.to_le_bytes())?;
    Ok(out.write_all(bytes)?)
}

/// Adds the rows of one table.
type Insert<'t> = Box<dyn FnMut(&[u8], &[u8]) -> anyhow::Result<()> + 't>;

/// Reads a stream into the tables of a new file; the manifest at its end.
///
/// # Errors
/// When the stream is cut off or is none, and when the file cannot be written.
pub(super) fn read(input: &mut impl Read, into: &WriteTransaction) -> anyhow::Result<Vec<u8>> {
    let mut insert: Option<Insert<'_>> = None;
    let (mut key, mut value) = (Vec::new(), Vec::new());
    loop {
        let mut tag = [0];
        exactly(input, &mut tag)?;
        match (&tag, &mut insert) {
            (b"T", _) => {
                let mut length = [0; 2];
                exactly(input, &mut length)?;
                let mut name = vec![0; usize::from(u16::from_le_bytes(length))];
                exactly(input, &mut name)?;
                let name = String::from_utf8(name).context("a table's name is damaged")?;
                insert = Some(table_named(&name, into)?.with_context(|| {
                    format!("this program knows no table {name}: the running service is newer; use its own program")
                })?);
            }
            (b"R", Some(insert)) => {
                take(input, &mut key)?;
                take(input, &mut value)?;
                insert(&key, &value)?;
            }
            (b"E", _) => {
                take(input, &mut value)?;
                return Ok(value);
            }
            _ => bail!("this is not the content of a store"),
        }
    }
}

/// Opens the table of this name, if there is one in this program.
fn table_named<'t>(
    name: &str,
    transaction: &'t WriteTransaction,
) -> anyhow::Result<Option<Insert<'t>>> {
    let mut find = Find {
        name,
        transaction,
        found: None,
    };
    each_kept(&mut find)?;
    Ok(find.found)
}

struct Find<'a, 't> {
    name: &'a str,
    transaction: &'t WriteTransaction,
    found: Option<Insert<'t>>,
}

impl EachTable for Find<'_, '_> {
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'static, K, V>,
    ) -> anyhow::Result<()> {
        if definition.name() != self.name {
            return Ok(());
        }
        let mut table = self.transaction.open_table(definition)?;
        self.found = Some(Box::new(move |key, value| {
            let fits =
                |width: Option<usize>, bytes: &[u8]| width.is_none_or(|width| width == bytes.len());
            ensure!(
                fits(K::fixed_width(), key) && fits(V::fixed_width(), value),
                "a row has another length than its table's"
            );
            table.insert(K::from_bytes(key), V::from_bytes(value))?;
            Ok(())
        }));
        Ok(())
    }
}

fn take(input: &mut impl Read, into: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut length = [0; 4];
    exactly(input, &mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    ensure!(length <= LONGEST, "a row is longer than any that is stored");
    into.resize(length, 0);
    exactly(input, into)
}

fn exactly(input: &mut impl Read, into: &mut [u8]) -> anyhow::Result<()> {
    let cut = "the store's content was cut off before its end";
    input.read_exact(into).context(cut)
}
