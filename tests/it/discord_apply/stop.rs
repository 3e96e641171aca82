//! The end of the service amid role changes.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_stop_does_not_wait_for_a_request_that_hangs() {
    use amser_roles::sandbox::discord::{Fault, Times};
    let mut story = Story::begin(1).await;
    story.ready().await;
    story
        .local
        .inject(Some(Route::AddMemberRole), Fault::Hang, Times::UntilCleared);
    story.set(RoleAction::Grant, story.users[0]);
    let begun = story
        .local
        .wait_until("the request is there", DEADLINE, |local| {
            local.count(Route::AddMemberRole) == 1
        });
    begun.await.unwrap();
    story.stop.cancel();
    let ended = tokio::time::timeout(DEADLINE, story.task.take().unwrap()).await;
    ended.expect("it stops").unwrap().unwrap();
    // It was given up for the stop, before its own time was over.
    let told = story.told();
    let [report] = &told[..] else {
        panic!("{told:?}");
    };
    let Some(Outcome::Failed { message, .. }) = &report.outcome else {
        panic!("{report:?}");
    };
    assert_eq!(message, "the program stopped");
    story.assert_no_violation();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stop_lets_the_request_on_its_way_end_and_drops_the_rest() {
    use amser_roles::sandbox::discord::{Fault, Times};
    let mut story = Story::begin(5).await;
    story.ready().await;
    // Shorter than the stop waits, and long enough for a busy machine to stop meanwhile.
    let slow = Fault::Slow(Duration::from_secs(3));
    story
        .local
        .inject(Some(Route::AddMemberRole), slow, Times::UntilCleared);
    for user in &story.users {
        story.set(RoleAction::Grant, *user);
    }
    let begun = story
        .local
        .wait_until("a request is there", DEADLINE, |local| {
            local.count(Route::AddMemberRole) == 1
        });
    begun.await.unwrap();
    story.stop.cancel();
    story.task.take().unwrap().await.unwrap().unwrap();
    assert_eq!(story.told().len(), 1);
    assert_eq!((story.holders().len(), story.role_requests()), (1, 1));
    story.assert_no_violation();
}
