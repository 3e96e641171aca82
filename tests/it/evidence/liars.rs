//! Nodes that lie to the whole service: nobody loses a role by it, and it is said once.

use std::time::Duration;

use alloy::primitives::U256;
use amser_roles::domain::{Act, RoleAction};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};

use super::{Warnings, public_chain};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::stage::{Person, Setting, Stage, wait};

/// Enough for the brake; which has no part in this, since a removal that is not confirmed is not counted.
const MEMBERS: usize = 8;

/// A service behind these proxies, with members who have paid.
struct Story {
    stage: Stage,
    people: Vec<(Person, U256)>,
    warnings: Warnings,
}

impl Story {
    async fn new(chain: LocalChain, proxies: &[&RpcProxy]) -> Self {
        let warnings = Warnings::listen();
        let setting = Setting {
            rpc_urls: proxies.iter().map(|proxy| proxy.http_url()).collect(),
            ..Setting::default()
        };
        let mut stage = Stage::build(chain, setting).await;
        stage.start();
        let mut people = Vec::new();
        for number in 0..MEMBERS {
            people.push(stage.subscriber(&format!("member {number}")).await);
        }
        Self {
            stage,
            people,
            warnings,
        }
    }

    /// Waits until this was logged.
    async fn until_said(&self, words: &str) {
        wait("it was said", || !self.warnings.with(words).is_empty()).await;
    }

    /// Nobody lost the role at any time, and this was said once.
    fn assert_nobody_lost_it(&self, words: &str) {
        for (person, _) in &self.people {
            assert!(self.stage.has_role(*person));
            let entries = self.stage.journal(*person);
            let revoked = |entry: &&amser_roles::domain::JournalEntry| {
                entry.change.action == RoleAction::Revoke
            };
            assert_eq!(entries.iter().find(revoked), None);
        }
        let said = self.warnings.with(words);
        assert_eq!(said.len(), 1, "{said:?}");
    }

    /// The server's log channel was told once.
    fn assert_told_once(&self) {
        let stage = &self.stage;
        let acts = stage.store.acts(stage.guild, usize::MAX).unwrap();
        let told = acts.iter().filter(|one| matches!(one.act, Act::Drift(_)));
        assert_eq!(told.count(), 1, "{acts:?}");
    }

    /// Everyone pays again, unseen by this node, and by the events that it told their time is over.
    async fn pay_unseen(&self, hiding: &RpcProxy) {
        let chain = &self.stage.chain;
        let next = chain.head().await.unwrap().number + 1;
        hiding.set(|faults| faults.hidden = Some((next, u64::MAX)));
        for (_, id) in &self.people {
            chain.pay_when_due(self.stage.module, *id).await.unwrap();
        }
        let last = chain.head().await.unwrap().number;
        hiding.set(|faults| faults.hidden = Some((next, last)));
        chain.advance_time(1_000).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_hides_every_payment_for_a_billing_interval_takes_no_role() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let hiding = RpcProxy::start(&chain).await;
    let story = Story::new(chain, &[&hiding]).await;
    story.pay_unseen(&hiding).await;
    let words = "no node tells of a payment";
    story.until_said(words).await;
    story.stage.barrier().await;
    story.assert_nobody_lost_it(words);
    story.assert_told_once();
    // Who really does not pay any more loses it.
    let chain = &story.stage.chain;
    chain.advance_time(3_600).await.unwrap();
    story.stage.barrier().await;
    // Any event of theirs makes them be looked at.
    let (person, id) = story.people[0];
    let touched = chain.update_expiry(story.stage.module, id, u64::MAX);
    touched.await.unwrap();
    story.stage.until_role(person, false).await;
}

#[tokio::test]
async fn whoever_cancelled_once_is_asked_about_like_anybody_else() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let hiding = RpcProxy::start(&chain).await;
    let mut story = Story::new(chain, &[&hiding]).await;
    let stage = &story.stage;
    // One came back to the plan after having cancelled it.
    let (back, cancelled) = story.people[0];
    stage.chain.cancel(stage.module, cancelled).await.unwrap();
    stage.until_role(back, false).await;
    let again = stage.pay(back).await;
    stage.until_role(back, true).await;
    // Another paid with a second wallet later, and cancelled only that.
    let (other, _) = story.people[1];
    let second = wallet("a second wallet").address();
    let second = Person {
        wallet: second,
        ..other
    };
    stage.link(other.user, second.wallet);
    let spare = stage.pay(second).await;
    stage.barrier().await;
    stage.chain.cancel(stage.module, spare).await.unwrap();
    stage.barrier().await;
    story.people[0].1 = again;
    story.pay_unseen(&hiding).await;
    story.until_said("no node tells of a payment").await;
    story.stage.barrier().await;
    for (person, _) in &story.people {
        assert!(story.stage.has_role(*person));
    }
}

#[tokio::test]
async fn a_removal_that_a_node_could_not_confirm_is_asked_about_again_soon() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let proxy = RpcProxy::start(&chain).await;
    let story = Story::new(chain, &[&proxy]).await;
    let stage = &story.stage;
    let (person, id) = story.people[0];
    for (_, other) in &story.people[1..] {
        let chain = &stage.chain;
        chain.pay_when_due(stage.module, *other).await.unwrap();
    }
    proxy.set(|faults| faults.broken = Some(("eth_getCode", u64::MAX)));
    let state = stage.chain.subscription(stage.module, id).await.unwrap();
    let end = state.lastPaidAt + 3_600 + 600;
    stage.chain.advance_to(end + 1).await.unwrap();
    story.until_said("removals wait").await;
    assert!(stage.has_role(person));
    // A manager who has the server checked hears that it waits, rather than that all is well.
    let owner = stage.discord.owner(stage.guild).unwrap();
    let sync = stage
        .discord
        .run_command(stage.guild, owner, "amser sync", &[]);
    let told = sync.await.unwrap().text();
    assert!(told.contains("1 removal waits until"), "{told}");
    proxy.set(|faults| faults.broken = None);
    stage.until_role(person, false).await;
    assert_eq!(story.warnings.with("removals wait").len(), 1);
}

#[tokio::test]
async fn what_one_node_hides_another_one_tells() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let (hiding, whole) = (RpcProxy::start(&chain).await, RpcProxy::start(&chain).await);
    let story = Story::new(chain, &[&hiding, &whole]).await;
    story.pay_unseen(&hiding).await;
    let words = "left events out";
    story.until_said(words).await;
    story.stage.barrier().await;
    story.assert_nobody_lost_it(words);
    story.assert_told_once();
    let (module, id) = (story.stage.module, story.people[0].1);
    let state = story.stage.chain.subscription(module, id).await.unwrap();
    let stored = story.stage.store.subscription(
        amser_roles::domain::ModuleAddress(module),
        amser_roles::domain::SubscriptionId(id),
    );
    let paid_at = stored.unwrap().unwrap().last_paid_at;
    assert_eq!(paid_at.map(|at| at.0), Some(state.lastPaidAt));
}

#[tokio::test]
async fn a_node_whose_clock_is_hours_ahead_takes_no_role() {
    let chain = public_chain().await;
    let proxy = RpcProxy::start(&chain).await;
    let story = Story::new(chain, &[&proxy]).await;
    story.stage.chain.advance_time(2 * 3_600).await.unwrap();
    let words = "ahead of this machine's clock";
    story.until_said(words).await;
    // It is tried again and again.
    let tries = proxy.calls_of("eth_chainId") + 2;
    wait("the node was tried again", || {
        proxy.calls_of("eth_chainId") >= tries
    })
    .await;
    story.assert_nobody_lost_it(words);
}

#[tokio::test]
async fn a_forked_second_node_takes_no_role() {
    let chain = public_chain().await;
    let (honest, other) = (RpcProxy::start(&chain).await, RpcProxy::start(&chain).await);
    // A staging node's fork from before anybody paid, higher than the chain; what came after is final.
    let fork = chain
        .fork(chain.head().await.unwrap().number)
        .await
        .unwrap();
    let finalized = chain.mine(5).await.unwrap().number;
    honest.set(|faults| faults.finalized = Some(finalized));
    let story = Story::new(chain, &[&honest, &other]).await;
    fork.mine(300).await.unwrap();
    other.point_at(&fork);
    story.stage.barrier().await;
    honest.set(|faults| faults.dead = true);
    let words = "as it was finalized";
    story.until_said(words).await;
    let tries = other.calls_of("eth_chainId") + 1;
    wait("the node was tried again", || {
        other.calls_of("eth_chainId") >= tries
    })
    .await;
    story.assert_nobody_lost_it(words);
    honest.set(|faults| faults.dead = false);
    tokio::time::timeout(Duration::from_secs(60), story.stage.barrier())
        .await
        .expect("the honest node is followed again");
    story.assert_nobody_lost_it(words);
}
