//! Lists that hold an entry twice: allowed, but probably a mistake. Needs no network.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// One sentence for each repeated entry, with the line of its key. Never the entry itself: a provider's key may be part of it.
pub(super) fn repeats(text: &str, name: &str, lines: &BTreeMap<String, usize>) -> Vec<String> {
    let mut found = Vec::new();
    // It was parsed before.
    if let Ok(table) = toml::from_str::<Table>(text) {
        in_table("", &table, &mut |path, first, second| {
            let place = match lines.get(path) {
                Some(line) => format!("{name}, line {line}: "),
                None => String::new(),
            };
            found.push(format!(
                "{place}{path}: entry {second} is the same as entry {first}"
            ));
        });
    }
    found
}

fn in_table(path: &str, table: &Table, found: &mut impl FnMut(&str, usize, usize)) {
    for (key, value) in table {
        let path = match path {
            "" => key.clone(),
            section => format!("{section}.{key}"),
        };
        match value {
            Value::Table(table) => in_table(&path, table, found),
            Value::Array(entries) => in_list(&path, entries, found),
            _ => {}
        }
    }
}

fn in_list(path: &str, entries: &[Value], found: &mut impl FnMut(&str, usize, usize)) {
    for (index, entry) in entries.iter().enumerate() {
        if let Value::Table(table) = entry {
            // Whole gates and servers that are the same are refused elsewhere.
            in_table(&format!("{path}[{index}]"), table, found);
        } else if let Some(first) = entries[..index].iter().position(|other| other == entry) {
            found(path, first + 1, index + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const FILE: &str = "[chain]\nrpc_urls = [\"wss://a.example/key\", \"wss://a.example/key\"]\nchain_id = 8453\n[discord]\napplication_id = \"1\"\n\n[[gates]]\nguild_id = \"11\"\nmodule = \"0x00000000000000000000000000000000000000AA\"\nplan_ids = [1, 2, 1]\nrole_ids = [\"22\"]\n";

    fn notes(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::parse(text, "config.toml", owned).unwrap();
        let mut notes = config.notes();
        notes.retain(|note| note.contains("is the same as"));
        notes
    }

    #[test]
    fn an_entry_that_stands_twice_in_a_list_is_noted_with_its_line_and_without_a_providers_key() {
        assert_eq!(
            notes(FILE, &[]),
            [
                "config.toml, line 2: chain.rpc_urls: entry 2 is the same as entry 1",
                "config.toml, line 10: gates[0].plan_ids: entry 3 is the same as entry 1",
            ]
        );
        let once = FILE.replace(", 2, 1]", ", 2]");
        let urls = ("AMSER_ROLES__CHAIN__RPC_URLS", "wss://b.example");
        assert_eq!(notes(&once, &[urls]), [""; 0]);
        let servers = ("AMSER_ROLES__WEB__TRUSTED_PROXIES", "10.0.0.0/8,10.0.0.0/8");
        assert_eq!(
            notes(&once, &[urls, servers]),
            ["web.trusted_proxies: entry 2 is the same as entry 1"]
        );
    }
}
