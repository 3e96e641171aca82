//! What the API's word does while the chain is away, and what the chain makes of it afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use alloy::primitives::Address;
use amser_roles::domain::{
    Act, ActiveQuestion, Cause, CheckRow, Checked, ModuleAddress, PlanId, RoleAction, Timestamp,
    Wallet,
};
use amser_roles::sandbox::amser_api::{Behaviour, LocalApi};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use amser_roles::sandbox::discord::{Fault, Route, Times};

use super::{is_fallback, soon};
use crate::support::rpc_proxy::{Faults, RpcProxy};
use crate::support::stage::{Person, Setting, Stage, wait};

/// A stage behind a node and an API.
struct Story {
    stage: Stage,
    proxy: RpcProxy,
    api: LocalApi,
}

impl Story {
    async fn honest() -> Self {
        let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
        let proxy = RpcProxy::start(&chain).await;
        let api = LocalApi::of_chain(&chain).await.unwrap();
        let setting = Setting {
            rpc_urls: vec![proxy.ws_url()],
            api_url: Some(api.base_url().to_owned()),
            timing: Some(soon()),
            ..Setting::default()
        };
        let mut stage = Stage::build(chain, setting).await;
        stage.start();
        Self { stage, proxy, api }
    }

    /// The chain goes away, and the API is listened to.
    async fn lose_chain(&self) {
        self.proxy.set(|faults| faults.dead = true);
        self.proxy.cut_websockets();
        let is_on = || is_fallback(&self.stage.store, self.stage.guild);
        wait("the API is listened to", is_on).await;
    }

    async fn find_chain(&self) {
        self.proxy.set(|faults| *faults = Faults::default());
        let is_over = || !is_fallback(&self.stage.store, self.stage.guild);
        wait("the chain decides again", is_over).await;
    }

    fn cause(&self, person: Person) -> Option<Cause> {
        let (guild, role) = (self.stage.guild, self.stage.role);
        let applied = self.stage.store.applied(guild, person.user, role);
        applied.unwrap().map(|applied| applied.cause)
    }

    /// The API had said so at that moment, when the chain knew of no access.
    fn remember(&self, person: Person, at: Timestamp, api_active: bool) {
        let question = ActiveQuestion {
            module: ModuleAddress(self.stage.module),
            wallet: Wallet(person.wallet),
            plan: PlanId(self.stage.plan),
        };
        let said = CheckRow {
            api: Some(Checked {
                at,
                api_active,
                chain_active: false,
            }),
            contract_at: None,
        };
        let store = &self.stage.store;
        store.save_checks(&[(question, said)], &[]).unwrap();
    }

    /// Waits until the API has answered about this wallet so often.
    async fn until_answered(&self, wallet: Address, times: usize) {
        let is_it = |question: &ActiveQuestion| question.wallet.0 == wallet;
        let answered = || {
            let requests = self.api.requests();
            let done = requests
                .iter()
                .filter(|one| one.status == 200 || one.status == 304);
            done.filter(|one| is_it(&one.question)).count() >= times
        };
        wait("the API has answered", answered).await;
    }
}

#[tokio::test]
async fn who_pays_while_the_chain_is_away_gets_the_role_on_the_apis_word_and_the_chain_confirms_it()
{
    let story = Story::honest().await;
    let ada = story.stage.join("ada").await;
    story.stage.barrier().await;
    story.lose_chain().await;
    story.stage.pay(ada).await;
    story.stage.until_role(ada, true).await;
    let entry = story.stage.until_journaled(ada, RoleAction::Grant).await;
    assert!(
        matches!(entry.change.cause, Cause::ApiSays { .. }),
        "{entry:?}"
    );
    story.find_chain().await;
    let is_confirmed = || matches!(story.cause(ada), Some(Cause::Paid { .. }));
    wait("the chain confirms it", is_confirmed).await;
    assert!(story.stage.has_role(ada));
    assert_eq!(story.stage.journal(ada).len(), 1, "nothing was changed");
}

#[tokio::test]
async fn what_the_api_had_said_before_counts_once_it_is_said_again_while_the_chain_is_away() {
    let mut story = Story::honest().await;
    let ada = story.stage.join("ada").await;
    story.api.set(Behaviour::Allows);
    story.stage.barrier().await;
    story.stage.stop().await;
    story.remember(ada, Timestamp(1), true);
    story.stage.start();
    story.stage.barrier_without_a_block().await;
    assert!(!story.stage.has_role(ada), "the chain decides");
    story.lose_chain().await;
    story.stage.until_role(ada, true).await;
}

#[tokio::test]
async fn an_api_that_allows_everyone_gives_nothing_that_lasts_and_opens_nothing_that_an_event_shut()
{
    let story = Story::honest().await;
    let stranger = story.stage.join("the stranger").await;
    let (failed, id) = story.stage.subscriber("failed").await;
    let chain = &story.stage.chain;
    chain.fail_when_due(story.stage.module, id).await.unwrap();
    story.stage.until_role(failed, false).await;
    story.api.set(Behaviour::Allows);
    story.lose_chain().await;
    story.stage.until_role(stranger, true).await;
    let asked = story.api.requests().len();
    let wallets = || -> BTreeSet<_> {
        let requests = story.api.requests().into_iter().skip(asked);
        requests.map(|one| one.question.wallet.0).collect()
    };
    wait("all were asked about", || {
        wallets().contains(&failed.wallet)
    })
    .await;
    assert!(!story.stage.has_role(failed));
    story.find_chain().await;
    story.stage.until_role(stranger, false).await;
    let entry = story
        .stage
        .until_journaled(stranger, RoleAction::Revoke)
        .await;
    assert_eq!(entry.change.cause, Cause::ApiUnconfirmed);
    story.stage.barrier().await;
    assert!(!story.stage.has_role(failed));
}

#[tokio::test]
async fn a_start_while_the_chain_is_away_gives_roles_on_the_apis_word_alone_and_takes_none() {
    let mut story = Story::honest().await;
    let (ada, _) = story.stage.subscriber("ada").await;
    let grace = story.stage.newcomer("grace");
    story.stage.pay(grace).await;
    story.stage.barrier().await;
    story.lose_chain().await;
    story.stage.stop().await;
    // Grace's payment is stored, and by now nobody knows whether it still counts.
    story.stage.link(grace.user, grace.wallet);
    story.stage.start();
    story.stage.until_role(grace, true).await;
    let entry = story.stage.until_journaled(grace, RoleAction::Grant).await;
    assert!(
        matches!(entry.change.cause, Cause::ApiSays { .. }),
        "{entry:?}"
    );
    story.find_chain().await;
    let is_confirmed = || matches!(story.cause(grace), Some(Cause::Paid { .. }));
    wait("the chain confirms it", is_confirmed).await;
    let acts = story.stage.store.acts(story.stage.guild, usize::MAX);
    let acts: Vec<_> = acts.unwrap().into_iter().map(|entry| entry.act).collect();
    assert_eq!(acts, [Act::FallbackEnded, Act::FallbackBegan]);
    for person in [ada, grace] {
        assert!(story.stage.has_role(person));
        assert_eq!(story.stage.journal(person).len(), 1);
    }
}

#[tokio::test]
async fn a_grant_that_the_last_run_left_open_is_made_on_the_apis_word() {
    let mut story = Story::honest().await;
    let grant = Some(Route::AddMemberRole);
    let local = &story.stage.discord;
    local.inject(grant, Fault::ServerError(503), Times::UntilCleared);
    let ada = story.stage.join("ada").await;
    story.stage.pay(ada).await;
    wait("it is decided", || story.cause(ada).is_some()).await;
    story.lose_chain().await;
    story.stage.stop().await;
    assert!(!story.stage.has_role(ada));
    story.stage.discord.clear_faults(None);
    story.stage.start();
    story.stage.until_role(ada, true).await;
}

#[tokio::test]
async fn only_what_both_sources_had_agreed_on_is_taken_while_the_chain_is_away() {
    let mut story = Story::honest().await;
    story.api.set(Behaviour::Down);
    let (ada, id) = story.stage.subscriber("ada").await;
    let (grace, later) = story.stage.subscriber("grace").await;
    // No node says whether access is really over, so both keep the role for now.
    let refusal = (-32_000, "out of order");
    story.proxy.set(|faults| faults.call_error = Some(refusal));
    let chain = &story.stage.chain;
    chain.let_lapse(story.stage.module, id).await.unwrap();
    chain.let_lapse(story.stage.module, later).await.unwrap();
    story.stage.barrier_without_a_block().await;
    story.stage.stop().await;
    // Of ada the API had said so, too.
    story.remember(ada, Timestamp(1), false);
    story.stage.start();
    story.stage.barrier_without_a_block().await;
    assert!(story.stage.has_role(ada) && story.stage.has_role(grace));
    story.lose_chain().await;
    story.stage.until_role(ada, false).await;
    let entry = story.stage.until_journaled(ada, RoleAction::Revoke).await;
    assert!(
        matches!(entry.change.cause, Cause::ExpiredAt { .. }),
        "{entry:?}"
    );
    assert!(story.stage.has_role(grace));
    story.find_chain().await;
    story.stage.until_role(grace, false).await;
}

#[tokio::test]
async fn a_chain_that_is_away_for_a_moment_is_waited_for() {
    let mut story = Story::honest().await;
    story.stage.setting.timing = Some(amser_roles::app::Timing {
        fallback_after: Duration::from_secs(3_600),
        ..amser_roles::app::Timing::default()
    });
    story.stage.stop().await;
    story.api.set(Behaviour::Allows);
    story.stage.start();
    story.stage.barrier().await;
    let stranger = story.stage.join("the stranger").await;
    let ada = story.stage.newcomer("ada");
    story.stage.pay(ada).await;
    story.stage.barrier().await;
    story.proxy.set(|faults| faults.dead = true);
    story.proxy.cut_websockets();
    story.until_answered(stranger.wallet, 1).await;
    // A link is acted upon after what was known before it.
    story.stage.link(ada.user, ada.wallet);
    story.stage.until_role(ada, true).await;
    assert!(!story.stage.has_role(stranger));
    assert!(!is_fallback(&story.stage.store, story.stage.guild));
}
