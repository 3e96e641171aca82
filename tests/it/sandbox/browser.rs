//! The guided ways in a real headless Chromium, followed by what the page itself offers (`tests/browser/sandbox.mjs`). Each
//! state that is looked at is judged by axe-core, in light and dark, at 360 px and at 1440 px.
//!
//! `AMSER_ROLES_TEST_SHOTS=FOLDER` keeps screenshots of all that.

use amser_roles::domain::Wallet;
use amser_roles::sandbox::world::Pace;
use serde_json::{Value, json};

use super::Play;
use crate::browser::{Kind, run};
use crate::support::stage::wait;

async fn scene(play: &Play, scene: &str) -> Value {
    let asked = json!({
        "browser": Kind::Chromium.find(),
        "scene": scene,
        "sandbox": play.world.discord.base_url(),
        "rpc": play.world.chain.http_url(),
        "ada": play.world.members[0],
        "club": play.world.club,
        "shots": std::env::var("AMSER_ROLES_TEST_SHOTS").ok(),
    });
    let own = [
        play.world.public_url().as_str(),
        &play.world.discord.base_url(),
    ];
    run("sandbox.mjs", asked, &own, None).await
}

#[tokio::test]
async fn a_member_lives_a_whole_life_by_the_steps_that_the_page_offers() {
    let play = Play::at(Pace::EveryTwoSeconds).await;
    let seen = scene(&play, "member").await;
    let given = seen["given"].as_str().unwrap();
    assert!(
        given.contains("The bot gave ada the role Subscriber"),
        "{given}"
    );
    let receipt = seen["receipt"].as_str().unwrap();
    assert!(
        !receipt.contains("**") && !receipt.contains("<t:"),
        "{receipt}"
    );
    let wallets = play.world.store.wallets_of(play.world.members[0]).unwrap();
    let sandbox = play.world.wallet(play.world.members[0]).address();
    assert_eq!(wallets, [Wallet(sandbox)], "it signed on the wallet page");
    play.end().await;
}

#[tokio::test]
async fn a_merchant_comes_from_the_first_page_to_a_role_that_is_given_in_eight_clicks() {
    let play = Play::at(Pace::EveryTwoSeconds).await;
    let seen = scene(&play, "merchant").await;
    assert!(seen["clicks"].as_u64().unwrap() <= 8, "{seen}");
    // Two minutes on a machine that is not busy.
    assert!(seen["milliseconds"].as_u64().unwrap() <= 600_000, "{seen}");
    assert!(play.world.discord.bot_role(play.world.club).is_some());
    play.end().await;
}

#[tokio::test]
async fn commands_are_chosen_with_their_options_and_the_focus_is_not_lost() {
    let play = Play::at(Pace::EveryTwoSeconds).await;
    let seen = scene(&play, "hands").await;
    assert!(
        seen["why"].as_str().unwrap().contains("Subscriber"),
        "{seen}"
    );
    assert_ne!(seen["focus"], "body", "{seen}");
    assert_eq!(seen["kept"], "why", "what was chosen stays");
    play.end().await;
}

#[tokio::test]
async fn who_pays_before_linking_sees_the_payment_come_and_links_the_wallet_that_paid() {
    let play = Play::start().await;
    let seen = scene(&play, "paidFirst").await;
    let first = seen["first"].as_str().unwrap();
    assert!(first.contains("was seen: 0 of 2 confirmations"), "{first}");
    assert!(first.contains("Link that wallet here"), "{first}");
    play.role(play.world.members[0], true).await;
    play.end().await;
}

#[tokio::test]
async fn who_links_before_paying_comes_back_to_confirmations_and_then_to_the_role() {
    let play = Play::start().await;
    let seen = scene(&play, "linkedFirst").await;
    assert_eq!(seen["paid"], "Your payment is confirmed.", "{seen}");
    let outcome = seen["outcome"].as_str().unwrap();
    assert!(outcome.contains("You hold this role now"), "{seen}");
    let again = seen["withoutScript"].as_str().unwrap();
    assert!(again.contains("Subscriber"), "{seen}");
    play.end().await;
}

#[tokio::test]
async fn the_whole_story_is_seen_at_each_step_in_the_status_the_journal_the_log_and_why() {
    let play = Play::start().await;
    let seen = scene(&play, "seed").await;
    let (world, ada) = (&play.world, play.world.members[0]);
    let log = || {
        let channel = world.discord.channel(world.club).unwrap();
        let messages = world.discord.messages(channel).into_iter();
        let text: Vec<_> = messages.map(|one| one.content).collect();
        let text = text.join("\n");
        let verb = |line: &str| {
            let after = line.split_once(&format!("<@{ada}> "))?.1;
            Some(after.split(' ').next()?.to_owned())
        };
        text.lines().filter_map(verb).collect::<Vec<_>>()
    };
    wait("the log channel has each step", || {
        log() == ["got", "lost", "got", "lost"]
    })
    .await;
    let steps = seen["seen"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| &step["name"]).collect();
    assert_eq!(names, ["verified", "failed", "paid", "lapsed"], "{seen}");
    let why = |step: usize| steps[step]["why"].as_str().unwrap();
    assert!(why(1).contains("payment failed"), "{seen}");
    assert!(why(3).contains("ended"), "{seen}");
    assert_ne!(steps[0]["block"], steps[1]["block"], "an event");
    assert_eq!(steps[2]["block"], steps[3]["block"], "none: it lapsed");
    play.end().await;
}

#[tokio::test]
async fn the_merchant_sets_a_role_up_in_the_form_that_the_bot_shows() {
    let play = Play::start().await;
    play.show_merchant_wallet();
    let store = &play.world.store;
    let (discord, guild) = (&play.world.discord, play.world.guild);
    let silver = discord.add_role(guild, "Silver").unwrap();
    let bot = discord.bot_role(guild).unwrap();
    let order = [play.world.role, silver, bot];
    discord.set_role_order(guild, &order).unwrap();
    let before = store.gates().unwrap().len();
    scene(&play, "form").await;
    assert_eq!(store.gates().unwrap().len(), before + 1);
    play.end().await;
}
