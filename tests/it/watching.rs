//! `monitoring/`: the alert rules hold what they promise, and every metric that is watched is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amser_roles::domain::{Link, Timestamp, Wallet};
use amser_roles::sandbox::chain::wallet;
use amser_roles::store::Store;
use serde_json::Value;
use tokio::process::Command;
use url::Url;

use crate::doctor::Ward;
use crate::support::stage::DEADLINE;
use crate::support::until_ready;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// Runs promtool in `monitoring/`: the one on the PATH, or the one that the Makefile unpacks.
async fn promtool(arguments: &[&str]) -> String {
    let unpacked = folder().join(".promtool/usr/bin/promtool");
    let program = match unpacked.is_file() {
        true => unpacked,
        false => "promtool".into(),
    };
    let mut command = Command::new(program);
    let ended = command.args(arguments).current_dir(folder()).output().await;
    let ended = ended.expect("promtool is missing: run `make promtool`, or install Prometheus");
    let told = [ended.stdout, ended.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
    let told = told.concat();
    assert!(ended.status.success(), "{told}");
    told
}

/// The metrics that a text names, without what a histogram adds to its name.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let words = text.split(|letter: char| !is_part(letter));
    words
        .filter(|word| word.starts_with("amser_roles_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[tokio::test]
async fn every_alert_rule_is_valid_and_has_a_test_of_silence_and_one_of_the_fault() {
    let told = promtool(&["check", "rules", "alerts.yml"]).await;
    let rules = read("alerts.yml");
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<_> = names.collect();
    assert!(
        told.contains(&format!("{} rules found", names.len())),
        "{told}"
    );
    promtool(&["test", "rules", "alerts.test.yml"]).await;
    let tests = read("alerts.test.yml");
    for name in names {
        for suffix in ["all is well", "the fault"] {
            assert!(
                tests.contains(&format!("# {name}: {suffix}")),
                "{name}: {suffix}"
            );
        }
        let (_, of_rule) = rules.split_once(&format!("- alert: {name}\n")).unwrap();
        let of_rule = of_rule.split("- alert:").next().unwrap();
        assert!(of_rule.contains("description:"), "{name} says what to do");
    }
}

#[test]
fn the_dashboard_is_json_whose_panels_have_a_title_and_a_question() {
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(
            panel["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty())
        );
        assert!(ids.insert(panel["id"].as_u64().unwrap()));
        for target in panel["targets"].as_array().unwrap() {
            let question = target["expr"].as_str().unwrap();
            assert!(!metrics_in(question).is_empty(), "{question}");
            assert!(question.contains("$instance"), "{question}");
        }
    }
}

#[tokio::test]
async fn every_metric_that_is_watched_is_there_and_says_what_it_is() {
    let mut ward = Ward::new().await;
    let user = ward.discord.add_user("ada");
    ward.discord.add_member(ward.guild, user).unwrap();
    let link = Link {
        user,
        wallet: Wallet(wallet("member 1").address()),
        linked_at: Timestamp(0),
        proof: None,
    };
    let store = Store::open(&ward.installation.store_path()).unwrap();
    store.link(&link, 5).unwrap();
    store.note_backup(Timestamp(1)).unwrap();
    drop(store);
    let public = ward.public_url();
    let _service = ward.installation.start();
    until_ready(&public).await;
    // Only what happens while it runs has a time from the event to the role.
    ward.scene.pay().await;
    let (guild, role) = (ward.guild, ward.role);
    let is_held = move |discord: &amser_roles::sandbox::discord::LocalDiscord| {
        discord.has_role(guild, user, role)
    };
    let held = ward
        .discord
        .wait_until("the role is held", DEADLINE, is_held);
    held.await.unwrap();
    let watched = [read("alerts.yml"), read("grafana.json")].concat();
    let watched = metrics_in(&watched);
    assert!(watched.len() > 15, "{watched:?}");
    // The acknowledgement is counted a moment after the role is seen.
    let all_there = async {
        loop {
            let shown = scraped(&public).await;
            let missing: Vec<_> = watched
                .iter()
                .filter(|name| !is_told(&shown, name))
                .collect();
            if missing.is_empty() {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let shown = tokio::time::timeout(DEADLINE, all_there).await;
    let shown = match shown {
        Ok(shown) => shown,
        Err(_) => {
            let shown = scraped(&public).await;
            let missing: Vec<_> = watched
                .iter()
                .filter(|name| !is_told(&shown, name))
                .collect();
            panic!("{missing:?} are watched and not in {shown}");
        }
    };
    for line in shown.lines().filter(|line| line.starts_with("# TYPE ")) {
        let mut words = line.split(' ').skip(2);
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        assert!(
            shown.contains(&format!("# HELP {name} ")),
            "{name} has no help"
        );
        assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
    }
    // A link that signs a member in is told by its route.
    let link = public.join("/verify/a-secret-token").unwrap();
    reqwest::get(link).await.unwrap();
    let shown = scraped(&public).await;
    assert!(shown.contains("route=\"/verify/{token}\"") && !shown.contains("a-secret-token"));
}

/// Whether the metric is there with a value and a help text.
fn is_told(shown: &str, name: &str) -> bool {
    let mut values = shown.lines().filter(|line| line.starts_with(name));
    shown.contains(&format!("# HELP {name} ")) && values.next().is_some()
}

async fn scraped(public: &Url) -> String {
    let answer = reqwest::get(public.join("/metrics").unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}
