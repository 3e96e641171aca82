//! Faults come and go under load; in the end every member has exactly the roles last wished for.

use amser_roles::sandbox::discord::{Fault, Times};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::support::knob;

const MEMBERS: u64 = 60;
const ROUNDS: u32 = 60;

/// Any fault that Discord or the way to it may show.
fn any_fault(random: &mut StdRng) -> Fault {
    let short = Duration::from_millis(random.random_range(50..600));
    match random.random_range(0..11) {
        0 => Fault::ServerError(500),
        1 => Fault::ServerError(503),
        2 => Fault::Reset,
        3 => Fault::Slow(short),
        4 => Fault::RateLimited(short),
        5 => Fault::GlobalRateLimited(short),
        6 => Fault::CloudflareRateLimited(Duration::from_secs(1)),
        7 => Fault::MISSING_PERMISSIONS,
        8 => Fault::UNKNOWN_MEMBER,
        9 => Fault::UNKNOWN_ROLE,
        _ => Fault::UNKNOWN_GUILD,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_the_last_wishes_are_fulfilled() {
    // Another course each time; SEED plays a failed one again.
    let seed = knob("SEED", rand::random());
    println!("AMSER_ROLES_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut story = Story::begin(MEMBERS).await;
    story.ready().await;
    let bystander = story.users[0];
    story
        .local
        .give_role(story.guild, bystander, story.paid)
        .unwrap();
    let mut wished: BTreeMap<UserId, RoleAction> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for _ in 0..random.random_range(0..6) {
            let user = story.users[random.random_range(1..story.users.len())];
            let action = if random.random_bool(0.6) {
                RoleAction::Grant
            } else {
                RoleAction::Revoke
            };
            wished.insert(user, action);
            story.set(action, user);
        }
        match random.random_range(0..10) {
            0..5 => {
                let route = [
                    None,
                    Some(Route::AddMemberRole),
                    Some(Route::RemoveMemberRole),
                    Some(Route::GetGuild),
                ];
                let times = Times::Next(random.random_range(1..4));
                let fault = any_fault(&mut random);
                story
                    .local
                    .inject(route[random.random_range(0..route.len())], fault, times);
            }
            5 => story.local.drop_gateway(),
            6 => story.local.clear_faults(None),
            7 => story
                .local
                .rename_role(
                    story.guild,
                    story.paid,
                    &format!("Paid {}", random.random::<u16>()),
                )
                .unwrap(),
            _ => {}
        }
        // The pace of the load; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..120))).await;
    }
    story.local.clear_faults(None);
    // The repair that ends the standing errors.
    story
        .local
        .rename_role(story.guild, story.paid, "Repaired")
        .unwrap();
    // Discord may have said of members that they are not there.
    for (user, action) in &wished {
        story.set(*action, *user);
    }
    story.settled().await;
    story.status(|status| status.failing.is_empty()).await;
    let granted = wished
        .iter()
        .filter(|(_, action)| **action == RoleAction::Grant);
    let expected: BTreeSet<_> = granted.map(|(user, _)| *user).chain([bystander]).collect();
    assert_eq!(story.holders(), expected);
    story.end().await;
}
