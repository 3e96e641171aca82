//! How often the gateway lets a bot begin a session.
use std::time::{Duration, Instant};

use amser_roles::sandbox::discord::Rule;

use super::gateway::{Bot, INTENTS};
use super::{http, start};

#[tokio::test(flavor = "multi_thread")]
async fn who_identifies_twice_in_five_seconds_gets_an_invalid_session_and_may_come_back() {
    let discord = start().await;
    discord.add_guild("Club");
    let left = async || {
        let gateway = http(&discord).get_bot_gateway().await.unwrap();
        gateway.session_start_limit.remaining
    };
    assert_eq!(left().await, 1_000);
    let mut bot = Bot::connect(&discord, INTENTS).await;
    bot.hears("ready").await;
    bot.stop().await;
    let begun = Instant::now();
    let mut bot = Bot::connect(&discord, INTENTS).await;
    bot.hears("ready").await;
    assert!(begun.elapsed() > Duration::from_secs(4));
    assert_eq!(discord.identified(), 2);
    assert_eq!(left().await, 997, "the refused one counts");
    let rules: Vec<_> = discord
        .violations()
        .into_iter()
        .map(|one| one.rule)
        .collect();
    assert_eq!(rules, [Rule::Gateway]);
    bot.stop().await;
}
