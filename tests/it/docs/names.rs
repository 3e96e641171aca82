//! What the pages name is there: variables, keys, metrics, routes, slash commands, files, and sentences of the log.

use std::collections::BTreeSet;
use std::path::Path;

use super::{files, pages, read, root, spans};
use crate::command_line::SHIPPED;

/// The program's source, without line breaks inside of string literals.
fn source(folder: &str) -> String {
    let all = files(Path::new(folder), "rs").into_iter().map(read);
    let all: Vec<_> = all.collect();
    all.join("\n")
}

/// The words of a text that are made of such letters.
fn words(text: &str, is_part: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |letter| !is_part(letter))
}

/// `section.key` for each key that config.toml explains, also those that are commented out.
pub(super) fn keys() -> BTreeSet<String> {
    let text = std::fs::read_to_string(SHIPPED).unwrap();
    let mut keys = BTreeSet::new();
    let mut section = String::new();
    for line in text.lines() {
        let line = line.trim_start_matches("# ");
        let is_head = |letter: char| letter == '[' || letter == ']';
        if line.starts_with('[') {
            let head = line.split(' ').next().unwrap();
            section = head.trim_matches(is_head).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && key
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_')
        {
            keys.insert(format!("{section}.{key}"));
        }
    }
    assert!(keys.len() > 40, "{keys:?}");
    keys
}

/// The names of doctor's checks.
fn checks() -> BTreeSet<String> {
    let source = source("src/doctor");
    let literals = source.split('"');
    let is_name = |text: &&str| {
        text.len() < 30
            && text.split('.').count() == 2
            && text.split('.').all(|part| {
                !part.is_empty()
                    && part
                        .chars()
                        .all(|letter| letter.is_ascii_lowercase() || letter == '_')
            })
    };
    literals.filter(is_name).map(str::to_owned).collect()
}

/// Whether there is such a variable of the environment.
pub(super) fn is_variable(name: &str) -> bool {
    if let Some(key) = name.strip_prefix("AMSER_ROLES__") {
        let key = key.to_ascii_lowercase().replacen("__", ".", 1);
        return keys().contains(&key) || key == "section.key";
    }
    let name = name.strip_suffix("_FILE").unwrap_or(name);
    let literal = format!("\"{name}\"");
    source("src/config").contains(&literal)
}

#[test]
fn every_variable_that_is_named_is_read() {
    for page in pages() {
        let text = read(&page);
        let is_part = |letter: char| letter.is_ascii_uppercase() || letter == '_';
        for name in words(&text, is_part).filter(|word| word.starts_with("AMSER_ROLES_")) {
            let is_prefix = name.ends_with('_');
            let is_known = is_prefix || name.contains("_TEST_") || is_variable(name);
            assert!(is_known, "{}: {name}", page.display());
        }
    }
}

#[test]
fn every_key_that_is_named_is_one_of_the_configuration_or_a_check_of_doctor() {
    let (keys, checks) = (keys(), checks());
    assert!(
        checks.contains("node.old_logs") && checks.len() > 30,
        "{checks:?}"
    );
    let sections = [
        "chain", "amser", "discord", "web", "store", "policy", "gates", "servers",
    ];
    let others = [
        "node", "module", "server", "service", "disk", "files", "api",
    ];
    for page in pages() {
        for span in spans(&page) {
            let is_part = |letter: char| letter.is_ascii_lowercase() || "._/-".contains(letter);
            for word in words(&span, is_part) {
                let Some((section, key)) = word.split_once('.') else {
                    continue;
                };
                let is_file =
                    word.contains(['/', '-']) || key.contains('.') || key == "rs" || key.is_empty();
                if is_file || !(sections.contains(&section) || others.contains(&section)) {
                    continue;
                }
                let is_known = keys.contains(word) || checks.contains(word);
                assert!(is_known, "{}: {word}", page.display());
            }
        }
    }
}

#[test]
fn every_metric_that_is_named_is_made() {
    let source = source("src");
    for page in pages() {
        let text = read(&page);
        let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '_';
        for name in words(&text, is_part).filter(|word| word.starts_with("amser_roles_")) {
            let is_made = name.ends_with('_') || source.contains(&format!("\"{name}\""));
            assert!(is_made, "{}: {name}", page.display());
        }
    }
}

/// The slash commands: functions below `poise::command`, or what they are renamed to.
fn slash_commands() -> BTreeSet<String> {
    let source = source("src/commands");
    let behind = source.split("#[poise::command(").skip(1);
    let names = behind.map(|rest| {
        let (attributes, code) = rest.split_once(")]").unwrap();
        let renamed = attributes.split_once("rename = \"");
        match renamed.and_then(|(_, name)| name.split_once('"')) {
            Some((name, _)) => name.to_owned(),
            None => {
                let (_, function) = code.split_once("fn ").unwrap();
                let (name, _) = function.split_once('(').unwrap();
                name.replace('_', "-")
            }
        }
    });
    names.collect()
}

/// Whether the router has such a route, of whose parts those in braces stand for anything.
fn is_route(path: &str) -> bool {
    let source = source("src/web") + &read("src/web.rs");
    let literals = source.split('"').filter(|text| text.starts_with('/'));
    let asked: Vec<_> = path.split('/').collect();
    let mut fitting = literals.filter(|route| {
        let parts: Vec<_> = route.split('/').collect();
        let fits = |(asked, part): (&&str, &&str)| {
            asked == part || *asked == "*" || (part.starts_with('{') && asked.starts_with('{'))
        };
        parts.len() == asked.len() && asked.iter().zip(&parts).all(fits)
    });
    fitting.next().is_some()
}

#[test]
fn every_route_and_slash_command_that_is_named_is_there() {
    let commands = slash_commands();
    assert!(
        commands.contains("verify-message") && commands.contains("privacy"),
        "{commands:?}"
    );
    for page in pages() {
        for span in spans(&page) {
            let place = format!("{}: {span}", page.display());
            let span = span.trim_start_matches("GET ").trim_start_matches("POST ");
            let is_path = ["/etc/", "/var/", "/usr/", "/run/", "/path/"];
            if !span.starts_with('/') || is_path.iter().any(|path| span.starts_with(path)) {
                continue;
            }
            let mut words = span.trim_start_matches('/').split(' ');
            let first = words.next().unwrap_or_default();
            if commands.contains(first) {
                let mut known = words.filter(|word| !word.contains(['{', ':', '…']));
                assert!(known.all(|word| commands.contains(word)), "{place}");
                continue;
            }
            let path = span.split('?').next().unwrap_or_default();
            // The beginning of several routes.
            let is_beginning = ["/verify", "/oauth", "/api/v1", "/dashboard"].contains(&path);
            assert!(is_beginning || is_route(path), "{place}");
        }
    }
}

#[test]
fn every_file_of_the_repository_that_is_named_is_there() {
    let folders = [
        "abi/",
        "anvil/",
        "benches/",
        "contracts/",
        "docs/",
        "monitoring/",
        "packaging/",
        "src/",
        "tests/",
    ];
    for page in pages() {
        for span in spans(&page) {
            if folders.iter().any(|folder| span.starts_with(folder)) && !span.contains(' ') {
                assert!(root().join(&span).exists(), "{}: {span}", page.display());
            }
        }
    }
}

#[test]
fn the_sentences_of_the_page_about_trouble_are_those_that_the_program_says() {
    // A literal may go on behind a line break.
    let source = source("src").replace("\\\n", "");
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut sentences = 0;
    for span in spans(Path::new("docs/trouble.md")) {
        let is_sentence = span.split(' ').count() > 3 && !span.starts_with("amser-roles ");
        if !is_sentence {
            continue;
        }
        sentences += 1;
        for part in span
            .split('…')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let escaped = part.replace('"', "\\\"");
            assert!(
                source.contains(part) || source.contains(&escaped),
                "docs/trouble.md: {part:?} is said nowhere"
            );
        }
    }
    assert!(sentences > 20, "{sentences}");
}

#[test]
fn the_page_about_nodes_names_each_method_that_is_called_and_no_other() {
    let folders = ["src/chain", "src/doctor", "src/views", "src/wallet"];
    let called = folders.map(|folder| {
        let source = source(folder);
        let literals = source.split('"').filter(|text| text.starts_with("eth_"));
        literals.map(str::to_owned).collect::<BTreeSet<_>>()
    });
    let is_method = |text: &String| {
        text.chars()
            .all(|letter| letter.is_ascii_alphabetic() || letter == '_')
    };
    let called: BTreeSet<_> = called.into_iter().flatten().filter(is_method).collect();
    let named = spans(Path::new("docs/rpc-node.md"));
    let named: BTreeSet<_> = named
        .into_iter()
        .filter(|span| span.starts_with("eth_"))
        .collect();
    assert_eq!(named, called);
}
