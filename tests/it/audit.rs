//! What can be checked of the dependencies without the advisory database: `deny.toml` and `Cargo.lock` fit each other.
//! `make audit` asks the database.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

/// Crates that are known to be unmaintained, with their advisories (rustsec.org). One that is added to the lock file is either
/// given up or named in `deny.toml` with a reason.
const UNMAINTAINED: [(&str, &str); 20] = [
    ("async-std", "RUSTSEC-2025-0052"),
    ("atomic-polyfill", "RUSTSEC-2023-0089"),
    ("backoff", "RUSTSEC-2025-0012"),
    ("bincode", "RUSTSEC-2025-0141"),
    ("derivative", "RUSTSEC-2024-0388"),
    ("dotenv", "RUSTSEC-2021-0141"),
    ("failure", "RUSTSEC-2020-0036"),
    ("fxhash", "RUSTSEC-2025-0057"),
    ("instant", "RUSTSEC-2024-0384"),
    ("mach", "RUSTSEC-2020-0168"),
    ("net2", "RUSTSEC-2020-0016"),
    ("number_prefix", "RUSTSEC-2025-0119"),
    ("parity-wasm", "RUSTSEC-2022-0061"),
    ("paste", "RUSTSEC-2024-0436"),
    ("proc-macro-error", "RUSTSEC-2024-0370"),
    ("proc-macro-error2", "RUSTSEC-2026-0173"),
    ("rustls-pemfile", "RUSTSEC-2025-0134"),
    ("serde_cbor", "RUSTSEC-2021-0127"),
    ("stdweb", "RUSTSEC-2020-0056"),
    ("yaml-rust", "RUSTSEC-2024-0320"),
];

/// Crates of which a second version would mean a second runtime, a second TLS stack, or types that do not fit together.
const SINGLE: [&str; 12] = [
    "alloy-primitives",
    "axum",
    "hyper",
    "native-tls",
    "openssl",
    "redb",
    "reqwest",
    "rustls",
    "rustls-webpki",
    "serenity",
    "tokio",
    "url",
];

fn read(name: &str) -> Table {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn text<'a>(table: &'a Table, key: &str) -> &'a str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn packages(lock: &Table) -> Vec<&Table> {
    let all = lock["package"].as_array().unwrap().iter();
    all.map(|package| package.as_table().unwrap()).collect()
}

/// Crate → the versions that are locked.
fn versions<'a>(lock: &'a Table) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut versions: BTreeMap<&'a str, BTreeSet<&'a str>> = BTreeMap::new();
    for package in packages(lock) {
        let name = versions.entry(text(package, "name")).or_default();
        name.insert(text(package, "version"));
    }
    versions
}

/// Advisory → the reason for which it is ignored.
fn ignored(deny: &Table) -> BTreeMap<&str, &str> {
    let entries = deny["advisories"]["ignore"].as_array().unwrap();
    let pairs = entries.iter().map(|entry| {
        let entry = entry.as_table().expect("an entry has an id and a reason");
        (text(entry, "id"), text(entry, "reason"))
    });
    let ignored: BTreeMap<_, _> = pairs.collect();
    assert_eq!(ignored.len(), entries.len(), "no advisory is named twice");
    ignored
}

#[test]
fn each_ignored_advisory_is_of_a_locked_crate_and_has_a_reason() {
    let (deny, lock) = (read("deny.toml"), read("Cargo.lock"));
    let locked = versions(&lock);
    for (id, reason) in ignored(&deny) {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<_> = id.split('-').collect();
        let is_id = matches!(parts[..], ["RUSTSEC", year, number]
            if (year.len(), number.len()) == (4, 4) && digits(year) && digits(number));
        assert!(is_id, "{id} is no advisory");
        let name = reason.split(' ').next().unwrap_or_default();
        assert!(
            locked.contains_key(name),
            "{id}: {name} is in Cargo.lock no more, so the entry goes"
        );
        assert!(
            reason.contains(';'),
            "{id}: the reason says who needs {name}"
        );
    }
}

#[test]
fn every_locked_crate_that_is_known_to_be_unmaintained_is_named() {
    let (deny, lock) = (read("deny.toml"), read("Cargo.lock"));
    let ignored = ignored(&deny);
    let locked = versions(&lock);
    for (name, id) in UNMAINTAINED {
        if locked.contains_key(name) {
            let reason = ignored.get(id).copied().unwrap_or_default();
            assert!(reason.starts_with(name), "{name} is unmaintained: {id}");
        }
    }
}

#[test]
fn every_dependency_comes_from_crates_io_with_its_checksum() {
    let lock = read("Cargo.lock");
    for package in packages(&lock) {
        let name = text(package, "name");
        if name == env!("CARGO_PKG_NAME") {
            continue;
        }
        assert_eq!(
            text(package, "source"),
            "registry+https://github.com/rust-lang/crates.io-index",
            "{name}"
        );
        assert_eq!(text(package, "checksum").len(), 64, "{name}");
    }
}

#[test]
fn what_must_be_there_once_is_locked_in_one_version() {
    let lock = read("Cargo.lock");
    let locked = versions(&lock);
    for name in SINGLE {
        let known = locked.get(name);
        assert!(
            known.is_none_or(|versions| versions.len() == 1),
            "{name}: {known:?}"
        );
    }
    // Versions below have open advisories, and serenity's rustls_backend brings one of them.
    for version in locked.get("rustls-webpki").into_iter().flatten() {
        assert!(version.starts_with("0.103."), "rustls-webpki {version}");
    }
}

#[test]
fn the_audit_refuses_unmaintained_crates_and_foreign_sources() {
    let deny = read("deny.toml");
    assert_eq!(deny["advisories"]["unmaintained"].as_str(), Some("all"));
    assert_eq!(deny["advisories"]["yanked"].as_str(), Some("deny"));
    for key in ["unknown-registry", "unknown-git"] {
        assert_eq!(deny["sources"][key].as_str(), Some("deny"), "{key}");
    }
}
