//! Members are read by id: who is there, with which roles, and who is not.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_members_cost_one_payload_over_the_gateway() {
    let mut story = Story::begin(250).await;
    story.status(|status| status.connected).await;
    let (holder, newcomer) = (story.users[0], story.users[1]);
    story
        .local
        .give_role(story.guild, holder, story.paid)
        .unwrap();
    story
        .local
        .set_pending(story.guild, newcomer, true)
        .unwrap();
    let left = story.users[249];
    story.local.remove_member(story.guild, left).unwrap();
    let stranger = UserId(7);
    let asked: Vec<_> = story.users.iter().copied().chain([stranger]).collect();
    let seen = story.discord.members(story.guild, &asked).await.unwrap();
    let seen: BTreeMap<_, _> = seen.into_iter().collect();
    assert_eq!(seen.len(), 251);
    let shown = |user| {
        let seen: &SeenMember = seen[&user].as_ref().unwrap();
        assert!(!seen.name.is_empty());
        (seen.user, seen.roles.clone(), seen.pending)
    };
    assert_eq!(shown(holder), (holder, vec![story.paid], false));
    assert_eq!(shown(newcomer), (newcomer, vec![], true));
    assert_eq!((&seen[&left], &seen[&stranger]), (&None, &None));
    assert_eq!(seen.values().flatten().count(), 249);
    assert_eq!(story.local.member_requests(), 3);
    // Only the bot itself is read over REST, for its roles.
    let bot = story.local.bot_id();
    let asked_for_members = |request: &amser_roles::sandbox::discord::RequestRecord| {
        request.route == Some(Route::GetMember) && !request.path.contains(&bot.to_string())
    };
    assert!(!story.local.requests().iter().any(asked_for_members));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gateway_members_are_read_one_by_one() {
    let story = Story::begin(3).await;
    let status = watch::channel(DiscordStatus::default()).0;
    let token = SecretString::from(story.local.options().token);
    let alone = Discord::new(&settings(&story.local), &token, status).unwrap();
    let asked = [story.users[0], UserId(7)];
    let seen = alone.members(story.guild, &asked).await.unwrap();
    assert_eq!(seen[0].1.as_ref().unwrap().user, story.users[0]);
    assert_eq!(seen[1], (UserId(7), None));
    assert_eq!(story.local.member_requests(), 0);
    story.local.kick_bot(story.guild).unwrap();
    assert!(alone.members(story.guild, &asked).await.is_err());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_request_for_members_is_sent_again_when_discord_says() {
    let mut story = Story::begin(1).await;
    story.status(|status| status.connected).await;
    let wait = Duration::from_millis(1_500);
    story.local.limit_member_requests(wait);
    let begun = Instant::now();
    let seen = story.discord.members(story.guild, &story.users).await;
    assert!(seen.unwrap()[0].1.is_some());
    assert!(begun.elapsed() >= wait);
    assert_eq!(story.local.member_requests(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_for_members_stay_below_the_gateways_limit() {
    let mut story = Story::begin(1).await;
    story.status(|status| status.connected).await;
    // Beyond what a minute takes; the local Discord closes the connection at 120 payloads.
    let asked: Vec<_> = (1..=11_200).map(UserId).collect();
    let begun = Instant::now();
    let reading = story.discord.members(story.guild, &asked);
    let seen = tokio::time::timeout(Duration::from_secs(90), reading).await;
    assert_eq!(seen.unwrap().unwrap().len(), asked.len());
    assert!(begun.elapsed() > Duration::from_secs(55));
    assert_eq!(story.local.identified(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_accepts_the_rules_is_told() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    let (guild, user) = (story.guild, story.users[0]);
    for pending in [true, false] {
        story.local.set_pending(guild, user, pending).unwrap();
        let expected = seen(guild, user, &[], pending);
        assert_eq!(story.observed(|_| true).await, expected);
    }
    story.local.delete_role(guild, story.paid).unwrap();
    let role = story.paid;
    let deleted = story.observed(|_| true).await;
    assert_eq!(deleted, Observation::RoleDeleted { guild, role });
    story.end().await;
}
