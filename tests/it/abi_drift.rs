//! Contracts whose ABI is another one than `abi/`: seen while it is not configured, understood when it is. And `abi/` is
//! what the pinned compiler makes of `contracts/`.

use std::process::Command;
use std::sync::Arc;

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolEvent;
use amser_roles::abi::{DriftedModule, Layouts};
use amser_roles::domain::{ModuleAddress, Plan, PlanId, Subscription, SubscriptionId, Wallet};
use amser_roles::sandbox::chain::{ChainOptions, DRIFTED_MODULE_ID, LocalChain, wallet};
use amser_roles::store::Store;

use crate::support::following::{Following, config};
use crate::support::scene::TERMS;

#[test]
fn abi_is_compiled_from_contracts() {
    let output = Command::new("node")
        .args(["anvil/compile.mjs", "--check"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("node runs: it is a prerequisite of `make test`");
    assert!(
        output.status.success(),
        "abi/ and contracts/ differ, or the compiler is not installed (run `make abi`):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A chain with a module of another ABI, its plan and a member who pays.
struct Drifted {
    chain: LocalChain,
    module: Address,
    plan: U256,
    member: Address,
    subscription: U256,
}

impl Drifted {
    async fn paid() -> Self {
        let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
        let merchant = wallet("merchant").address();
        let module = chain.deploy_module_kind(merchant, DRIFTED_MODULE_ID);
        let module = module.await.unwrap();
        let plan = chain.create_plan(module, TERMS).await.unwrap();
        let member = wallet("member").address();
        chain.fund(member, 1_000).await.unwrap();
        let subscription = chain.subscribe(module, member, plan).await.unwrap();
        assert_eq!(chain.execute(module, subscription).await.unwrap().reason, 0);
        Self {
            chain,
            module,
            plan,
            member,
            subscription,
        }
    }

    /// Follows up to the tip with these layouts, from this block on.
    async fn follow(&self, layouts: Arc<Layouts>, start_block: Option<u64>) -> Following {
        let mut config = config(&self.chain, &[self.chain.http_url()], 0);
        (config.layouts, config.start_block) = (layouts, start_block);
        let mut following = Following::start(config, Store::in_memory().unwrap(), [self.module]);
        following.until_at_tip(&self.chain, 0).await;
        following
    }

    fn subscription(&self, following: &Following) -> Option<Subscription> {
        let (module, id) = (
            ModuleAddress(self.module),
            SubscriptionId(self.subscription),
        );
        following.store.subscription(module, id).unwrap()
    }

    fn plan(&self, following: &Following) -> Option<Plan> {
        let module = ModuleAddress(self.module);
        following.store.plan(module, PlanId(self.plan)).unwrap()
    }

    fn terms(&self) -> Plan {
        Plan {
            token: self.chain.token,
            price: U256::from(TERMS.price),
            interval: TERMS.interval,
            grace_period: TERMS.grace_period,
            active: true,
        }
    }
}

fn configured() -> Arc<Layouts> {
    let file = "abi/DriftedModule.json";
    let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    Layouts::with(&[(file.to_owned(), text)]).unwrap()
}

#[tokio::test]
async fn without_its_file_a_module_of_another_abi_is_counted_as_unknown_and_named() {
    let story = Drifted::paid().await;
    let pause = story.chain.pause(story.module, story.subscription);
    pause.await.unwrap();
    let following = story.follow(Layouts::built_in(), None).await;
    let unknown = following.store.unknown_logs().unwrap();
    let count = |topic| {
        let mut logs = unknown.iter().filter(|logs| logs.topic == topic);
        logs.next().map(|logs| (logs.address, logs.count))
    };
    for topic in [
        DriftedModule::PlanCreated::SIGNATURE_HASH,
        DriftedModule::SubscriptionCreated::SIGNATURE_HASH,
        DriftedModule::SubscriptionPaused::SIGNATURE_HASH,
    ] {
        assert_eq!(count(topic), Some((story.module, 1)));
        assert!(configured().name_of(&topic).is_some());
        let told = Layouts::built_in().explain(&topic);
        assert!(told.contains("chain.abi"), "{told}");
    }
    let paused = DriftedModule::SubscriptionPaused::SIGNATURE_HASH;
    let layouts = Layouts::built_in();
    assert_eq!(layouts.name_of(&paused), Some("SubscriptionPaused(uint64)"));
    let known = story.subscription(&following);
    assert_eq!(known.and_then(|known| known.subscriber), None);
}

#[tokio::test]
async fn with_its_file_a_subscriber_of_a_module_of_another_abi_pays_and_is_active() {
    let story = Drifted::paid().await;
    let mut following = story.follow(configured(), None).await;
    assert_eq!(following.store.unknown_logs().unwrap(), []);
    assert_eq!(story.plan(&following), Some(story.terms()));
    let paid = story.subscription(&following).unwrap();
    let (member, plan) = (Wallet(story.member), PlanId(story.plan));
    assert_eq!(paid.subscriber, Some((member, plan)));
    assert!(paid.last_paid_at.is_some() && paid.paused.is_none());

    let (chain, module) = (&story.chain, story.module);
    chain.pause(module, story.subscription).await.unwrap();
    chain.block_subscriber(module, story.member).await.unwrap();
    chain
        .set_plan_active(module, story.plan, false)
        .await
        .unwrap();
    let processor = chain.migrate_processor(module).await.unwrap();
    following.until_at_tip(chain, 0).await;
    let paused = story.subscription(&following).unwrap();
    assert!(paused.paused.is_some());
    let blocked = following.store.blocked(ModuleAddress(module), member);
    assert!(blocked.unwrap().is_some());
    assert!(!story.plan(&following).unwrap().active);
    let record = following.store.modules().unwrap()[&ModuleAddress(module)].clone();
    assert_eq!(
        record.processor_updates.last().map(|update| update.1),
        Some(processor)
    );
}

#[tokio::test]
async fn an_older_plan_is_read_by_the_shape_of_its_own_module_and_by_no_other() {
    let story = Drifted::paid().await;
    let start_block = story.chain.head().await.unwrap().number - 1;
    let following = story.follow(configured(), Some(start_block)).await;
    assert_eq!(story.plan(&following), Some(story.terms()));
    let following = story.follow(Layouts::built_in(), Some(start_block)).await;
    assert_eq!(story.plan(&following), None);
}
