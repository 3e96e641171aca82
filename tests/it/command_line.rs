//! The program as a person at a terminal, a script or a service manager meets it: its commands, what they print and how
//! they end.

mod index;
mod plan;
mod service;

use std::process::Stdio;

use crate::support::installation::{end, program};

pub(crate) const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml");

#[tokio::test]
async fn a_good_file_is_valid_and_a_bad_one_is_told_by_line_and_key() {
    let good = end(program().args(["check-config", "--config", SHIPPED])).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(good.output.ends_with("config.toml is valid: 0 gates\n"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    let text = std::fs::read_to_string(SHIPPED).unwrap();
    std::fs::write(&path, text.replace("confirmations = 2", "confirmation = 2")).unwrap();
    for command in ["check-config", "index", "plan", "run"] {
        let bad = end(program().arg(command).arg("--config").arg(&path)).await;
        assert_eq!(bad.code, Some(2), "{command}: {bad:?}");
        assert_eq!(bad.output, "");
        assert!(bad.errors.contains("bad.toml, line ") && bad.errors.contains("`confirmation`"));
        assert_eq!(bad.errors.lines().count(), 1, "{}", bad.errors);
    }
    let missing = end(program().args(["check-config", "--config", "/nowhere.toml"])).await;
    assert_eq!(missing.code, Some(2));
    assert!(missing.errors.contains("there is no /nowhere.toml"));
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_failure() {
    let mut command = program();
    command.args(["check-config", "--config", SHIPPED]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut started = command.spawn().unwrap();
    drop(started.stdout.take());
    let ended = started.wait_with_output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
}

#[tokio::test]
async fn the_sandbox_plays_one_life_and_every_step_holds() {
    let mut command = program();
    // Nothing of it goes through a proxy of the environment.
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env(name, "http://127.0.0.1:9");
    }
    let played = end(command.args(["sandbox", "--once"])).await;
    assert_eq!(played.code, Some(0), "{played:?}");
    let steps = [
        "linked a wallet",
        "paid → role granted",
        "payment failed → role revoked",
        "paid again → role granted",
        "the paid window passed → role revoked",
        "mona connected Mona's Club",
        "the plans are the merchant's",
        "plan mapped to a role that was made for it",
        "the role was given to the merchant and taken again",
        "grace paid → role granted in Mona's Club",
        "every step held",
    ];
    let lines: Vec<_> = played.output.lines().collect();
    assert_eq!(lines.len(), steps.len(), "{}", played.output);
    for (line, step) in lines.iter().zip(steps) {
        assert!(line.contains(" s  (+") && line.ends_with(step), "{line}");
    }
    assert_eq!(played.errors, "", "nothing is worth a warning");
}
