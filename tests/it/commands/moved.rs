//! The former owner of a wallet is told.

use std::time::{Duration, Instant};

use amser_roles::domain::{Link, Timestamp, UserId, Wallet};
use amser_roles::notices;
use amser_roles::sandbox::discord::{Fault, Route, Times};

use super::{DEADLINE, Story, wallet};
use crate::support::notices::inputs;

/// When wallets move here.
const MOVED: Timestamp = Timestamp(1_700_000_007);
const DAY: u64 = 86_400;

impl Story {
    /// The wallet was this member's, and moves to the story's.
    fn take(&self, former: UserId, wallet: Wallet) {
        for user in [former, self.user] {
            self.link_at(user, wallet, MOVED);
        }
    }

    fn link_at(&self, user: UserId, wallet: Wallet, linked_at: Timestamp) {
        let link = Link {
            user,
            wallet,
            linked_at,
            proof: None,
        };
        self.store.link(&link, 9).unwrap();
    }

    /// A member of the first server.
    fn member(&self, name: &str) -> UserId {
        let user = self.local.add_user(name);
        self.local.add_member(self.club, user).unwrap();
        user
    }

    /// Begins to tell, at a time that stands still.
    fn tell(&self, now: Timestamp) {
        let told = inputs(
            &self.bot.discord,
            &self.store,
            &self.chain.subscribe(),
            move || now,
        );
        tokio::spawn(notices::run(told, self.bot.stop.clone()));
    }

    fn told(&self, user: UserId) -> usize {
        self.local.direct_messages(user).len()
    }

    /// Waits until there is nobody left to tell.
    async fn all_told(&self) {
        let deadline = Instant::now() + DEADLINE;
        while !self.store.notices().unwrap().is_empty() {
            assert!(Instant::now() < deadline, "a notice stays");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_former_owner_is_told_by_direct_message_unless_those_are_closed() {
    let story = Story::begin().await;
    let (open, closed) = (story.member("open"), story.member("closed"));
    let stranger = story.local.add_user("left every server");
    story.local.set_closed_to_messages(closed, true);
    for (former, n) in [(open, 1), (closed, 2), (stranger, 3), (UserId(404), 4)] {
        story.take(former, wallet(n));
    }
    story.tell(MOVED);
    story.all_told().await;
    let messages = story.local.direct_messages(open);
    assert_eq!(messages.len(), 1);
    let message = &messages[0].content;
    assert!(message.contains(&wallet(1).to_string()), "{message}");
    let moved = "linked to another Discord account <t:1700000007:R>";
    assert!(message.contains(moved), "{message}");
    assert_eq!(story.told(closed) + story.told(stranger), 0);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_passes_does_not_keep_the_former_owner_from_being_told() {
    let too_fast = Fault::Refused {
        status: 403,
        code: 40003,
        message: "You are opening direct messages too fast",
    };
    // The second is a proxy's page.
    for refusal in [too_fast, Fault::ServerError(403)] {
        let story = Story::begin().await;
        let former = story.member("former");
        story.take(former, wallet(1));
        let opening = Some(Route::CreateDirectChannel);
        story.local.inject(opening, refusal, Times::Next(1));
        story.tell(MOVED);
        story.all_told().await;
        assert_eq!(story.told(former), 1);
        assert_eq!(story.local.count(Route::CreateDirectChannel), 2);
        story.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_news_for_a_week() {
    for (later, times) in [(7 * DAY, 1), (7 * DAY + 1, 0)] {
        let story = Story::begin().await;
        let former = story.member("former");
        story.take(former, wallet(1));
        story.tell(MOVED.plus(later));
        story.all_told().await;
        assert_eq!(story.told(former), times);
        story.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_arrived_without_an_answer_is_not_repeated() {
    let story = Story::begin().await;
    let former = story.member("former");
    for n in [1, 2] {
        story.take(former, wallet(n));
    }
    // More than one round of tries.
    let (posting, lost) = (Route::CreateMessage, Fault::Lost(504));
    story.local.inject(Some(posting), lost, Times::Next(4));
    story.tell(MOVED);
    story.all_told().await;
    assert_eq!(story.local.count(posting), 6, "the fault was met");
    assert_eq!(story.told(former), 2, "one for each wallet");
    assert_eq!(story.local.violations(), []);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_to_be_told_when_the_channel_is_open_is_not_told() {
    let story = Story::begin().await;
    let (back, forgotten) = (story.member("back"), story.member("forgotten"));
    for (former, n) in [(back, 1), (forgotten, 2)] {
        story.take(former, wallet(n));
    }
    let opening = Route::CreateDirectChannel;
    // Half the time after which a request is given up.
    let slow = Fault::Slow(Duration::from_secs(5));
    story.local.inject(Some(opening), slow, Times::Next(2));
    story.tell(MOVED);
    let asked = |local: &amser_roles::sandbox::discord::LocalDiscord| local.count(opening) > 0;
    let waited = story
        .local
        .wait_until("a channel is opened", DEADLINE, asked);
    waited.await.unwrap();
    story.link_at(back, wallet(1), MOVED.plus(1));
    story.store.forget_member(forgotten).unwrap();
    // The move back is to be told of.
    story.all_told().await;
    assert_eq!(story.told(back) + story.told(forgotten), 0);
    assert_eq!(story.told(story.user), 1);
    story.end();
}
