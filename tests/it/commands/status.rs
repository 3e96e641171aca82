//! `/status`.

use amser_roles::domain::{
    ChainStatus, EventKind, GateId, GateTrouble, GateTroubles, PlanId, Timestamp,
};
use tokio::sync::watch;

use super::{Story, checkpoint, created, event, executed, wallet};

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_each_server_what_is_paid_what_is_pending_and_what_came_of_it() {
    let mut story = Story::begin().await;
    let text = story.run("status", &[]).await.text();
    assert!(text.contains("You have linked no wallet"), "{text}");
    assert!(text.contains("https://pay.example/0xaAaAaAaa"), "{text}");
    let back = format!(
        "?redirect=https%3A%2F%2Froles.example%2Fpaid%2F{}>",
        story.club
    );
    assert!(text.contains(&back), "{text}");

    story.link(story.user, wallet(1));
    let head = checkpoint(story.block + 2);
    story.chain.send_modify(|status| {
        status.head = Some(head);
        status.pending = vec![
            event(story.block, 5, created(7, wallet(1))),
            event(story.block, 6, executed(7, Timestamp(5))),
            event(story.block, 7, created(8, wallet(2))),
        ];
    });
    let text = story.run("status", &[]).await.text();
    assert!(
        text.contains("subscription 7: 2 of 3 confirmations"),
        "{text}"
    );
    assert!(!text.contains("subscription 8"), "another member's");

    story.pay(7, wallet(1));
    let paid_at = checkpoint(story.block).timestamp;
    story.until_role(story.club, story.paid, true).await;
    story
        .until_role(story.pub_, story.role(story.pub_), true)
        .await;
    let in_both = |text: &str| text.matches("you have it,").count() == 2;
    let mut text = story.run("status", &[]).await.text();
    let deadline = tokio::time::Instant::now() + super::DEADLINE;
    while !in_both(&text) {
        assert!(tokio::time::Instant::now() < deadline, "{text}");
        text = story.run("status", &[]).await.text();
    }
    let (club, other) = (text.find("**Club \\*7\\***"), text.find("**Pub**"));
    assert!(
        club.unwrap() < other.unwrap(),
        "the own server first: {text}"
    );
    let until = format!("paid until <t:{}:f>", paid_at.0 + 1_000);
    let grace = format!("then grace until <t:{}:f>", paid_at.0 + 1_500);
    assert_eq!(text.matches(&until).count(), 2, "{text}");
    assert_eq!(text.matches(&grace).count(), 2, "{text}");
    assert!(!text.contains("pay.example"), "{text}");
    let from_pub = story
        .run_as(story.pub_, story.user, "status", &[])
        .await
        .text();
    assert!(from_pub.starts_with("**Pub**"), "{from_pub}");

    story.block += 200;
    story.mine(Vec::new());
    // No chain is there to be asked whether that is true, so the role stays.
    let gone = "no subscription of yours gives it";
    let status: (&str, &[_]) = ("status", &[]);
    let text = story.until_says(story.club, story.user, status, gone).await;
    let ended = format!("ended <t:{}:f>", paid_at.0 + 1_500);
    assert!(text.contains(&ended), "{text}");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_cannot_be_read_is_said_without_internals() {
    let story = Story::begin().await;
    story.chain.send_modify(|status: &mut ChainStatus| {
        status.trouble = Some("https://secret.example/key refused".to_owned());
    });
    let text = story.run("status", &[]).await.text();
    assert!(
        text.contains("can't read the chain at the moment"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn status_offers_no_plan_that_is_closed() {
    let mut story = Story::begin().await;
    let closed = EventKind::PlanStatusChanged {
        plan: PlanId::from(1),
        active: false,
    };
    story.mine(vec![closed]);
    let text = story.run("status", &[]).await.text();
    assert!(text.contains("You have linked no wallet"), "{text}");
    assert!(!text.contains("pay.example"), "{text}");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn status_offers_no_plan_that_its_module_does_not_have() {
    let mut story = Story::begin().await;
    let trouble = GateTrouble {
        guild: story.club,
        sentences: ["The module has no plan 1.".to_owned()].into(),
        not_for_sale: [PlanId::from(1)].into(),
    };
    let found = GateTroubles::from([(GateId(1), trouble)]);
    let with_trouble = |services: &mut amser_roles::commands::Services| {
        services.gate_troubles = watch::channel(found).1;
    };
    story.restart_with(with_trouble).await;
    let text = story.run("status", &[]).await.text();
    assert!(text.contains("You have linked no wallet"), "{text}");
    assert!(!text.contains("pay.example"), "{text}");
    // The same plan at another gate is none of its business.
    let other = story.run_as(story.pub_, story.user, "status", &[]).await;
    let other = other.text();
    assert!(other.contains("pay.example"), "{other}");
    story.end();
}
