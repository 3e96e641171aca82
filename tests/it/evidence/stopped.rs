//! What the brake stopped waits for a person, whatever happens to the service meanwhile.

use std::time::{Duration, SystemTime};

use amser_roles::domain::{GateId, RoleAction};

use crate::support::stage::{Stage, wait};

#[tokio::test]
async fn a_stop_outlives_a_restart_as_it_was() {
    outlives_a_restart(|stage| async move {
        assert!(stage.store.remove_gate(GateId(1)).unwrap());
        stage
    })
    .await;
}

#[tokio::test]
async fn a_stop_of_what_the_contracts_are_asked_about_outlives_a_restart_too() {
    outlives_a_restart(|stage| async move {
        stage.chain.advance_time(3_600 + 601).await.unwrap();
        stage
    })
    .await;
}

/// Members are to lose the role in bulk by this.
async fn outlives_a_restart<F: Future<Output = Stage>>(end: impl FnOnce(Stage) -> F) {
    let stage = Stage::open().await;
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(stage.subscriber(&format!("member {number}")).await.0);
    }
    let mut stage = end(stage).await;
    wait("the removals are stopped", || {
        !stage.store.stopped().unwrap().is_empty()
    })
    .await;
    let stopped = stage.store.stopped().unwrap();
    let role = (stage.guild, stage.role);
    assert_eq!(stopped.keys().copied().collect::<Vec<_>>(), [role]);
    stage.stop().await;
    // A stop that began again would be seen by its second.
    let since = Duration::from_secs(stopped[&role].0);
    let age = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap().saturating_sub(since)
    };
    wait("another second has begun", || {
        age() >= Duration::from_secs(2)
    })
    .await;
    stage.start();
    stage.barrier().await;
    assert_eq!(stage.store.stopped().unwrap(), stopped);
    for person in people {
        assert!(stage.has_role(person));
        let entries = stage.journal(person);
        let revoked = entries
            .iter()
            .any(|one| one.change.action == RoleAction::Revoke);
        assert!(!revoked);
    }
}
