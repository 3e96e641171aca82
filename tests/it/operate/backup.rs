//! `backup` while the service runs, `restore` onto another machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use amser_roles::store::Store;
use tokio::net::TcpListener;

use super::{Club, stop, until_acknowledged, until_said};
use crate::support::installation::log;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_backup_of_the_running_service_gives_the_same_roles_on_another_machine() {
    let club = Club::new().await;
    let old = &club.installation;
    let service = old.start();
    club.until_everyone_has_the_role().await;
    until_acknowledged(old).await;
    let file = old.beside("roles.backup");
    let made = old.run("backup", &[&file]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(
        made.output.contains("2 links") && made.output.contains("read back"),
        "{made:?}"
    );
    assert_eq!(mode(Path::new(&file)), 0o600);
    let refused = old.run("restore", &[&file, "--replace"]).await;
    assert_eq!(refused.code, Some(3), "{refused:?}");
    stop(service).await;
    let store = Store::open(&old.store_path()).unwrap();
    assert!(store.last_backup().unwrap().is_some(), "the time is noted");
    drop(store);

    let new = club.another_machine();
    let restored = new.run("restore", &[&file]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(mode(&new.store_path()), 0o600);
    let before = club.changes();
    let plan = new.run("plan", &[]).await;
    assert!(plan.output.starts_with("0 changes"), "{plan:?}");
    let service = new.start();
    until_said(&new, "ready: the chain is followed").await;
    let told = log(&new.log_path());
    assert!(
        told.contains("version=") && told.contains("chain_id=31337"),
        "{told}"
    );
    // What was given before is known to be ours, and kept: it is given back to whom it was taken from by hand.
    club.discord
        .take_role(club.guild, club.members[0], club.role)
        .unwrap();
    club.until_everyone_has_the_role().await;
    assert_eq!(club.changes(), before + 1);
    stop(service).await;
    assert_eq!(club.discord.violations(), []);
}

#[tokio::test]
async fn a_stopped_store_is_backed_up_too_and_replaced_only_on_demand() {
    let club = Club::new().await;
    let old = &club.installation;
    let file = old.beside("roles.backup");
    let made = old.run("backup", &[&file]).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let refused = old.run("restore", &[&file]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.errors.contains("--replace"), "{refused:?}");
    let restored = old.run("restore", &[&file, "--replace"]).await;
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert!(restored.output.contains("before-restore-"), "{restored:?}");
    assert_eq!(restored.errors, "", "a good backup is no reason to warn");
    assert_eq!(
        Store::open(&old.store_path())
            .unwrap()
            .link_count()
            .unwrap(),
        2
    );
    let config = old.config_path().display().to_string();
    for words in [&["backup"][..], &["restore", "--replace"]] {
        let refused = old
            .run(words[0], &[&words[1..], &[config.as_str()]].concat())
            .await;
        assert_eq!(refused.code, Some(1), "{words:?}: {refused:?}");
        assert_eq!(refused.errors.lines().count(), 1, "{refused:?}");
    }
    // Of a pipe or a folder nobody waits for what is in it.
    let pipe = old.beside("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for command in ["backup", "links export"] {
        for place in [pipe.as_str(), &old.beside("")] {
            let refused = old.run(command, &[place]).await;
            assert_eq!(refused.code, Some(1), "{command}: {refused:?}");
            assert!(refused.errors.contains("name another file"), "{refused:?}");
        }
    }
    let nothing = club.another_machine().run("backup", &[&file]).await;
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(nothing.errors.contains("there is no store"), "{nothing:?}");
}

#[tokio::test]
async fn healthcheck_tells_whether_the_service_answers() {
    let club = Club::new().await;
    let installation = &club.installation;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    let port = address.port();
    installation.reconfigure(
        "listen = \"127.0.0.1:0\"",
        &format!("listen = \"0.0.0.0:{port}\""),
    );
    drop(free);
    let down = installation.run("healthcheck", &[]).await;
    assert_eq!(down.code, Some(1), "{down:?}");
    assert_eq!(down.errors.lines().count(), 1, "{down:?}");
    assert!(
        down.errors.contains(&format!("127.0.0.1:{port}")),
        "{down:?}"
    );
    let service = installation.start();
    until_said(installation, "ready: the chain is followed").await;
    let up = installation.run("healthcheck", &[]).await;
    assert_eq!((up.code, up.errors.as_str()), (Some(0), ""));
    stop(service).await;
    // Something else at the address is no service.
    let other = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        loop {
            drop(other.accept().await);
        }
    });
    let down = installation.run("healthcheck", &[]).await;
    assert_eq!(down.code, Some(1), "{down:?}");
}
