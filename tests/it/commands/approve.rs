//! `/amser approve`: exactly what a manager was shown is let through, once.

use std::collections::BTreeMap;
use std::time::Duration;

use amser_roles::domain::{
    Approved, DiscordStatus, HeldBack, Question, ReadingState, ServerStatus, Timestamp,
};
use amser_roles::sandbox::discord::Reply;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::Story;

/// A story whose commands are shown these removals as stopped, and whose approvals come here.
async fn stopped(
    held: HeldBack,
) -> (
    Story,
    watch::Sender<DiscordStatus>,
    mpsc::Receiver<Question>,
) {
    let mut story = Story::begin().await;
    let (shown, seen) = watch::channel(DiscordStatus::default());
    let (questions, asked) = mpsc::channel(9);
    story
        .restart_with(|services| {
            services.discord = seen;
            services.questions = questions;
        })
        .await;
    hold(&story, &shown, Some(held));
    (story, shown, asked)
}

fn hold(story: &Story, shown: &watch::Sender<DiscordStatus>, held: Option<HeldBack>) {
    let server = ServerStatus {
        reading: ReadingState::Done,
        queued: 0,
        queue_wait: Duration::ZERO,
        held_back: held.map(|held| (story.paid, held)).into_iter().collect(),
        contested: BTreeMap::new(),
    };
    shown.send_modify(|status| status.servers = BTreeMap::from([(story.club, server)]));
}

fn twelve() -> HeldBack {
    HeldBack {
        removals: 12,
        holders: 40,
        since: Timestamp(1_700_000_000),
    }
}

async fn ask(story: &Story) -> Reply {
    let owner = story.local.owner(story.club).unwrap();
    let role = [("role", json!(story.paid.to_string()))];
    story
        .run_as(story.club, owner, "amser approve", &role)
        .await
}

const BUTTON: &str = "Remove from 12 members";

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_is_shown_what_is_stopped_and_lets_it_through_with_a_button() {
    let (story, shown, mut asked) = stopped(twelve()).await;
    let owner = story.local.owner(story.club).unwrap();
    let check = story.run_as(story.club, owner, "amser check", &[]).await;
    let counted = format!("12 removals of <@&{}> are stopped", story.paid);
    assert!(check.text().contains(&counted), "{check:?}");
    let question = ask(&story).await;
    assert!(question.text().contains(&counted), "{question:?}");
    let paid = story.paid;
    let released = Approved::Released { removals: 12 };
    let answering = answer(&story, asked, released);
    let done = story.press(story.club, owner, &question, BUTTON).await;
    let sentence = format!("Approved: removing <@&{paid}> from 12 members.");
    assert_eq!(done.text(), sentence);
    asked = answering.await.unwrap();

    // The button works once: nothing is stopped any more.
    hold(&story, &shown, None);
    let nothing = format!("No removals of <@&{paid}> are stopped.");
    assert_eq!(ask(&story).await.text(), nothing);
    asked.try_recv().unwrap_err();
    let answering = answer(&story, asked, Approved::NothingHeld);
    let again = story.press(story.club, owner, &question, BUTTON).await;
    assert_eq!(again.text(), nothing);
    answering.await.unwrap();
    story.end();
}

/// Answers the next press as the roles' loop would, which is told what the manager was shown.
fn answer(
    story: &Story,
    mut asked: mpsc::Receiver<Question>,
    with: Approved,
) -> JoinHandle<mpsc::Receiver<Question>> {
    let owner = story.local.owner(story.club).unwrap();
    let expected = (story.club, story.paid, owner);
    tokio::spawn(async move {
        let Some(Question::Approve {
            guild,
            role,
            by,
            shown,
            answer,
        }) = asked.recv().await
        else {
            panic!("another question");
        };
        assert_eq!((guild, role, by), expected);
        assert_eq!(shown, Some((twelve().since, twelve().removals)));
        answer.send(with).unwrap();
        asked
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_approves_no_other_removals_than_were_shown() {
    let (story, _shown, asked) = stopped(twelve()).await;
    let owner = story.local.owner(story.club).unwrap();
    let question = ask(&story).await;
    let answering = answer(&story, asked, Approved::Outdated);
    let told = story.press(story.club, owner, &question, BUTTON).await;
    assert!(told.text().contains("have changed since"), "{told:?}");
    answering.await.unwrap();
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_manager_can_press_the_button() {
    let (story, _shown, mut asked) = stopped(twelve()).await;
    let question = ask(&story).await;
    let told = story.press(story.club, story.user, &question, BUTTON).await;
    assert!(told.text().contains("Manage Server"), "{told:?}");
    asked.try_recv().unwrap_err();
    story.end();
}
