//! Who is read first, and who is asked again when.

use super::*;
use crate::discord::Refusal;

const GUILD: GuildId = GuildId(1);

fn refused(reason: Reason) -> anyhow::Error {
    let refusal = Refusal {
        reason,
        status: 403,
        code: 50_001,
        message: "Missing Access".to_owned(),
    };
    Failure::Refused(refusal).into()
}

#[test]
fn who_paid_just_now_is_read_first_and_a_request_is_filled_with_others_of_the_server() {
    let now = Instant::now();
    let mut reading = Reading::new(now);
    for user in 1..=150 {
        reading.want_in(Tier::Other, GUILD, UserId(user));
    }
    reading.want_in(Tier::Concerned, GuildId(2), UserId(1));
    reading.want_in(Tier::Concerned, GUILD, UserId(900));
    reading.want_in(Tier::JustNow, GUILD, UserId(901));
    let (guild, users) = reading.take_chunk(now).unwrap();
    assert_eq!((guild, users.len()), (GUILD, CHUNK));
    assert!(users.contains(&UserId(900)) && users.contains(&UserId(901)));
    assert_eq!(reading.take_chunk(now), Some((GuildId(2), vec![UserId(1)])));
    assert_eq!(reading.take_chunk(now).unwrap().1.len(), 52);
    assert_eq!(reading.take_chunk(now), None);
    assert!(reading.is_idle(now) && reading.is_read(GUILD));
}

#[test]
fn a_server_that_refuses_is_asked_ever_more_rarely_and_keeps_no_other_from_its_turn() {
    let mut now = Instant::now();
    let mut reading = Reading::new(now);
    reading.want_in(Tier::Other, GUILD, UserId(1));
    for _ in 0..20 {
        now += LONGEST_AFTER_REFUSAL;
        reading.failed(GUILD, &refused(Reason::Guild), now);
    }
    let minutes = |minutes: u64| now + Duration::from_secs(60 * minutes);
    assert!(!reading.may_read(GUILD, minutes(59)) && reading.may_read(GUILD, minutes(61)));
    assert!(reading.is_idle(now), "everyone else's next round begins");
    assert!(!reading.is_read(GUILD));
    // What passes by itself is tried every minute.
    let lost = anyhow::anyhow!("the gateway was lost");
    now += LONGEST_AFTER_REFUSAL;
    reading.failed(GUILD, &lost, now);
    assert!(!reading.may_read(GUILD, now) && reading.may_read(GUILD, now + LONGEST_RETRY));
}

#[test]
fn requests_that_fail_together_count_as_one_failure() {
    let now = Instant::now();
    let mut reading = Reading::new(now);
    for _ in 0..8 {
        reading.failed(GUILD, &anyhow::anyhow!("the gateway was lost"), now);
    }
    assert!(reading.may_read(GUILD, now + RETRY));
}

#[test]
fn everyone_is_read_again_once_a_minute_where_no_member_event_comes() {
    let now = Instant::now();
    for (intent, period) in [
        (MembersIntent::Refused, 60),
        (MembersIntent::Never, 60),
        (MembersIntent::Used, 3_600),
    ] {
        let mut reading = Reading::new(now);
        let is_over = |reading: &mut Reading, seconds| {
            reading.is_round_over(intent, now + Duration::from_secs(seconds))
        };
        // The first round takes longer than the period.
        reading.want_page(GUILD, UserId(0));
        let end = period + 60;
        assert!(!is_over(&mut reading, end), "{intent:?}");
        assert!(reading.take_page(now).is_some());
        for after in [0, period - 1] {
            assert!(!is_over(&mut reading, end + after), "{intent:?}");
        }
        assert!(is_over(&mut reading, end + period), "{intent:?}");
    }
}

#[test]
fn a_member_list_that_is_to_begin_again_is_not_continued_by_an_older_answer() {
    let now = Instant::now();
    let mut reading = Reading::new(now);
    reading.want_page(GUILD, UserId(0));
    assert_eq!(reading.take_page(now), Some((GUILD, UserId(0))));
    reading.want_page(GUILD, UserId(0));
    reading.want_page(GUILD, UserId(1_000));
    assert_eq!(reading.take_page(now), Some((GUILD, UserId(0))));
}
