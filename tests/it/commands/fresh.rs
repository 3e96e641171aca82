//! Answers of the roles' loop: made from what was stored before the question, under the clock of that.

use amser_roles::domain::{MemberState, MembersQuery, PlannedChanges, Question, RoleAction};
use tokio::sync::{mpsc, oneshot};

use super::{Story, checkpoint, executed, wallet};

/// The blocks in which the paid time and its grace pass.
const WINDOW: u64 = 150;

async fn ask<T>(
    questions: &mpsc::Sender<Question>,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> T {
    let (answer, answered) = oneshot::channel();
    questions.try_send(question(answer)).unwrap();
    answered.await.unwrap()
}

/// What is planned, as soon as that can be told: not while somebody is being read.
pub(super) async fn planned(questions: &mpsc::Sender<Question>) -> PlannedChanges {
    crate::support::until("a plan can be told", async || {
        ask(questions, |answer| Question::Plan { answer }).await
    })
    .await
}

/// On one thread, so that nothing runs between the payment and the question; the loop looks at what waits for it in any order.
#[tokio::test(flavor = "current_thread")]
async fn a_payment_that_came_with_the_end_of_the_paid_time_counts_in_the_answer_that_is_asked_for_next()
 {
    let mut story = Story::begin().await;
    let questions = story.restart_to_ask().await;
    story.link(story.user, wallet(1));
    story.pay(7, wallet(1));
    let (guild, user) = (story.club, story.user);
    // Both servers are read and nothing is under way any more.
    crate::support::until("nothing is to be changed", async || {
        match planned(&questions).await {
            plan if plan.changes.is_empty() => Ok(()),
            plan => Err(format!("{plan:?}")),
        }
    })
    .await;
    assert!(story.local.has_role(guild, user, story.paid));
    let mut renew = || {
        story.block += WINDOW;
        let at = checkpoint(story.block + 1).timestamp;
        story.mine(vec![executed(7, at)]);
    };
    for _ in 0..12 {
        renew();
        let query = MembersQuery::default();
        let page = ask(&questions, |answer| Question::Members {
            guild,
            query,
            answer,
        });
        let page = page.await;
        let lapsed = |one: &amser_roles::domain::MemberRow| one.state == MemberState::Lapsed;
        assert!(!page.members.iter().any(lapsed), "{page:?}");
        renew();
        let standing = ask(&questions, |answer| Question::Standing { user, answer });
        let standing = standing.await;
        assert!(standing.gates.iter().all(|gate| gate.entitled));
        renew();
        let plan = planned(&questions).await;
        let revokes = |one: &amser_roles::domain::RoleChange| one.action == RoleAction::Revoke;
        assert!(!plan.changes.iter().any(revokes), "{plan:?}");
    }
    story.end();
}
