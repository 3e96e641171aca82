//! `rebuild` while the service runs and while it does not.

use amser_roles::store::Store;

use super::{Club, link, payer, stop, until_said};

#[tokio::test]
async fn a_rebuild_beside_the_running_service_changes_no_role_and_it_follows_on() {
    let mut club = Club::new().await;
    let installation = &club.installation;
    let service = installation.start();
    until_said(installation, "ready: the chain is followed").await;
    club.until_everyone_has_the_role().await;
    let before = club.changes();
    for more in [&[][..], &["--from-chain"]] {
        let rebuilt = installation.run("rebuild", more).await;
        assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
        // The plan and two subscriptions.
        assert!(
            rebuilt
                .output
                .starts_with("3 plans, subscriptions and blocks were folded again; 0 "),
            "{rebuilt:?}"
        );
    }
    assert_eq!(club.changes(), before, "no role has changed");
    // Somebody who joins, links and pays afterwards.
    club.scene.pay().await;
    let user = club.discord.add_user("cleo");
    club.discord.add_member(club.guild, user).unwrap();
    stop(service).await;
    let store = Store::open(&club.installation.store_path()).unwrap();
    store.link(&link(user, payer(3)), 5).unwrap();
    drop(store);
    let service = club.installation.start();
    club.members.push(user);
    club.until_everyone_has_the_role().await;
    assert_eq!(club.changes(), before + 1);
    stop(service).await;
    assert_eq!(club.discord.violations(), []);
}

#[tokio::test]
async fn without_a_service_the_store_is_rebuilt_in_place_also_from_the_chain() {
    let club = Club::new().await;
    let installation = &club.installation;
    let read = installation.run("index", &[]).await;
    assert_eq!(read.code, Some(0), "{read:?}");
    let content = || {
        let store = Store::open(&installation.store_path()).unwrap();
        let mut all = Vec::new();
        store
            .for_each_subscription(|module, id, state| all.push((module, id, state)))
            .unwrap();
        (all, store.cursor().unwrap())
    };
    let before = content();
    assert_eq!(before.0.len(), 2);
    for more in [&["--from-chain"][..], &[]] {
        let rebuilt = installation.run("rebuild", more).await;
        assert_eq!(rebuilt.code, Some(0), "{rebuilt:?}");
        assert!(rebuilt.output.contains("; 0 were not"), "{rebuilt:?}");
        assert_eq!(content(), before);
    }
}
