//! kill -9: what people were told before is not told again, and nothing is left out.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy::primitives::U256;
use amser_roles::domain::{
    Gate, GateId, GateMatch, GateOrigin, Link, ModuleAddress, Outcome, PlanId, RoleAction,
    ServerSettings, Timestamp, UserId, Wallet,
};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};
use amser_roles::sandbox::discord::{LocalDiscord, Route};
use amser_roles::store::Store;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{channel, lines, told};
use crate::support::installation::Installation;
use crate::support::knob;
use crate::support::scene::{new_module, patient};
use crate::support::stage::{DEADLINE, Setting, new_guild, wait};

/// How many kills to play.
fn kills() -> u64 {
    knob("NOTICE_KILLS", 6)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_every_change_is_told_once() {
    let mut dice = StdRng::seed_from_u64(5);
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let (module, plan) = new_module(&chain, "merchant").await;
    let discord = LocalDiscord::start(patient()).await.unwrap();
    let (guild, roles) = new_guild(&discord, "Club", &["Gold"]);
    let log = channel(&discord, guild);
    let setting = Setting {
        policy: "max_revoke_floor = 1000000",
        ..Setting::default()
    };
    let server = format!(
        "[[servers]]\nguild_id = \"{guild}\"\nlog_channel = \"{log}\"\nmember_notices = true\n"
    );
    let installation = Installation::new(&setting, &chain, &discord, &server);
    let mut people: Vec<(UserId, U256)> = Vec::new();
    {
        let store = Store::open(&installation.store_path()).unwrap();
        // Made long ago.
        let gate = Gate {
            id: GateId(1),
            guild,
            module: ModuleAddress(module),
            plans: [PlanId(plan)].into(),
            matching: GateMatch::Any,
            roles: roles.iter().copied().collect(),
            origin: GateOrigin::Dashboard,
        };
        store.put_gate(&gate).unwrap();
        for name in ["ada", "bob", "eve"] {
            let (user, wallet) = (discord.add_user(name), wallet(name).address());
            discord.add_member(guild, user).unwrap();
            let link = Link {
                user,
                wallet: Wallet(wallet),
                linked_at: Timestamp(0),
                proof: None,
            };
            store.link(&link, 5).unwrap();
            chain.fund(wallet, 1_000).await.unwrap();
            people.push((user, chain.subscribe(module, wallet, plan).await.unwrap()));
        }
    }
    let mut program = installation.start();
    let mut paused = BTreeMap::new();
    for (_, subscription) in &people {
        chain.execute(module, *subscription).await.unwrap();
        paused.insert(*subscription, false);
    }
    let holds = |user| discord.has_role(guild, user, roles[0]);
    for (user, _) in &people {
        wait("the role is given", || holds(*user)).await;
    }
    for _ in 0..kills() {
        let (user, subscription) = people[dice.random_range(0..people.len())];
        let before = discord.count(Route::CreateMessage);
        let was_paused = std::mem::take(paused.get_mut(&subscription).unwrap());
        match was_paused {
            true => chain.resume(module, subscription).await.unwrap(),
            false => chain.pause(module, subscription).await.unwrap(),
        };
        paused.insert(subscription, !was_paused);
        // Where the program is busy with something else, it is killed all the same.
        let one_more = move |discord: &LocalDiscord| discord.count(Route::CreateMessage) > before;
        let most = Duration::from_secs(3);
        let _in_time = discord
            .wait_until("something is told", most, one_more)
            .await;
        tokio::time::sleep(Duration::from_micros(dice.random_range(0..8_000))).await;
        program.kill().await.unwrap();
        program = installation.start();
        wait("the role follows", || holds(user) == was_paused).await;
    }
    // Everything before it is told before it.
    let marker = discord.add_user("marker");
    discord.add_member(guild, marker).unwrap();
    let key = wallet("marker").address();
    program.kill().await.unwrap();
    {
        let store = Store::open(&installation.store_path()).unwrap();
        let link = Link {
            user: marker,
            wallet: Wallet(key),
            linked_at: Timestamp(0),
            proof: None,
        };
        store.link(&link, 5).unwrap();
    }
    chain.fund(key, 1_000).await.unwrap();
    let subscription = chain.subscribe(module, key, plan).await.unwrap();
    let mut program = installation.start();
    chain.execute(module, subscription).await.unwrap();
    let about = format!("<@{marker}> got ");
    let is_told = |discord: &LocalDiscord| {
        let is_logged = lines(discord, log).iter().any(|line| line.contains(&about));
        is_logged && told(discord, marker).len() == 1
    };
    let waited = discord.wait_until("the marker is told", DEADLINE, is_told);
    waited.await.unwrap();
    program.kill().await.unwrap();
    let store = Store::open(&installation.store_path()).unwrap();
    assert_eq!(
        store.settings(guild).unwrap().0,
        ServerSettings {
            log_channel: Some(log),
            member_notices: Some(true),
            ..ServerSettings::default()
        }
    );
    let mut journal = store.journal(usize::MAX).unwrap();
    journal.retain(|entry| entry.outcome == Outcome::Done);
    let all = lines(&discord, log);
    assert_eq!(all.len(), journal.len(), "{all:#?}");
    for (user, _) in people {
        for (action, verb, word) in [
            (RoleAction::Grant, "got", "You got"),
            (RoleAction::Revoke, "lost", "You lost"),
        ] {
            let changes = journal
                .iter()
                .filter(|entry| entry.change.user == user && entry.change.action == action);
            let changes = changes.count();
            let about = format!("<@{user}> {verb} ");
            let logged = all.iter().filter(|line| line.contains(&about)).count();
            assert_eq!(logged, changes, "{all:#?}");
            let messages = told(&discord, user);
            let messages = messages.iter().filter(|text| text.starts_with(word));
            assert_eq!(messages.count(), changes, "to {user}");
        }
    }
    assert_eq!(discord.violations(), []);
}
