//! Our Discord side against the local Discord: role changes, faults, the gateway.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod connection;
mod faults;
mod gateway;
mod intent;
mod people;
mod refusals;
mod stop;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use amser_roles::discord::{
    self, Channels, Discord, NoCommands, Observation, Report, SeenMember, Settings,
};
use amser_roles::domain::{
    Cause, DiscordStatus, GuildId, Intent, MembersIntent, Outcome, RoleAction, RoleChange, RoleId,
    UserId,
};
use amser_roles::sandbox::discord::{LocalDiscord, Options, Route};
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(40);

/// Half the time after which a request that hangs is given up: long enough for what is to happen while it is on its way, short
/// enough for its answer to come in time, also on a busy machine.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// A server with the bot, a paid role below the bot's, and members; and our connection to it.
struct Story {
    local: LocalDiscord,
    guild: GuildId,
    paid: RoleId,
    users: Vec<UserId>,
    discord: Discord,
    observations: mpsc::UnboundedReceiver<Observation>,
    reports: mpsc::Receiver<Report>,
    status: watch::Receiver<DiscordStatus>,
    stop: CancellationToken,
    task: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Story {
    async fn begin(members: u64) -> Self {
        Self::begin_with(Options::default(), members).await
    }

    async fn begin_with(options: Options, members: u64) -> Self {
        Self::begin_at(LocalDiscord::start(options).await.unwrap(), members).await
    }

    async fn begin_at(local: LocalDiscord, members: u64) -> Self {
        let settings = settings(&local);
        Self::begin_as(local, settings, members).await
    }

    async fn begin_as(local: LocalDiscord, settings: Settings, members: u64) -> Self {
        let guild = local.add_guild("Guild");
        let paid = local.add_role(guild, "Paid").unwrap();
        local
            .set_role_order(guild, &[paid, local.bot_role(guild).unwrap()])
            .unwrap();
        let users = local.add_members(guild, members).unwrap();
        let (observed, observations) = mpsc::unbounded_channel();
        let (reported, reports) = mpsc::channel(10_000);
        let (status, status_seen) = watch::channel(DiscordStatus::default());
        let stop = CancellationToken::new();
        let channels = Channels {
            observations: observed,
            reports: reported,
            status,
        };
        let token = SecretString::from(local.options().token);
        let connected = discord::connect(settings, token, channels, stop.clone());
        let (discord, connection) = connected.unwrap();
        let task = Some(tokio::spawn(connection.run(NoCommands)));
        Self {
            local,
            guild,
            paid,
            users,
            discord,
            observations,
            reports,
            status: status_seen,
            stop,
            task,
        }
    }

    fn intent(&self, action: RoleAction, guild: GuildId, user: UserId, role: RoleId) -> Intent {
        let change = RoleChange {
            action,
            guild,
            user,
            role,
            cause: Cause::NoSubscription,
        };
        Intent {
            change,
            block: 1,
            just_now: false,
        }
    }

    fn send(&self, action: RoleAction, guild: GuildId, user: UserId, role: RoleId) {
        self.discord.send([self.intent(action, guild, user, role)]);
    }

    fn set(&self, action: RoleAction, user: UserId) {
        self.send(action, self.guild, user, self.paid);
    }

    /// Waits for an observation and skips those before it.
    async fn observed(&mut self, what: impl Fn(&Observation) -> bool) -> Observation {
        let found = async {
            loop {
                let observation = self
                    .observations
                    .recv()
                    .await
                    .expect("the connection ended");
                if what(&observation) {
                    return without_name(observation);
                }
            }
        };
        tokio::time::timeout(DEADLINE, found)
            .await
            .expect("the observation never came")
    }

    /// Waits until the gateway tells of the guild, so that everything in it is seen from then on.
    async fn ready(&mut self) {
        let guild = self.guild;
        self.observed(|observation| *observation == Observation::GuildAvailable(guild))
            .await;
    }

    /// Waits until the status is as wished.
    async fn status(&mut self, what: impl Fn(&DiscordStatus) -> bool) -> DiscordStatus {
        let wait = tokio::time::timeout(DEADLINE, self.status.wait_for(|status| what(status)));
        wait.await.expect("the status never came").unwrap().clone()
    }

    /// Waits until everything is sent.
    async fn settled(&self) {
        let waited = tokio::time::timeout(DEADLINE, async {
            while self.discord.pending() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.expect("changes stayed outstanding");
    }

    /// The next report.
    async fn report(&mut self) -> Report {
        let report = tokio::time::timeout(DEADLINE, self.reports.recv()).await;
        report.expect("no report came").unwrap()
    }

    /// So many reports, and no more: the queue is empty a moment before the last one is told.
    async fn reports(&mut self, count: usize) -> Vec<Report> {
        let mut reports = Vec::new();
        while reports.len() < count {
            reports.push(self.report().await);
        }
        assert_eq!(self.told(), []);
        reports
    }

    /// The reports so far.
    fn told(&mut self) -> Vec<Report> {
        std::iter::from_fn(|| self.reports.try_recv().ok()).collect()
    }

    fn role_requests(&self) -> u64 {
        self.local.count(Route::AddMemberRole) + self.local.count(Route::RemoveMemberRole)
    }

    fn holders(&self) -> BTreeSet<UserId> {
        self.local.members_with(self.guild, self.paid)
    }

    fn assert_no_violation(&self) {
        assert_eq!(self.local.violations(), []);
    }

    /// Stops and checks that the connection ends well.
    async fn end(mut self) {
        self.stop.cancel();
        let task = self.task.take().unwrap();
        let ended = tokio::time::timeout(DEADLINE, task).await;
        ended.expect("it stops").unwrap().unwrap();
        self.assert_no_violation();
    }
}

fn settings(local: &LocalDiscord) -> Settings {
    Settings {
        application_id: NonZeroU64::new(local.options().application_id.get()).unwrap(),
        api_url: local.base_url().parse().unwrap(),
        members_intent: MembersIntent::Used,
    }
}

fn code(report: &Report) -> Option<u32> {
    match &report.outcome {
        Some(Outcome::Failed { code, .. }) => Some(*code),
        Some(Outcome::Done) | None => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_leave_before_revokes_and_each_change_costs_one_request() {
    let mut story = Story::begin(20).await;
    for user in &story.users[..10] {
        story
            .local
            .give_role(story.guild, *user, story.paid)
            .unwrap();
    }
    story.ready().await;
    story.local.clear_log();
    for user in &story.users[..10] {
        story.set(RoleAction::Revoke, *user);
    }
    for user in &story.users[10..] {
        story.set(RoleAction::Grant, *user);
    }
    story.settled().await;
    assert_eq!(story.holders(), story.users[10..].iter().copied().collect());
    let sent: Vec<_> = story
        .local
        .requests()
        .into_iter()
        .filter(|request| request.path.contains("/roles/"))
        .collect();
    let revoked = sent
        .iter()
        .position(|request| request.method == "DELETE")
        .unwrap();
    // Revokes that were set first may leave first; but once grants are there, none waits behind a revoke.
    let late = sent
        .iter()
        .skip(revoked)
        .skip_while(|request| request.method == "DELETE");
    let rest: Vec<_> = late.map(|request| request.method.as_str()).collect();
    assert!(
        rest.is_sorted_by_key(|method| *method == "DELETE"),
        "{rest:?}"
    );
    assert_eq!(sent.len(), 20);
    assert_eq!(
        sent[0].reason.as_deref(),
        Some("amser: no subscription backs this role")
    );
    let told = story.reports(20).await;
    assert!(
        told.iter()
            .all(|report| report.outcome == Some(Outcome::Done))
    );
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_wish_again_and_again_costs_one_request_and_one_report() {
    use amser_roles::sandbox::discord::{Fault, Times};
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.local.inject(
        Some(Route::AddMemberRole),
        Fault::Slow(ON_ITS_WAY),
        Times::Next(1),
    );
    let user = story.users[0];
    story.set(RoleAction::Grant, user);
    let begun = story
        .local
        .wait_until("the request is there", DEADLINE, |local| {
            local.count(Route::AddMemberRole) == 1
        });
    begun.await.unwrap();
    for _ in 0..10 {
        story.set(RoleAction::Grant, user);
    }
    story.settled().await;
    assert_eq!(story.role_requests(), 1);
    assert_eq!(story.report().await.outcome, Some(Outcome::Done));
    assert_eq!(story.told(), []);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_became_moot_is_never_sent() {
    use amser_roles::sandbox::discord::{Fault, Times};
    let mut story = Story::begin(3).await;
    story.ready().await;
    story.local.inject(
        Some(Route::AddMemberRole),
        Fault::Slow(ON_ITS_WAY),
        Times::Next(1),
    );
    let [first, second, third] = story.users[..] else {
        panic!("three members")
    };
    story.set(RoleAction::Grant, first);
    let begun = story
        .local
        .wait_until("the first request is there", DEADLINE, |local| {
            local.count(Route::AddMemberRole) == 1
        });
    begun.await.unwrap();
    story.set(RoleAction::Grant, second);
    story.set(RoleAction::Grant, third);
    story
        .discord
        .withdraw((story.guild, second, story.paid), RoleAction::Grant);
    story.set(RoleAction::Revoke, third);
    story.settled().await;
    assert_eq!(story.local.count(Route::AddMemberRole), 1);
    assert_eq!(story.local.count(Route::RemoveMemberRole), 1);
    assert_eq!(story.holders(), [first].into());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_many_pages_is_read_whole() {
    let mut story = Story::begin(2500).await;
    story.ready().await;
    story
        .local
        .give_role(story.guild, story.users[7], story.paid)
        .unwrap();
    story.local.clear_log();
    let (mut seen, mut after) = (BTreeMap::new(), UserId(0));
    loop {
        let page = story.discord.page_of_members(story.guild, after).await;
        let (page, is_full) = page.unwrap();
        seen.extend(page.into_iter().map(|member| (member.user, member.roles)));
        if !is_full {
            break;
        }
        after = *seen.last_key_value().unwrap().0;
    }
    // The owner and the bot are members, too.
    assert_eq!(seen.len(), 2502);
    assert!(story.users.iter().all(|user| seen.contains_key(user)));
    assert_eq!(seen[&story.users[7]], [story.paid]);
    assert_eq!(story.local.count(Route::ListMembers), 3);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_changes_cost_a_hundred_requests() {
    let mut story = Story::begin(1000).await;
    story.ready().await;
    for user in &story.users[..100] {
        story.set(RoleAction::Grant, *user);
    }
    story.settled().await;
    assert_eq!(story.holders().len(), 100);
    assert_eq!(story.role_requests(), 100);
    story.end().await;
}

/// A member with these roles, as [`Story::observed`] tells of them.
fn seen(guild: GuildId, user: UserId, roles: &[RoleId], pending: bool) -> Observation {
    Observation::MemberSeen {
        guild,
        member: SeenMember {
            user,
            name: String::new(),
            roles: roles.to_vec(),
            pending,
        },
    }
}

/// What members are called is not what these stories are about.
fn without_name(mut observation: Observation) -> Observation {
    if let Observation::MemberSeen { member, .. } = &mut observation {
        member.name.clear();
    }
    observation
}
