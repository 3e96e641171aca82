//! Alerts.

use amser_roles::domain::{ChannelId, ServerSettings};

use super::{channel, logged, read, set};
use crate::support::stage::{Stage, wait};

#[tokio::test]
async fn a_role_that_cannot_be_given_is_told_once_and_its_repair_once_also_over_a_restart() {
    let mut stage = Stage::open().await;
    let log = channel(&stage.discord, stage.guild);
    let alerts = stage.discord.add_channel(stage.guild, "alerts").unwrap();
    let alerts = ChannelId(alerts.get());
    let settings = ServerSettings {
        alert_channel: Some(alerts),
        ..logged(log)
    };
    set(&stage.store, stage.guild, settings);
    stage.barrier().await;
    let bot = stage.discord.bot_role(stage.guild).unwrap();
    let order = |stage: &Stage, lowest_first: &[_]| {
        let ordered = stage.discord.set_role_order(stage.guild, lowest_first);
        ordered.unwrap();
    };
    let gates = stage.store.gates().unwrap();
    let roles = gates.iter().flat_map(|gate| &gate.roles);
    let marker = *roles.clone().find(|role| **role != stage.role).unwrap();
    order(&stage, &[marker, bot, stage.role]);
    wait("the alert begins", || {
        !read(&stage.discord, alerts).is_empty()
    })
    .await;
    stage.stop().await;
    stage.start();
    order(&stage, &[marker, stage.role, bot]);
    wait("the alert ends", || read(&stage.discord, alerts).len() > 1).await;
    let told = read(&stage.discord, alerts);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("⚠️ ") && told[0].contains("move the bot"),
        "{told:?}"
    );
    assert!(told[1].starts_with("✅ Over: "), "{told:?}");
    let in_log = read(&stage.discord, log);
    assert!(in_log.iter().all(|line| !line.contains("⚠️")), "{in_log:?}");
    stage.assert_no_violations();
}
