//! The limits against a strict model of Discord, in virtual time.

use super::answer::TooMany;
use super::*;

fn lane(guild: u64) -> Lane {
    Lane::of("PUT", &format!("/api/v10/guilds/{guild}/members/2/roles/3"))
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn left(remaining: u32, reset_after: Duration) -> Answer {
    let allowance = Allowance {
        limit: 5,
        remaining,
        reset_after,
    };
    Answer {
        status: 204,
        bucket: Some("roles".into()),
        allowance: Some(allowance),
        too_many: None,
    }
}

fn too_many(scope: Scope, retry_after: Duration) -> Answer {
    Answer {
        status: 429,
        too_many: Some(TooMany { scope, retry_after }),
        ..Answer::default()
    }
}

#[test]
fn before_the_first_answer_one_request_goes_ahead_alone() {
    let mut limits = Limits::default();
    let now = Instant::now();
    let first = limits.ask(&lane(1), now).unwrap();
    assert_eq!(limits.ask(&lane(1), now).unwrap_err(), Wait::ForAnswer);
    let _other_guild = limits.ask(&lane(2), now).unwrap();
    limits.answered(first, &left(4, ms(1000)), now);
    let tickets: Vec<_> = (0..4).map(|_| limits.ask(&lane(1), now).unwrap()).collect();
    assert_eq!(
        limits.ask(&lane(1), now).unwrap_err(),
        Wait::Until(now + ms(1000) + MARGIN)
    );
    assert_eq!(tickets.len(), 4);
}

#[test]
fn answers_to_commands_do_not_wait_because_other_requests_were_refused() {
    let mut limits = Limits::default();
    let now = Instant::now();
    let refused = Answer {
        status: 403,
        ..Answer::default()
    };
    let other = |number| Lane::of("GET", &format!("/api/v10/guilds/{number}"));
    let mut number = 0;
    while let Ok(ticket) = limits.ask(&other(number), now) {
        limits.answered(ticket, &refused, now);
        number += 1;
        assert!(number < 1_000, "refusals slow other requests down");
    }
    for path in [
        "/api/v10/interactions/1/token/callback",
        "/api/v10/webhooks/1/token",
    ] {
        assert!(limits.ask(&Lane::of("POST", path), now).is_ok(), "{path}");
    }
}

#[test]
fn reading_a_large_server_leaves_room_for_role_changes() {
    let mut limits = Limits::default();
    let now = Instant::now();
    let pages = Lane::of("GET", "/api/v10/guilds/1/members?limit=1000");
    let unlimited = Answer {
        status: 200,
        ..Answer::default()
    };
    for _ in 0..25 {
        let page = limits.ask(&pages, now).unwrap();
        limits.answered(page, &unlimited, now);
    }
    assert_eq!(
        limits.ask(&pages, now).unwrap_err(),
        Wait::Until(now + ms(1000))
    );
    for guild in 1..=25 {
        let change = limits.ask(&lane(guild), now).unwrap();
        limits.answered(change, &left(4, ms(1000)), now + ms(1));
    }
    assert!(limits.ask(&lane(99), now + ms(2)).is_err());
    // The changes are in the way of the pages for as long as they count.
    assert_eq!(
        limits.ask(&pages, now + ms(2)).unwrap_err(),
        Wait::Until(now + ms(1001))
    );
    assert!(limits.ask(&pages, now + ms(1001)).is_ok());
}

#[test]
fn an_exhausted_bucket_opens_again_when_its_window_ends() {
    let mut limits = Limits::default();
    let now = Instant::now();
    let ticket = limits.ask(&lane(1), now).unwrap();
    limits.answered(ticket, &left(0, ms(700)), now);
    assert!(limits.ask(&lane(1), now + ms(699)).is_err());
    assert!(limits.ask(&lane(1), now + ms(700) + MARGIN).is_ok());
}

#[test]
fn a_late_answer_does_not_give_back_what_was_taken_since() {
    let mut limits = Limits::default();
    let now = Instant::now();
    let ticket = limits.ask(&lane(1), now).unwrap();
    limits.answered(ticket, &left(4, ms(1000)), now);
    let early = limits.ask(&lane(1), now).unwrap();
    let late = limits.ask(&lane(1), now).unwrap();
    limits.answered(late, &left(2, ms(990)), now + ms(10));
    limits.answered(early, &left(3, ms(985)), now + ms(15));
    let _three = limits.ask(&lane(1), now + ms(15)).unwrap();
    let _four = limits.ask(&lane(1), now + ms(15)).unwrap();
    assert!(limits.ask(&lane(1), now + ms(15)).is_err());
}

#[test]
fn routes_of_one_bucket_share_what_is_left() {
    let mut limits = Limits::default();
    let now = Instant::now();
    let revoke = Lane::of("DELETE", "/api/v10/guilds/1/members/2/roles/3");
    let ticket = limits.ask(&lane(1), now).unwrap();
    limits.answered(ticket, &left(4, ms(1000)), now);
    let ticket = limits.ask(&revoke, now).unwrap();
    limits.answered(ticket, &left(0, ms(1000)), now);
    assert!(limits.ask(&lane(1), now).is_err());
    assert!(limits.ask(&revoke, now).is_err());
}

#[test]
fn a_429_blocks_its_lane_alone_until_retry_after() {
    for scope in [Scope::User, Scope::Shared] {
        let mut limits = Limits::default();
        let now = Instant::now();
        let ticket = limits.ask(&lane(1), now).unwrap();
        limits.answered(ticket, &too_many(scope, ms(2500)), now);
        assert_eq!(
            limits.ask(&lane(1), now + ms(2499)).unwrap_err(),
            Wait::Until(now + ms(2500) + MARGIN)
        );
        // Learning the bucket's name through another guild does not lift it.
        let ticket = limits.ask(&lane(2), now).unwrap();
        limits.answered(ticket, &left(4, ms(1000)), now);
        assert!(limits.ask(&lane(1), now + ms(2499)).is_err());
        assert!(limits.ask(&lane(1), now + ms(2500) + MARGIN).is_ok());
    }
}

#[test]
fn a_global_429_blocks_all_but_interactions_and_cloudflares_blocks_all() {
    let callback = Lane::of("POST", "/api/v10/interactions/1/token/callback");
    for (scope, free) in [(Scope::Global, true), (Scope::Cloudflare, false)] {
        let mut limits = Limits::default();
        let now = Instant::now();
        let ticket = limits.ask(&lane(1), now).unwrap();
        limits.answered(ticket, &too_many(scope, ms(3000)), now);
        assert_eq!(
            limits.ask(&lane(2), now + ms(2999)).unwrap_err(),
            Wait::Until(now + ms(3000) + MARGIN)
        );
        assert_eq!(limits.ask(&callback, now).is_ok(), free);
        assert!(limits.ask(&lane(2), now + ms(3000) + MARGIN).is_ok());
    }
}

#[test]
fn a_second_never_sees_more_than_fifty_requests_however_long_they_travel() {
    let mut limits = Limits::default();
    let start = Instant::now();
    let mut now = start;
    // When Discord counts a request: at any moment between leaving and answer; here the worst pair of both.
    let mut counted_late = Vec::new();
    let mut under_way: std::collections::VecDeque<(Instant, Ticket)> = Default::default();
    let mut guild = 0;
    while now < start + Duration::from_secs(5) {
        while let Some((due, _)) = under_way.front()
            && *due <= now
        {
            let (due, ticket) = under_way.pop_front().unwrap();
            counted_late.push(due);
            limits.answered(ticket, &left(4, ms(1000)), now);
        }
        guild += 1;
        match limits.ask(&lane(guild), now) {
            Ok(ticket) => {
                // Counted at once by Discord, this request meets the late ones of the second before.
                let second = counted_late
                    .iter()
                    .filter(|late| **late + ms(1000) > now)
                    .count();
                assert!(second + under_way.len() < 50);
                under_way.push_back((now + ms(80), ticket));
            }
            Err(Wait::Until(_) | Wait::ForAnswer) => now += ms(1),
        }
    }
    assert!(
        counted_late.len() > 200,
        "and still most of the limit is used: {}",
        counted_late.len()
    );
}

#[test]
fn lost_and_unused_requests_do_not_clog_a_bucket() {
    let mut limits = Limits::default();
    let mut now = Instant::now();
    for _ in 0..200 {
        let ticket = limits.ask(&lane(1), now).unwrap();
        limits.lost(ticket, now);
        now += ms(1000);
    }
    for _ in 0..200 {
        let ticket = limits.ask(&lane(1), now).unwrap();
        limits.unused(ticket);
    }
    let ticket = limits.ask(&lane(1), now).unwrap();
    limits.answered(ticket, &left(1, ms(1000)), now);
    let ticket = limits.ask(&lane(1), now).unwrap();
    limits.unused(ticket);
    let ticket = limits.ask(&lane(1), now).unwrap();
    limits.lost(ticket, now);
    assert!(limits.ask(&lane(1), now).is_err());
    assert!(limits.ask(&lane(1), now + ms(1000) + MARGIN).is_ok());
}

#[test]
fn a_route_without_limit_headers_is_bound_by_the_global_limit_only() {
    let mut limits = Limits::default();
    let now = Instant::now();
    let me = Lane::of("GET", "/api/v10/users/@me");
    let ticket = limits.ask(&me, now).unwrap();
    limits.answered(
        ticket,
        &Answer {
            status: 200,
            ..Answer::default()
        },
        now,
    );
    let tickets: Vec<_> = std::iter::from_fn(|| limits.ask(&me, now).ok()).collect();
    assert_eq!(tickets.len(), 49);
}

#[test]
fn forgotten_guilds_do_not_pile_up() {
    let mut limits = Limits::default();
    let mut now = Instant::now();
    for guild in 1..5 * PRUNE_ABOVE as u64 {
        let ticket = limits.ask(&lane(guild), now).unwrap();
        limits.answered(ticket, &left(4, ms(1000)), now);
        now += ms(40);
    }
    assert!(
        limits.buckets.len() <= PRUNE_ABOVE + 1,
        "{}",
        limits.buckets.len()
    );
}

/// Discord as it counts: fixed windows that begin with the first request in them.
struct Model {
    limit: u32,
    window: Duration,
    open: std::collections::BTreeMap<u64, (Instant, u32)>,
}

impl Model {
    fn count(&mut self, guild: u64, now: Instant) -> Answer {
        let (started, used) = self.open.entry(guild).or_insert((now, 0));
        if now >= *started + self.window {
            (*started, *used) = (now, 0);
        }
        *used += 1;
        assert!(*used <= self.limit, "Discord would have answered 429");
        let allowance = Allowance {
            limit: self.limit,
            remaining: self.limit - *used,
            // Discord writes milliseconds.
            reset_after: ms((*started + self.window - now).as_millis() as u64),
        };
        Answer {
            status: 204,
            bucket: Some("roles".into()),
            allowance: Some(allowance),
            too_many: None,
        }
    }
}

#[test]
fn however_long_requests_and_answers_travel_no_bucket_is_ever_overdrawn() {
    use proptest::prelude::*;
    let travel = (0..400_u64, 0..400_u64, any::<bool>());
    proptest!(|(
        limit in 1..8_u32,
        window in 200..3000_u64,
        travels in proptest::collection::vec(travel, 1..40),
    )| {
        let mut model = Model { limit, window: ms(window), open: Default::default() };
        let mut limits = Limits::default();
        let start = Instant::now();
        // Under way to Discord (`None`) or back from it, by when it arrives.
        let mut moving: Vec<(Instant, u64, Ticket, Option<Answer>)> = Vec::new();
        let (mut sent, mut now) = (0, start);
        let mut answered = std::collections::BTreeSet::new();
        while sent < 150 {
            let (there, back, loses) = travels[sent % travels.len()];
            while let Some(index) = moving.iter().position(|(at, ..)| *at <= now) {
                let (at, guild, ticket, answer) = moving.swap_remove(index);
                match answer {
                    None => {
                        let answer = model.count(guild, at);
                        moving.push((at + ms(back), guild, ticket, Some(answer)));
                    }
                    // Discord has counted it, but its answer is lost. (Of the first one, nothing could be known.)
                    Some(_) if loses && back % 5 == 0 && answered.contains(&guild) => limits.lost(ticket, now),
                    Some(answer) => {
                        answered.insert(guild);
                        limits.answered(ticket, &answer, now);
                    }
                }
            }
            let guild = 1 + there % 2;
            match limits.ask(&lane(guild), now) {
                Ok(ticket) => {
                    sent += 1;
                    moving.push((now + ms(there), guild, ticket, None));
                }
                Err(wait) => {
                    let arrival = moving.iter().map(|(at, ..)| *at).min();
                    let until = match wait {
                        Wait::Until(at) => Some(at),
                        Wait::ForAnswer => None,
                    };
                    now = arrival.into_iter().chain(until).min().expect("something comes");
                }
            }
            prop_assert!(now < start + Duration::from_secs(3600), "it goes on");
        }
    });
}
