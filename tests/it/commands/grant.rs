//! `/amser grant`: a role for a time, that ends by itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amser_roles::domain::{Act, Cause, Grant, GrantTerms, Question, RoleId, Timestamp, UserId};
use amser_roles::sandbox::discord::{LocalDiscord, NewRole};
use serde_json::{Value, json};
use serenity::model::Permissions;
use tokio::sync::oneshot;

use super::fresh::planned;
use super::{DEADLINE, Story, wallet};

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn options(
    user: UserId,
    role: RoleId,
    days: u64,
    reason: &'static str,
) -> [(&'static str, Value); 4] {
    [
        ("member", json!(user.to_string())),
        ("role", json!(role.to_string())),
        ("days", json!(days)),
        ("reason", json!(reason)),
    ]
}

impl Story {
    /// The server's owner gives the role; the answer.
    async fn grant(&self, user: UserId, role: RoleId, days: u64) -> String {
        let owner = self.local.owner(self.club).unwrap();
        self.grant_as(owner, user, role, days).await
    }

    async fn grant_as(&self, by: UserId, user: UserId, role: RoleId, days: u64) -> String {
        let options = options(user, role, days, "helped *a lot*");
        let reply = self.run_as(self.club, by, "amser grant", &options).await;
        reply.text()
    }

    /// A role below the bot's.
    fn role_below(&self, name: &str, permissions: Permissions) -> RoleId {
        let role = NewRole {
            permissions,
            ..NewRole::named(name)
        };
        self.local.add_role_with(self.club, role).unwrap()
    }

    /// A member who holds a role with these permissions, that stands lowest.
    fn manager(&self, name: &str, permissions: Permissions) -> UserId {
        let user = self.local.add_user(name);
        self.local.add_member(self.club, user).unwrap();
        let role = self.role_below(name, permissions);
        self.local.give_role(self.club, user, role).unwrap();
        user
    }

    /// The same grant, that is over at this second.
    fn until(&self, user: UserId, until: u64) {
        let grant = Grant {
            guild: self.club,
            user,
            role: self.paid,
            terms: GrantTerms {
                by: self.local.owner(self.club).unwrap(),
                at: Timestamp(1),
                until: Timestamp(until),
                reason: "thanks".to_owned(),
            },
        };
        self.store.grant(&grant).unwrap();
    }

    /// Waits until nothing is remembered of what was given to a member.
    async fn until_over(&self, user: UserId) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !self.store.grants_of(user).unwrap().is_empty() {
            assert!(tokio::time::Instant::now() < deadline, "never over");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The cause of the newest journaled change of the member's.
    fn last_cause(&self, user: UserId) -> Option<Cause> {
        let mut entries = self.store.journal_of(user, 1).unwrap();
        entries.pop().map(|entry| entry.change.cause)
    }

    async fn until_journaled(&self, user: UserId, is_it: impl Fn(&Cause) -> bool) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !self.last_cause(user).is_some_and(|cause| is_it(&cause)) {
            assert!(tokio::time::Instant::now() < deadline, "never journaled");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_gives_a_role_for_a_time_that_everyone_concerned_reads_of_and_ends_it_early() {
    let story = Story::begin().await;
    let (user, owner) = (story.user, story.local.owner(story.club).unwrap());
    let told = story.grant(user, story.paid, 7).await;
    let giving = format!("Giving <@&{}> to <@{user}> until <t:", story.paid);
    assert!(told.starts_with(&giving), "{told}");
    story.until_role(story.club, story.paid, true).await;
    let is_given = |cause: &Cause| matches!(cause, Cause::Granted { by, .. } if *by == owner);
    story.until_journaled(user, is_given).await;

    let evidence = format!("It is given for a time by <@{owner}> until <t:");
    let role = ("role", json!(story.paid.to_string()));
    let own: (&str, &[_]) = ("why", std::slice::from_ref(&role));
    let told = story
        .until_says(story.club, user, own, "You have **Supporter**")
        .await;
    assert!(told.contains(&evidence), "{told}");
    assert!(told.contains("helped \\*a lot\\*"), "{told}");
    assert!(!told.contains("No wallet is linked"), "{told}");
    let both = [("member", json!(user.to_string())), role];
    let reply = story.run_as(story.club, owner, "amser why", &both).await;
    assert!(reply.text().contains(&evidence), "{reply:?}");
    let listed = story.run_as(story.club, owner, "amser gates", &[]).await;
    let line = format!("• <@&{}> to <@{user}>, by <@{owner}> until", story.paid);
    assert!(listed.text().contains(&line), "{listed:?}");
    let status = story.run("status", &[]).await;
    let line = "**Supporter** in **Club \\*7\\*** is given to you for a time";
    assert!(status.text().contains(line), "{status:?}");
    let export = story.run("privacy export", &[]).await;
    let (_, content) = &export.message.files[0];
    let all: Value = serde_json::from_slice(content).unwrap();
    assert_eq!(all["given_for_a_time"][0]["reason"], "helped *a lot*");

    // Who holds it already gets a line as well.
    let again = story.grant(user, story.paid, 9).await;
    assert!(again.contains("already"), "{again}");
    let told = story.grant(user, story.paid, 0).await;
    assert!(told.starts_with("Ended."), "{told}");
    let acts = story.store.acts(story.club, 10).unwrap();
    let acts: Vec<_> = acts.iter().map(|entry| (entry.by, &entry.act)).collect();
    let of_member = |act: &Act| matches!(act, Act::Granted { user: of, .. } if *of == user);
    assert!(
        matches!(acts[0], (Some(by), Act::GrantEnded { .. }) if by == owner),
        "{acts:?}"
    );
    assert_eq!(acts.iter().filter(|(_, act)| of_member(act)).count(), 2);
    story.until_role(story.club, story.paid, false).await;
    let has_ended = |cause: &Cause| matches!(cause, Cause::GrantEnded { by, .. } if *by == owner);
    story.until_journaled(user, has_ended).await;
    story.until_over(user).await;
    let told = story.grant(user, story.paid, 0).await;
    assert!(told.contains("nothing to end"), "{told}");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_by_itself_also_when_it_ended_while_the_program_was_away() {
    let mut story = Story::begin().await;
    story.until(story.user, now() + 3_600);
    story.until_role(story.club, story.paid, true).await;
    story.restart().await;
    assert!(story.local.has_role(story.club, story.user, story.paid));
    // From now on it has a second or two.
    story.until(story.user, now() + 2);
    story.until_role(story.club, story.paid, false).await;
    story.until_over(story.user).await;

    story.until(story.user, now() + 3_600);
    story.until_role(story.club, story.paid, true).await;
    story.bot.end().await;
    story.until(story.user, now());
    story.start_again().await;
    story.until_role(story.club, story.paid, false).await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_for_a_time_goes_with_a_disconnected_server_or_is_left_to_the_member() {
    let mut story = Story::begin().await;
    let questions = story.restart_to_ask().await;
    let (user, guild) = (story.user, story.club);
    let by = story.local.owner(guild).unwrap();
    let disconnect = async |remove_roles| {
        let (answer, answered) = oneshot::channel();
        let question = Question::Disconnect {
            guild,
            by,
            remove_roles,
            answer,
        };
        questions.send(question).await.unwrap();
        answered.await.unwrap();
    };
    story.until(user, now() + 3_600);
    story.until_role(guild, story.paid, true).await;
    disconnect(true).await;
    story.until_role(guild, story.paid, false).await;
    let has_ended = |cause: &Cause| matches!(cause, Cause::GrantEnded { by: of, .. } if *of == by);
    story.until_journaled(user, has_ended).await;
    story.until_over(user).await;

    story.until(user, now() + 3_600);
    let is_given = |cause: &Cause| matches!(cause, Cause::Granted { .. });
    story.until_journaled(user, is_given).await;
    disconnect(false).await;
    assert_eq!(story.store.grants_of(user).unwrap(), []);
    assert_eq!(planned(&questions).await.changes, []);
    assert_eq!(story.store.applied_of(user).unwrap(), []);
    assert!(story.local.has_role(guild, user, story.paid));
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_a_subscription_gives_too_stays_when_the_grant_ends() {
    let mut story = Story::begin().await;
    story.link(story.user, wallet(1));
    story.pay(7, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    let told = story.grant(story.user, story.paid, 7).await;
    assert!(told.contains("already and keeps it"), "{told}");
    story.grant(story.user, story.paid, 0).await;
    story.until_over(story.user).await;
    assert!(story.local.has_role(story.club, story.user, story.paid));
    let applied = story.store.applied(story.club, story.user, story.paid);
    let cause = applied.unwrap().unwrap().cause;
    assert!(matches!(cause, Cause::Paid { .. }), "{cause:?}");
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_many_grants_at_once_is_not_held_back() {
    let story = Story::begin().await;
    let members: Vec<_> = (0..8)
        .map(|number| {
            let user = story.local.add_user(&format!("helper {number}"));
            story.local.add_member(story.club, user).unwrap();
            user
        })
        .collect();
    let holders = |local: &LocalDiscord| local.members_with(story.club, story.paid).len();
    for member in &members {
        story.until(*member, now() + 3_600);
    }
    let all = |local: &LocalDiscord| holders(local) == 8;
    story
        .local
        .wait_until("all have it", DEADLINE, all)
        .await
        .unwrap();
    for member in &members {
        story.until(*member, now());
    }
    let none = |local: &LocalDiscord| holders(local) == 0;
    story
        .local
        .wait_until("none has it", DEADLINE, none)
        .await
        .unwrap();
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_what_they_could_not_give_by_hand_nor_what_is_dangerous() {
    let story = Story::begin().await;
    let user = story.user;
    let weak = story.manager("weak", Permissions::MANAGE_GUILD);
    let told = story.grant_as(weak, user, story.paid, 7).await;
    assert!(told.contains("\"Manage Roles\""), "{told}");
    let low = Permissions::MANAGE_GUILD | Permissions::MANAGE_ROLES;
    let low = story.manager("low", low);
    let told = story.grant_as(low, user, story.paid, 7).await;
    assert!(told.contains("not below your own highest role"), "{told}");
    let told = story.grant_as(low, user, story.paid, 0).await;
    assert!(told.contains("not below your own highest role"), "{told}");

    let dangerous = story.role_below("Sheriff", Permissions::BAN_MEMBERS);
    let told = story.grant(user, dangerous, 7).await;
    assert!(
        told.contains("**Sheriff** carries \"Ban Members\""),
        "{told}"
    );
    let bot_role = story.local.bot_role(story.club).unwrap();
    let told = story.grant(user, bot_role, 7).await;
    assert!(!told.starts_with("Giving"), "{told}");
    let high = story.local.add_role(story.club, "High").unwrap();
    let order = [story.paid, bot_role, high];
    story.local.set_role_order(story.club, &order).unwrap();
    let owner = story.local.owner(story.club).unwrap();
    let asked = options(user, high, 7, "thanks");
    let asked: (&str, &[_]) = ("amser grant", &asked);
    let told = story
        .until_says(story.club, owner, asked, "I can't give this role.")
        .await;
    assert!(told.contains("High"), "{told}");
    let stranger = story.local.add_user("stranger");
    let told = story.grant(stranger, story.paid, 7).await;
    assert!(told.contains("not a member of this server"), "{told}");
    assert_eq!(story.store.grants_of(user).unwrap(), []);
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_ones_data_takes_what_was_given_too() {
    let story = Story::begin().await;
    story.grant(story.user, story.paid, 7).await;
    story.until_role(story.club, story.paid, true).await;
    let asked = story.run("privacy delete", &[]).await;
    let pressed = story
        .press(story.club, story.user, &asked, "Delete everything")
        .await;
    assert!(pressed.text().starts_with("Deleted."), "{pressed:?}");
    story.until_role(story.club, story.paid, false).await;
    assert_eq!(story.store.grants_of(story.user).unwrap(), []);
    story.end();
}
