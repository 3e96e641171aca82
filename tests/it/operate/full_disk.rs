//! A disk that is full. A limit for the size of a file stands for it: root is held to it as well, and nothing has to be
//! mounted.

use std::process::Stdio;

use amser_roles::store::Store;
use tokio::process::{Child, Command};

use super::{Club, stop, until_said};
use crate::support::installation::{Ended, end};
use crate::support::stage::DEADLINE;

/// The command, told by an error and not killed when a file would get too large.
fn told(command: &Command, script: &str) -> Command {
    let command = command.as_std();
    let mut told = Command::new("sh");
    told.arg("-c").arg(format!("trap '' XFSZ; exec {script}"));
    told.arg(command.get_program()).args(command.get_args());
    let variables = command.get_envs();
    told.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    told.current_dir(command.get_current_dir().unwrap());
    told.kill_on_drop(true).stdin(Stdio::null());
    told
}

/// From now on this process cannot write beyond the first pages of any file.
async fn fill_up_for(child: &Child) {
    let id = child.id().expect("it still runs").to_string();
    let limited = Command::new("prlimit")
        .args(["--pid", &id, "--fsize=16384:16384"])
        .status()
        .await;
    assert!(limited.unwrap().success());
}

/// It ended with this one sentence on standard error.
fn says_that_it_is_full(ended: &Ended, file: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.errors.lines().last().unwrap_or_default();
    assert_eq!(
        last,
        format!(
            "amser-roles: cannot write {file}: it has reached the limit for the size of a file; make room, then run amser-roles again; nothing that was stored is lost"
        ),
        "{ended:?}"
    );
    assert!(!ended.errors.contains("ERROR"), "{ended:?}");
    assert!(!ended.errors.contains("panicked"), "{ended:?}");
}

#[tokio::test]
async fn a_disk_that_fills_up_ends_the_service_with_one_sentence_and_with_room_it_goes_on() {
    let mut club = Club::new().await;
    let mut command = told(&club.installation.command("run"), "\"$0\" \"$@\"");
    // A pipe, which has no size.
    let service = command.stdout(Stdio::null()).stderr(Stdio::piped());
    let service = service.spawn().unwrap();
    club.until_everyone_has_the_role().await;
    fill_up_for(&service).await;
    club.scene.pay().await;
    let ended = tokio::time::timeout(DEADLINE, service.wait_with_output()).await;
    let ended = ended.expect("it ends").unwrap();
    let ended = Ended {
        code: ended.status.code(),
        output: String::new(),
        errors: String::from_utf8(ended.stderr).unwrap(),
    };
    let store = club.installation.store_path();
    says_that_it_is_full(&ended, &store.display().to_string());
    assert_eq!(Store::open(&store).unwrap().link_count().unwrap(), 2);
    let before = club.changes();
    let service = club.installation.start();
    until_said(&club.installation, "ready: the chain is followed").await;
    club.until_everyone_has_the_role().await;
    assert_eq!(club.changes(), before, "nothing was forgotten");
    stop(service).await;
}

#[tokio::test]
async fn copies_for_which_there_is_no_room_are_named_and_leave_nothing_behind() {
    let club = Club::new().await;
    let old = &club.installation;
    let (backup, links) = (old.beside("roles.backup"), old.beside("links.jsonl"));
    let made = old.run("backup", &[&backup]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    // That has the store, so that only the copies are written by the commands.
    let service = old.start();
    until_said(old, "ready: the chain is followed").await;
    let new = club.another_machine();
    let restored = new.store_path().display().to_string();
    let larger = old.beside("larger.backup");
    for (installation, command, file, written, room) in [
        (old, "backup", &larger, &larger, 16_384),
        (old, "links export", &links, &links, 64),
        (&new, "restore", &backup, &restored, 16_384),
        (&new, "index", &String::new(), &restored, 0),
    ] {
        let script = format!("prlimit --fsize={room}:{room} \"$0\" \"$@\"");
        let mut command = installation.command(command);
        if !file.is_empty() {
            command.arg(file);
        }
        let ended = end(&mut told(&command, &script)).await;
        says_that_it_is_full(&ended, written);
        assert!(!std::path::Path::new(written).exists(), "{written}");
    }
    stop(service).await;
    let left = std::fs::read_dir(new.store_path().parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().contains(".redb")),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_written_does_not_end_the_service() {
    let club = Club::new().await;
    let service = told(
        &club.installation.command("run"),
        "\"$0\" \"$@\" 2>/dev/full",
    );
    let service = { service }.spawn().unwrap();
    club.until_everyone_has_the_role().await;
    stop(service).await;
}
