//! What does not change costs nothing: requests are counted.

use alloy::primitives::{Address, keccak256};
use amser_roles::domain::{Applied, GateMatch, Link, Timestamp, Wallet};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};

use crate::support::stage::{Setting, Stage, wait};

#[tokio::test]
async fn an_unchanged_member_costs_no_request() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    stage
        .until_journaled(ada, amser_roles::domain::RoleAction::Grant)
        .await;
    let requests = |stage: &Stage| stage.role_requests();
    stage.barrier().await;
    let before = requests(&stage);
    // A renewal changes the subscription and nobody's role.
    stage.chain.pay_when_due(stage.module, id).await.unwrap();
    stage.chain.mine(20).await.unwrap();
    stage.barrier().await;
    assert_eq!(
        requests(&stage) - before,
        2,
        "the barrier's own grant and revoke"
    );
}

#[tokio::test]
async fn a_hundred_changes_among_many_members_cost_a_hundred_requests() {
    const MEMBERS: u64 = 2_000;
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let mut stage = Stage::build(chain, Setting::default()).await;
    let users = stage.discord.add_members(stage.guild, MEMBERS).unwrap();
    let wallets: Vec<_> = (0..MEMBERS)
        .map(|number| Address::from_word(keccak256(number.to_be_bytes())))
        .collect();
    for (user, wallet) in users.iter().zip(&wallets) {
        let link = Link {
            user: *user,
            wallet: Wallet(*wallet),
            linked_at: Timestamp(0),
            proof: None,
        };
        stage.store.link(&link, 5).unwrap();
    }
    let mut subscriptions = Vec::new();
    for wallet in wallets.iter().take(100) {
        stage.chain.fund(*wallet, 1_000).await.unwrap();
        let id = stage
            .chain
            .subscribe(stage.module, *wallet, stage.plan)
            .await
            .unwrap();
        subscriptions.push((stage.module, id));
    }
    stage.start();
    stage.barrier().await;
    let before = stage.role_requests();
    stage.chain.execute_batch(&subscriptions).await.unwrap();
    let (guild, role) = (stage.guild, stage.role);
    let all_granted = move |discord: &amser_roles::sandbox::discord::LocalDiscord| {
        discord.members_with(guild, role).len() == 100
    };
    let deadline = crate::support::stage::DEADLINE;
    stage
        .discord
        .wait_until("all are granted", deadline, all_granted)
        .await
        .unwrap();
    stage.barrier().await;
    assert_eq!(
        stage.role_requests() - before,
        102,
        "the barrier's two included"
    );
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_restart_costs_no_role_request() {
    let mut stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    stage.barrier().await;
    // What was not acknowledged would be sent again.
    let settled = || {
        let mut outstanding = 0;
        let count =
            |applied: Applied| outstanding += usize::from(applied.state.outstanding().is_some());
        stage.store.for_each_applied(count).unwrap();
        outstanding == 0
    };
    wait("everything is acknowledged", settled).await;
    stage.stop().await;
    let before = stage.role_requests();
    stage.start();
    stage.barrier().await;
    assert_eq!(stage.role_requests() - before, 2, "the barrier's own");
    assert!(stage.has_role(ada));
    let unused = stage.gate(
        stage.guild,
        stage.module,
        &[stage.plan],
        GateMatch::Any,
        &[stage.role],
    );
    stage.barrier().await;
    assert!(stage.store.remove_gate(unused).unwrap());
    stage.barrier().await;
    assert_eq!(
        stage.role_requests() - before,
        6,
        "a second gate to the same role changes nothing"
    );
}
