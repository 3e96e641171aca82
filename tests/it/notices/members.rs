//! Direct messages to members.

use amser_roles::domain::{GateMatch, RoleAction, STOP_NOTICES};
use amser_roles::sandbox::chain::PlanTerms;
use amser_roles::sandbox::discord::Route;
use amser_roles::web::machine_clock;

use super::{set, told, with_notices};
use crate::gates::Shop;
use crate::support::scene::TERMS;
use crate::support::stage::{Stage, wait};

#[tokio::test]
async fn a_member_is_told_of_a_role_that_came_and_went_until_the_button_is_pressed() {
    let stage = Stage::open().await;
    set(&stage.store, stage.guild, with_notices());
    let (ada, subscription) = stage.subscriber("ada").await;
    wait("ada is told", || told(&stage.discord, ada.user).len() == 1).await;
    let message = stage.discord.direct_messages(ada.user).remove(0);
    let begins = "You got **Subscriber** in **Stage**: plan 1 is paid";
    assert!(message.content.starts_with(begins), "{}", message.content);
    let (bob, other) = stage.subscriber("bob").await;
    let reply = stage
        .discord
        .click_button(None, ada.user, message.id, STOP_NOTICES)
        .await
        .unwrap();
    assert!(reply.text().contains("any more"), "{}", reply.text());
    for subscription in [subscription, other] {
        let pause = stage.chain.pause(stage.module, subscription);
        pause.await.unwrap();
    }
    stage.until_role(ada, false).await;
    stage.until_journaled(ada, RoleAction::Revoke).await;
    wait("bob is told", || told(&stage.discord, bob.user).len() == 2).await;
    let lost = &told(&stage.discord, bob.user)[1];
    let begins = "You lost **Subscriber** in **Stage**: your subscription is paused";
    assert!(lost.starts_with(begins), "{lost}");
    // What happens after it is told to others in order.
    let resume = stage.chain.resume(stage.module, other);
    resume.await.unwrap();
    wait("bob is told again", || {
        told(&stage.discord, bob.user).len() == 3
    })
    .await;
    assert_eq!(told(&stage.discord, ada.user).len(), 1, "ada opted out");
    stage.store.forget_member(ada.user).unwrap();
    let kept = stage.store.direct_messages(ada.user).unwrap();
    assert_eq!(kept, Default::default(), "nothing remains");
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_role_that_another_program_takes_again_and_again_is_told_once() {
    let stage = Stage::open().await;
    set(&stage.store, stage.guild, with_notices());
    let (ada, subscription) = stage.subscriber("ada").await;
    wait("ada is told", || told(&stage.discord, ada.user).len() == 1).await;
    let rival = stage.discord.add_bot(stage.guild, "Level Bot").unwrap();
    for times in 2..4 {
        let (guild, role) = (stage.guild, stage.role);
        let taken = stage
            .discord
            .change_role_as(rival, guild, ada.user, role, false);
        taken.unwrap();
        let grants = || {
            let journal = stage.journal(ada).into_iter();
            let grants = journal.filter(|entry| entry.change.action == RoleAction::Grant);
            grants.count()
        };
        wait("it is given again", || grants() == times).await;
    }
    // What is told next comes after all of that.
    let pause = stage.chain.pause(stage.module, subscription);
    pause.await.unwrap();
    wait("ada is told of the pause", || {
        let told = told(&stage.discord, ada.user);
        told.last()
            .is_some_and(|last| last.contains("your subscription is paused"))
    })
    .await;
    assert_eq!(told(&stage.discord, ada.user).len(), 2);
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_server_that_does_not_ask_for_it_tells_its_members_nothing() {
    let stage = Stage::open().await;
    let (ada, subscription) = stage.subscriber("ada").await;
    let pause = stage.chain.pause(stage.module, subscription);
    pause.await.unwrap();
    stage.until_role(ada, false).await;
    stage.barrier().await;
    assert_eq!(told(&stage.discord, ada.user), Vec::<String>::new());
    assert_eq!(stage.discord.count(Route::CreateDirectChannel), 0);
}

#[tokio::test]
async fn closed_messages_keep_no_role_back_and_cost_one_message_a_day() {
    let stage = Stage::open().await;
    set(&stage.store, stage.guild, with_notices());
    let ada = stage.join("ada").await;
    stage.discord.set_closed_to_messages(ada.user, true);
    let subscription = stage.pay(ada).await;
    stage.until_role(ada, true).await;
    wait("the refusal was met", || {
        let known = stage.store.direct_messages(ada.user).unwrap();
        known.closed_until.0 > 0
    })
    .await;
    for _ in 0..2 {
        let pause = stage.chain.pause(stage.module, subscription);
        pause.await.unwrap();
        stage.until_role(ada, false).await;
        let resume = stage.chain.resume(stage.module, subscription);
        resume.await.unwrap();
        stage.until_role(ada, true).await;
    }
    stage.until_journaled(ada, RoleAction::Grant).await;
    let (bob, _) = stage.subscriber("bob").await;
    wait("bob is told", || told(&stage.discord, bob.user).len() == 1).await;
    assert_eq!(stage.discord.count(Route::CreateMessage), 2, "one for each");
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_new_gate_for_members_who_paid_long_ago_messages_nobody() {
    let shop = Shop::open(&["Gold"]).await;
    let people = shop.subscribers(3).await;
    // Within the time that they paid for.
    shop.stage.chain.advance_time(1_000).await.unwrap();
    shop.stage.barrier().await;
    set(&shop.stage.store, shop.guild, with_notices());
    shop.make().await;
    shop.until_all(&people, shop.roles[0], true).await;
    let (ada, _) = shop.stage.subscriber("ada").await;
    shop.stage.discord.add_member(shop.guild, ada.user).unwrap();
    // So that the payments to come are younger than the gate.
    let made = machine_clock()();
    wait("the clock moves on", || machine_clock()() > made.plus(3)).await;
    let late = shop.stage.join("late").await;
    shop.stage
        .discord
        .add_member(shop.guild, late.user)
        .unwrap();
    shop.stage.pay(late).await;
    shop.until_all(&[ada, late], shop.roles[0], true).await;
    wait("who pays now is told", || {
        told(&shop.stage.discord, late.user).len() == 1
    })
    .await;
    for person in &people {
        let told = told(&shop.stage.discord, person.user);
        assert_eq!(told, Vec::<String>::new());
    }
    shop.stage.assert_no_violations();
}

#[tokio::test]
async fn a_member_whose_wallet_is_empty_is_warned_once_also_over_a_restart() {
    let mut stage = Stage::open().await;
    // Due in two days, and for weeks to come.
    let terms = PlanTerms {
        interval: 2 * 86_400,
        ..TERMS
    };
    let plan = stage.chain.create_plan(stage.module, terms).await.unwrap();
    let (guild, module, role) = (stage.guild, stage.module, stage.role);
    stage.gate(guild, module, &[plan], GateMatch::Any, &[role]);
    let (ada, rich) = (stage.join("ada").await, stage.join("rich").await);
    for person in [ada, rich] {
        stage.pay_for(person, module, plan).await;
        stage.until_role(person, true).await;
    }
    stage.chain.burn_all(ada.wallet).await.unwrap();
    stage.barrier().await;
    set(&stage.store, stage.guild, with_notices());
    stage.stop().await;
    for number in 0..2 {
        stage.start();
        wait("ada is warned", || {
            told(&stage.discord, ada.user).len() == 1
        })
        .await;
        // The next look at renewals has nothing new to say.
        let (other, _) = stage.subscriber(&format!("other {number}")).await;
        wait("another one is told", || {
            told(&stage.discord, other.user).len() == 1
        })
        .await;
        stage.stop().await;
    }
    let warning = told(&stage.discord, ada.user);
    assert_eq!(warning.len(), 1);
    let says = "will probably not renew: your wallet's balance is too low";
    assert!(warning[0].contains(says), "{warning:?}");
    assert_eq!(told(&stage.discord, rich.user), Vec::<String>::new());
    stage.assert_no_violations();
}
