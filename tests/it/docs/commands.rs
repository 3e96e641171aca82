//! The commands of the pages, run by the real program in a folder with a configuration, a store and somebody who pays.

use std::collections::BTreeSet;
use std::path::PathBuf;

use amser_roles::domain::Timestamp;
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;
use tokio::process::Child;

use super::{Block, blocks, parts};
use crate::doctor::Ward;
use crate::operate::links::signed;
use crate::support::installation::{Installation, end, log, signal};
use crate::support::stage::DEADLINE;
use crate::support::until_ready;

/// The pages with commands; each is run by a test of its own below.
const PAGES: [&str; 7] = [
    "docs/back-up.md",
    "docs/configure.md",
    "docs/move.md",
    "docs/rpc-node.md",
    "docs/several-merchants.md",
    "docs/trouble.md",
    "docs/upgrade.md",
];

#[tokio::test]
async fn backing_up_is_as_its_page_says() {
    run("docs/back-up.md").await;
}

#[tokio::test]
async fn configuring_is_as_its_page_says() {
    run("docs/configure.md").await;
}

#[tokio::test]
async fn moving_is_as_its_page_says() {
    run("docs/move.md").await;
}

#[tokio::test]
async fn looking_at_the_node_is_as_its_page_says() {
    run("docs/rpc-node.md").await;
}

#[tokio::test]
async fn serving_several_merchants_is_as_its_page_says() {
    run("docs/several-merchants.md").await;
}

#[tokio::test]
async fn looking_for_trouble_is_as_its_page_says() {
    run("docs/trouble.md").await;
}

#[tokio::test]
async fn upgrading_is_as_its_page_says() {
    run("docs/upgrade.md").await;
}

#[test]
fn each_page_with_commands_is_run() {
    let found = blocks("sh").into_iter().map(|block| {
        let (page, _) = block.place.split_once(':').unwrap();
        page.to_owned()
    });
    let found: BTreeSet<_> = found.collect();
    assert_eq!(found, PAGES.map(str::to_owned).into());
}

/// A command of a page, and what it is said to print.
#[derive(Debug)]
struct Step {
    command: String,
    printed: Vec<String>,
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps = Vec::<Step>::new();
    for line in block.lines.iter().filter(|line| !line.is_empty()) {
        let place = &block.place;
        match (line.strip_prefix("# "), steps.last_mut()) {
            (Some(printed), Some(step)) => step.printed.push(printed.to_owned()),
            (Some(_), None) => panic!("{place}: what is printed stands behind its command"),
            (None, _) => {
                let command = line.strip_prefix("amser-roles ");
                let command = command.unwrap_or_else(|| {
                    panic!("{place}: {line} is run by no test; mark the block as console")
                });
                steps.push(Step {
                    command: command.to_owned(),
                    printed: Vec::new(),
                });
            }
        }
    }
    steps
}

/// Runs the commands of a page in order.
async fn run(page: &str) {
    let ward = Ward::new().await;
    let mut scene = somebody_pays(ward).await;
    for block in parts(&PathBuf::from(page)).0 {
        match block.kind.as_str() {
            "sh" => scene.run(&block).await,
            "sh new-machine" => {
                let old = &scene.ward.installation;
                let new = scene.moved.get_or_insert_with(|| old.copied());
                new.copy_from(old);
                scene.run(&block).await;
            }
            _ => {}
        }
    }
}

struct PageScene {
    ward: Ward,
    /// The machine that everything was moved to.
    moved: Option<Installation>,
}

/// Ada, who linked a wallet and pays, and who has her role from a service that was stopped again.
async fn somebody_pays(mut ward: Ward) -> PageScene {
    let ada = ward.discord.add_user("ada");
    ward.discord.add_member(ward.guild, ada).unwrap();
    ward.scene.pay().await;
    let store = Store::open(&ward.installation.store_path()).unwrap();
    store.link(&signed(ada, 1), 5).unwrap();
    store.note_backup(Timestamp(now())).unwrap();
    drop(store);
    let service = ward.installation.start();
    let (guild, role) = (ward.guild, ward.role);
    let has_it = move |discord: &LocalDiscord| discord.has_role(guild, ada, role);
    let given = ward
        .discord
        .wait_until("the role is given", DEADLINE, has_it);
    given.await.unwrap();
    stop(service).await;
    PageScene { ward, moved: None }
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

async fn stop(mut service: Child) {
    signal(&service, "TERM").await;
    let ended = tokio::time::timeout(DEADLINE, service.wait()).await;
    assert!(ended.expect("it stops").unwrap().success());
}

impl PageScene {
    /// Runs the commands of a block. What `run` starts ends with the block.
    async fn run(&self, block: &Block) {
        let is_new = block.kind.ends_with("new-machine");
        let here = self.moved.as_ref().filter(|_| is_new);
        let here = here.unwrap_or(&self.ward.installation);
        let mut service = None;
        for step in steps(block) {
            let place = format!("{}: amser-roles {}", block.place, step.command);
            if step.command == "run" {
                service = Some(here.start());
                until_ready(&self.ward.public_url()).await;
                let told = log(&here.log_path());
                for printed in &step.printed {
                    assert!(
                        told.contains(printed.as_str()),
                        "{place}: {printed}: {told}"
                    );
                }
                continue;
            }
            let ended = end(&mut here.typed(step.command.split_whitespace())).await;
            let mut expected = Some(0);
            for printed in &step.printed {
                if let Some(code) = printed.strip_prefix("exit code ") {
                    expected = Some(code.parse().unwrap());
                    continue;
                }
                let lines = ended.output.lines().chain(ended.errors.lines());
                let mut lines = lines.filter(|line| fits(printed, line));
                assert!(lines.next().is_some(), "{place}: {printed}: {ended:#?}");
            }
            assert_eq!(ended.code, expected, "{place}: {ended:#?}");
        }
        if let Some(service) = service {
            stop(service).await;
        }
    }
}

/// Whether a line is as a page says.
fn fits(said: &str, line: &str) -> bool {
    let (said, line) = (numberless(said), numberless(line));
    let mut parts = said.split('…').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.trim().strip_prefix(first) else {
        return false;
    };
    let mut is_open = false;
    for part in parts {
        is_open = true;
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || (is_open && said.ends_with('…'))
}

/// The text with each number as `0`, and each run of spaces as one.
fn numberless(text: &str) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        let (letter, is_repeated) = match letter {
            '0'..='9' => ('0', plain.ends_with('0')),
            ' ' => (' ', plain.ends_with(' ')),
            other => (other, false),
        };
        if !is_repeated {
            plain.push(letter);
        }
    }
    plain
}

#[test]
fn a_line_fits_where_only_numbers_and_dots_differ() {
    assert!(fits("0 changes at block 31", "0 changes at block 7"));
    assert!(fits(
        "ok node.head … seconds old",
        "ok   node.head    x: 5 seconds old"
    ));
    assert!(fits(
        "roles.backup holds 1 link …",
        "roles.backup holds 12 links and more"
    ));
    assert!(!fits(
        "0 changes at block 31",
        "0 changes at block 31, and more"
    ));
    assert!(!fits("ok node.head …", "failure node.head it is old"));
}
