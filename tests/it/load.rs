//! Every fault of the node and of Discord, switched on and off again while a random life goes on: the roles come out
//! as the chain says, and nobody who is entitled loses one on the way.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use amser_roles::domain::Gate;
use amser_roles::domain::{GateId, GateMatch, GateOrigin, ModuleAddress, PlanId};
use amser_roles::sandbox::discord::{Fault, Route, Times};
use amser_roles::store::Store;
use rand::Rng;

use crate::support::knob;
use crate::support::life::Life;
use crate::support::rpc_proxy::{Faults, Refusal, RpcProxy};
use crate::support::service::Service;
use crate::support::stage::{Setting, configuration};

/// Something that goes wrong until it is mended.
type Trouble = (&'static str, fn(&Load));

/// A life, and the service that looks at it through a faulty node.
struct Load {
    life: Life,
    proxy: RpcProxy,
}

impl Load {
    fn node(&self, change: impl FnOnce(&mut Faults)) {
        self.proxy.set(change);
    }

    fn discord(&self, route: Option<Route>, fault: Fault, times: Times) {
        self.life.discord.inject(route, fault, times);
    }

    /// Everything works again, and where a person has to repair something, one did.
    fn mend(&self) {
        self.proxy.set(|faults| *faults = Faults::default());
        let discord = &self.life.discord;
        discord.clear_faults(None);
        discord.set_deaf(false);
        let name = "Subscriber";
        discord
            .rename_role(self.life.guild, self.life.role, name)
            .unwrap();
        discord.invalidate_sessions();
    }
}

const OF_THE_NODE: &[Trouble] = &[
    ("a dead node", |load| {
        load.node(|faults| faults.dead = true);
        load.proxy.cut_websockets();
    }),
    ("a cut", |load| load.proxy.cut_websockets()),
    ("status 503", |load| {
        load.node(|faults| faults.status = Some(503))
    }),
    ("another chain id", |load| {
        load.node(|faults| faults.chain_id = Some(9));
        load.proxy.cut_websockets();
    }),
    ("narrow ranges", |load| {
        let refusal = Refusal::new(2, -32005, "block range is too wide");
        load.node(|faults| faults.range_limit = Some(refusal));
        load.proxy.cut_websockets();
    }),
    ("few results", |load| {
        let refusal = Refusal::new(3, -32005, "query returned more than 10000 results");
        load.node(|faults| faults.result_limit = Some(refusal));
        load.proxy.cut_websockets();
    }),
    ("too many requests", |load| {
        load.node(|faults| (faults.too_many, faults.retry_after) = (2, 1));
    }),
    ("no such block", |load| {
        load.node(|faults| faults.nulls = Some(("eth_getBlockByHash", 6)));
    }),
    ("no such number", |load| {
        load.node(|faults| faults.nulls = Some(("eth_getBlockByNumber", 6)));
    }),
    ("logs that are null", |load| {
        load.node(|faults| faults.nulls = Some(("eth_getLogs", 6)));
    }),
    ("a block without its logs", |load| {
        load.node(|faults| (faults.without_logs, faults.full_blooms) = (5, true));
    }),
    ("a lagging node", |load| load.node(|faults| faults.lag = 8)),
    ("a silent websocket", |load| {
        load.node(|faults| faults.silent = true)
    }),
    ("a flaky node", |load| load.node(|faults| faults.flaky = 3)),
];

const OF_DISCORD: &[Trouble] = &[
    ("status 500", |load| {
        load.discord(None, Fault::ServerError(500), Times::UntilCleared);
    }),
    ("a role that cannot be given", |load| {
        load.discord(
            Some(Route::AddMemberRole),
            Fault::ServerError(503),
            Times::UntilCleared,
        );
    }),
    ("a role that cannot be taken", |load| {
        load.discord(
            Some(Route::RemoveMemberRole),
            Fault::ServerError(502),
            Times::UntilCleared,
        );
    }),
    ("a request that hangs", |load| {
        load.discord(Some(Route::AddMemberRole), Fault::Hang, Times::Next(1));
    }),
    ("a reset", |load| {
        load.discord(None, Fault::Reset, Times::Next(3))
    }),
    ("slowness", |load| {
        load.discord(
            None,
            Fault::Slow(Duration::from_millis(150)),
            Times::Next(10),
        );
    }),
    ("a rate limit", |load| {
        load.discord(
            None,
            Fault::RateLimited(Duration::from_millis(400)),
            Times::Next(2),
        );
    }),
    ("the global rate limit", |load| {
        let fault = Fault::GlobalRateLimited(Duration::from_millis(400));
        load.discord(None, fault, Times::Next(1));
    }),
    ("Cloudflare's rate limit", |load| {
        let fault = Fault::CloudflareRateLimited(Duration::from_secs(1));
        load.discord(None, fault, Times::Next(1));
    }),
    ("missing permissions", |load| {
        load.discord(
            Some(Route::AddMemberRole),
            Fault::MISSING_PERMISSIONS,
            Times::UntilCleared,
        );
    }),
    ("an unknown member", |load| {
        load.discord(
            Some(Route::AddMemberRole),
            Fault::UNKNOWN_MEMBER,
            Times::Next(2),
        );
    }),
    ("an unknown role", |load| {
        load.discord(
            Some(Route::RemoveMemberRole),
            Fault::UNKNOWN_ROLE,
            Times::Next(2),
        );
    }),
    ("an unknown server", |load| {
        load.discord(
            Some(Route::AddMemberRole),
            Fault::UNKNOWN_GUILD,
            Times::Next(2),
        );
    }),
    ("a dropped gateway", |load| load.life.discord.drop_gateway()),
    ("a closed gateway", |load| {
        load.life.discord.close_gateway(4000)
    }),
    ("an invalid session", |load| {
        load.life.discord.invalidate_sessions()
    }),
    ("an outage of the server", |load| {
        let discord = &load.life.discord;
        discord.set_unavailable(load.life.guild, true).unwrap();
        discord.set_unavailable(load.life.guild, false).unwrap();
    }),
];

/// How many times each fault is played.
fn rounds() -> usize {
    knob("LOAD_ROUNDS", 1).try_into().unwrap()
}

async fn survives(
    seed: u64,
    confirmations: u64,
    url: fn(&RpcProxy) -> String,
    troubles: &[Trouble],
) {
    let life = Life::new(seed, confirmations).await;
    let proxy = RpcProxy::start(&life.chain).await;
    let mut load = Load { life, proxy };
    let store = Store::in_memory().unwrap();
    store.bind_chain(load.life.chain.chain_id).unwrap();
    store
        .put_gate(&Gate {
            id: GateId(1),
            guild: load.life.guild,
            module: ModuleAddress(load.life.module),
            plans: [PlanId(load.life.plan)].into(),
            matching: GateMatch::Any,
            roles: [load.life.role].into(),
            origin: GateOrigin::Dashboard,
        })
        .unwrap();
    load.life.link_all(&store);
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting {
        // A life in minutes of what else takes months: many expire within the brake's hour.
        policy: "max_revoke_floor = 1000000",
        confirmations,
        rpc_urls: vec![url(&load.proxy)],
        ..Setting::default()
    };
    let path = folder.path().join("load.redb").display().to_string();
    let text = configuration(&setting, &load.life.chain, &load.life.discord, &path);
    let service = Service::start(&text, &load.life.discord, store.clone());
    for _ in 0..30 {
        load.life.step().await;
    }
    load.life.until_at_rest("before anything went wrong").await;
    for (what, trouble) in troubles.iter().cycle().take(troubles.len() * rounds()) {
        for _ in 0..load.life.dice.random_range(0..4) {
            load.life.step().await;
        }
        trouble(&load);
        for _ in 0..load.life.dice.random_range(5..25) {
            load.life.step().await;
            if load.life.dice.random_bool(0.05) {
                load.life.reorganise(8).await;
            }
        }
        load.mend();
        for _ in 0..load.life.dice.random_range(0..4) {
            load.life.step().await;
        }
        load.life.until_at_rest(&format!("after {what}")).await;
    }
    service.stop().await;
    let (grants, revokes) = load.life.check_journal(&store).await;
    println!("{grants} grants and {revokes} revokes journaled, no revoke of an entitled member");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_under_a_failing_node_comes_out_right_over_a_websocket() {
    survives(21, 0, RpcProxy::ws_url, OF_THE_NODE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_under_a_failing_node_comes_out_right_over_http() {
    survives(22, 2, RpcProxy::http_url, OF_THE_NODE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_under_a_failing_discord_comes_out_right() {
    survives(23, 1, RpcProxy::ws_url, OF_DISCORD).await;
}
