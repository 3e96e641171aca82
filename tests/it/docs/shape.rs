//! What a test machine cannot do (packages, system services, containers) is at least well-formed.

use std::path::Path;

use amser_roles::cli::Cli;
use amser_roles::config::Config;
use clap::Parser as _;
use clap::error::ErrorKind;
use toml::{Table, Value};

use super::names::is_variable;
use super::{blocks, files, read};
use crate::command_line::SHIPPED;

/// Programs of other people that the pages use.
const OTHERS: [&str; 23] = [
    "apt",
    "buildah",
    "caddy",
    "cargo",
    "cat",
    "chmod",
    "chown",
    "cp",
    "curl",
    "docker",
    "git",
    "install",
    "journalctl",
    "mkdir",
    "mv",
    "nginx",
    "podman",
    "rm",
    "rsync",
    "scp",
    "ssh",
    "systemctl",
    "timedatectl",
];

/// The names of the units that the package installs.
fn units() -> Vec<String> {
    let units = ["service", "timer"].map(|kind| files(Path::new("packaging"), kind));
    let names = units.iter().flatten().filter_map(|unit| unit.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// Lines, of which one that ends with a backslash goes on in the next.
fn joined(lines: &[String]) -> Vec<String> {
    let text = lines.join("\n").replace("\\\n", " ");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn commands_for_a_server_are_well_formed() {
    for block in blocks("console") {
        for line in joined(&block.lines) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // A comment behind the command.
            let line = line.split(" #").next().unwrap_or_default();
            for command in line.split([';', '|']).flat_map(|part| part.split("&&")) {
                check(command.trim(), &block.place);
            }
        }
    }
}

fn check(command: &str, place: &str) {
    let place = format!("{place}: {command}");
    let mut words: Vec<_> = command.split_whitespace().collect();
    while let Some((name, _)) = words.first().and_then(|word| word.split_once('=')) {
        assert!(is_variable(name), "{place}");
        words.remove(0);
    }
    if words.first() == Some(&"sudo") {
        words.remove(0);
        if words.first() == Some(&"-u") {
            words.drain(..2);
        }
    }
    let ours = words.iter().position(|word| word.ends_with("amser-roles"));
    match words[..] {
        ["amser-roles", ..] => parses(&words, &place),
        ["make", ref targets @ ..] => {
            let makefile = read("Makefile");
            for target in targets {
                let is_there = makefile
                    .lines()
                    .any(|line| line.starts_with(&format!("{target}:")));
                assert!(is_there, "{place}: no target {target}");
            }
        }
        ["systemctl" | "journalctl", ref rest @ ..] => {
            let units = units();
            for unit in rest.iter().filter(|word| word.starts_with("amser-roles")) {
                let full = match unit.contains('.') {
                    true => (*unit).to_owned(),
                    false => format!("{unit}.service"),
                };
                assert!(
                    units.contains(&full),
                    "{place}: {full} is none of {units:?}"
                );
            }
        }
        // A command inside of a container.
        ["docker" | "podman", ..] if words.contains(&"exec") || words.contains(&"run") => {
            if let Some(at) =
                ours.filter(|at| words.get(at + 1).is_some_and(|next| !next.contains('/')))
            {
                let inside = &words[at + 1..];
                let inside = inside.strip_prefix(&["amser-roles"]).unwrap_or(inside);
                let typed = [&["amser-roles"], inside].concat();
                parses(&typed, &place);
            }
        }
        [other, ..] => assert!(OTHERS.contains(&other), "{place}"),
        [] => panic!("{place}: no command"),
    }
}

fn parses(words: &[&str], place: &str) {
    let parsed = Cli::try_parse_from(words);
    let is_good = parsed.as_ref().map_or_else(
        |error| {
            matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            )
        },
        |_| true,
    );
    assert!(is_good, "{place}: {parsed:?}");
}

#[test]
fn commands_that_are_named_in_prose_are_there() {
    for page in super::pages() {
        for span in super::spans(&page) {
            let words: Vec<_> = span.split(' ').collect();
            if words.len() > 1 && words[0] == "amser-roles" && !span.contains('…') {
                parses(&words, &page.display().to_string());
            }
            if words.len() == 2 && words[0] == "make" {
                check(&span, &page.display().to_string());
            }
        }
    }
}

#[test]
fn parts_of_a_configuration_are_valid() {
    let shipped: Table = std::fs::read_to_string(SHIPPED).unwrap().parse().unwrap();
    let parts = blocks("toml");
    assert!(parts.len() > 5, "{parts:?}");
    for block in parts {
        let place = &block.place;
        let part: Table = block
            .lines
            .join("\n")
            .parse()
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        let mut whole = shipped.clone();
        for (section, value) in part {
            match (whole.get_mut(&section), value) {
                (Some(Value::Table(keys)), Value::Table(more)) => keys.extend(more),
                (_, value) => drop(whole.insert(section, value)),
            }
        }
        let text = toml::to_string(&whole).unwrap();
        if let Err(error) = Config::parse(&text, place, []) {
            panic!("{error}");
        }
    }
}
