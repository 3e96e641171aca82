//! A store as the first version of the program laid it out: schema 1, with the links of members and nothing else.

use std::path::Path;

use amser_roles::domain::Link;
use amser_roles::store::Store;
use redb::{Database, TableDefinition, TableHandle as _};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta_v1");
/// The tables of links, which are today what they were then.
const LINKS: [&str; 2] = ["links_v1", "member_wallets_v1"];

/// Writes the file.
pub(super) fn write(path: &Path, links: &[Link]) {
    let store = Store::open(path).unwrap();
    store.link_all(links, 5).unwrap();
    drop(store);
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    let tables: Vec<_> = transaction.list_tables().unwrap().collect();
    for table in tables {
        if !LINKS.contains(&table.name()) {
            transaction.delete_table(table).unwrap();
        }
    }
    {
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert("schema_version", 1_u32.to_le_bytes().as_slice())
            .unwrap();
    }
    transaction.commit().unwrap();
}
