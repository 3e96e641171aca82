//! How long a person types until the service is ready: by the package or by compose, as docs/host.md has it, with the sandbox's
//! kind of chain and Discord.
//!
//! Nobody types here. The program's own time is measured, and a slow person's is added to it.

use std::time::{Duration, Instant};

use super::Newcomer;
use crate::docs::blocks;
use crate::support::installation::{PROGRAM, program};
use crate::support::terminal::Terminal;
use crate::support::until_ready;

/// From the first key until it is ready.
const MOST: Duration = Duration::from_secs(120);
/// Between two keys.
const KEY: Duration = Duration::from_millis(333);
/// Reading a question, or what to do next.
const THINKING: Duration = Duration::from_secs(2);
/// Copying something from another window, as the pages say (*Copy Server ID*), and back.
const PASTING: Duration = Duration::from_secs(4);

fn typed(text: &str) -> Duration {
    THINKING + KEY * u32::try_from(text.chars().count() + 1).unwrap()
}

/// What is typed at the machine that is to run the service, until it runs.
fn commands(first: &str) -> Vec<String> {
    let mut blocks = blocks("console").into_iter();
    let block = blocks.find(|block| {
        let is_of_host = block.place.starts_with("docs/host.md");
        is_of_host && block.lines.iter().any(|line| line.starts_with(first))
    });
    let lines = block.expect("docs/host.md has these commands").lines;
    // A comment behind the command.
    let commands = lines
        .iter()
        .map(|line| line.split(" #").next().unwrap().trim());
    let is_reading = |command: &&str| command.contains("journalctl") || command.contains(" logs ");
    let commands: Vec<_> = commands.filter(|command| !is_reading(command)).collect();
    assert!(
        commands.iter().any(|command| command.ends_with(" init")),
        "{commands:?}"
    );
    commands.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn two_minutes_of_typing_lead_to_a_service_that_is_ready() {
    // Other work on this machine can only make the program slower: the best of up to three counts.
    for _ in 0..3 {
        if type_until_ready().await <= MOST {
            return;
        }
    }
    panic!("it always takes longer");
}

/// The time of the longer way.
async fn type_until_ready() -> Duration {
    let newcomer = Newcomer::new().await;
    let options = newcomer.discord.options();
    let config = newcomer.path("config.toml").display().to_string();
    // Nobody adds this but to try it out: Discord's own address is the default.
    let discord = format!(" --discord-api-url {}", newcomer.discord.base_url());
    let mut by_hand = Duration::ZERO;
    let begun = Instant::now();
    let mut terminal = Terminal::run(&format!("{PROGRAM} init --config {config}{discord}"));
    for (question, answer, is_copied) in [
        ("Bot token", options.token, true),
        ("Client secret", options.client_secret, true),
        ("your node", newcomer.scene.chain.ws_url(), true),
        (
            "SubscriptionModule",
            newcomer.scene.module.to_string(),
            true,
        ),
        ("Plans", newcomer.scene.plan.to_string(), false),
        ("Discord server", newcomer.guild.to_string(), true),
        ("the role", newcomer.role.to_string(), true),
        (
            "members reach this service",
            newcomer.public_url.clone(),
            false,
        ),
    ] {
        terminal.answer(question, &answer).await;
        by_hand += match is_copied {
            true => THINKING + PASTING,
            false => typed(&answer),
        };
    }
    let (ended, shown) = terminal.end().await;
    assert!(ended.success() && shown.contains("all is well"), "{shown}");
    let mut service = program();
    let service = service.args(["run", "--config", &config]).spawn().unwrap();
    until_ready(&newcomer.public_url.parse().unwrap()).await;
    let by_program = begun.elapsed();
    drop(service);
    let mut longest = Duration::ZERO;
    for way in ["sudo apt install", "docker compose run"] {
        let commands = commands(way);
        let typing: Duration = commands.iter().map(|command| typed(command)).sum();
        let all = by_hand + typing + typed(&discord) - THINKING + by_program;
        println!(
            "{way}: {} s by hand, {} s in all",
            (all - by_program).as_secs(),
            all.as_secs()
        );
        println!("{commands:?}");
        longest = longest.max(all);
    }
    longest
}
