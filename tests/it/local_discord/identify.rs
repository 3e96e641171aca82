//! How often the gateway lets a bot begin a session.
use std::time::{Duration, Instant};

use amser_roles::sandbox::discord::Rule;

use super::gateway::{Bot, INTENTS};
use super::{http, start};

/// The least time between two sessions that are let in: half of Discord's five seconds, for busy machines.
const LEAST_GAP: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread")]
async fn who_identifies_twice_in_five_seconds_gets_an_invalid_session_and_may_come_back() {
    for _ in 0..5 {
        if comes_back_too_soon().await {
            return;
        }
    }
    panic!("this machine is too slow to come back too soon");
}

/// Whether the bot came back before its time.
async fn comes_back_too_soon() -> bool {
    let discord = start().await;
    discord.add_guild("Club");
    let left = async || {
        let gateway = http(&discord).get_bot_gateway().await.unwrap();
        gateway.session_start_limit.remaining
    };
    assert_eq!(left().await, 1_000);
    let begun = Instant::now();
    let mut bot = Bot::connect(&discord, INTENTS).await;
    bot.hears("ready").await;
    bot.stop().await;
    let mut bot = Bot::connect(&discord, INTENTS).await;
    bot.hears("ready").await;
    assert!(begun.elapsed() >= LEAST_GAP);
    assert_eq!(discord.identified(), 2);
    let rules: Vec<_> = discord
        .violations()
        .into_iter()
        .map(|one| one.rule)
        .collect();
    assert!(rules.iter().all(|rule| *rule == Rule::Gateway), "{rules:?}");
    let tries = 2 + u64::try_from(rules.len()).unwrap();
    assert_eq!(left().await, 1_000 - tries, "a refused one counts");
    bot.stop().await;
    !rules.is_empty()
}
