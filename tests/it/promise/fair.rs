//! Many servers with long queues: a change waits for its own server's, and for its turn among the others.

use amser_roles::domain::GateMatch;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use amser_roles::sandbox::discord::{LocalDiscord, RateLimits, Route};

use crate::support::stage::{DEADLINE, Person, Setting, Stage, new_guild};

const SERVERS: u64 = 60;
/// In each of them, all with a role to get.
const MEMBERS: u64 = 40;

/// How many of the grants may be sent before somebody who is alone in a server has got theirs.
const MOST_BEFORE: u64 = SERVERS * MEMBERS / 2;

/// A server in which this person alone has something to get.
fn server_of(stage: &Stage, person: Person) -> impl Fn(&LocalDiscord) -> bool + use<> {
    let (guild, roles) = new_guild(&stage.discord, "Small", &["Subscriber"]);
    stage.discord.add_member(guild, person.user).unwrap();
    stage.gate(guild, stage.module, &[stage.plan], GateMatch::Any, &roles);
    move |discord| discord.has_role(guild, person.user, roles[0])
}

#[tokio::test]
async fn nobody_with_one_change_waits_behind_the_long_queues_of_other_servers() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let mut stage = Stage::build(chain, Setting::default()).await;
    let mut people = Vec::new();
    for number in 0..MEMBERS {
        let person = stage.join(&format!("member {number}")).await;
        stage.pay(person).await;
        people.push(person);
    }
    for number in 0..SERVERS {
        let name = format!("Large {number}");
        let (guild, roles) = new_guild(&stage.discord, &name, &["Subscriber"]);
        for person in &people {
            stage.discord.add_member(guild, person.user).unwrap();
        }
        stage.gate(guild, stage.module, &[stage.plan], GateMatch::Any, &roles);
    }
    let (early, late) = (stage.join("early").await, stage.join("late").await);
    stage.pay(early).await;
    let (early_has_it, late_has_it) = (server_of(&stage, early), server_of(&stage, late));
    stage.discord.set_rate_limits(RateLimits::realistic());
    stage.start();
    let waited = stage.discord.wait_until("early", DEADLINE, early_has_it);
    waited.await.unwrap();
    assert!(stage.role_requests() < MOST_BEFORE);
    let is_busy = |discord: &LocalDiscord| discord.count(Route::AddMemberRole) > 2 * SERVERS;
    let busy = stage.discord.wait_until("busy", DEADLINE, is_busy);
    busy.await.unwrap();
    stage.pay(late).await;
    let waited = stage.discord.wait_until("late", DEADLINE, late_has_it);
    waited.await.unwrap();
    let sent = stage.role_requests();
    assert!(sent < MOST_BEFORE, "{sent} others came first");
    stage.assert_no_violations();
}
