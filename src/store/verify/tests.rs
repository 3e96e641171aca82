//! Links and challenges over time.

use alloy::primitives::Address;

use super::*;
use crate::domain::Link;

const USER: UserId = UserId(5);
const GUILD: GuildId = GuildId(7);

fn key(n: u8) -> [u8; 32] {
    [n; 32]
}

fn challenge(request: u8, nonce: &str, expires_at: u64) -> Challenge {
    Challenge {
        request: key(request),
        user: USER,
        nonce: nonce.to_owned(),
        wallet: Wallet(Address::repeat_byte(1)),
        message: "text".to_owned(),
        expires_at: Timestamp(expires_at),
        state: RequestState::Open,
    }
}

fn link(user: UserId) -> Link {
    Link {
        user,
        wallet: Wallet(Address::repeat_byte(1)),
        linked_at: Timestamp(0),
        proof: None,
    }
}

fn open(store: &Store, n: u8, user: UserId, now: u64) {
    store
        .open_request(&key(n), user, GUILD, Timestamp(now + 600))
        .unwrap();
}

#[test]
fn a_link_is_known_for_a_while_after_its_time_and_then_forgotten() {
    let store = Store::in_memory().unwrap();
    open(&store, 1, USER, 0);
    let put = store.put_challenge(&challenge(1, "first", 700), Timestamp(100));
    assert_eq!(put.unwrap(), Usable::Yes);
    open(&store, 2, UserId(6), 4_000);
    assert_eq!(store.forget_old(Timestamp(4_200)).unwrap(), 0);
    let late = store.request(&key(1)).unwrap().unwrap();
    assert_eq!(late.usable(Timestamp(4_000)), Usable::Expired);
    assert_eq!(store.forget_old(Timestamp(4_201)).unwrap(), 2);
    assert_eq!(store.request(&key(1)).unwrap(), None);
    assert_eq!(store.challenge("first").unwrap(), None);
    assert!(store.request(&key(2)).unwrap().is_some());
    // What is left of the forgotten one does not stand in the way of the next.
    open(&store, 4, USER, 5_001);
    assert!(store.request(&key(4)).unwrap().is_some());
}

#[test]
fn forgetting_an_old_link_leaves_the_newer_one_replaceable() {
    let store = Store::in_memory().unwrap();
    open(&store, 1, USER, 0);
    open(&store, 2, USER, 4_100);
    assert_eq!(store.forget_old(Timestamp(4_300)).unwrap(), 1);
    assert_eq!(store.request(&key(1)).unwrap(), None);
    open(&store, 4, USER, 4_400);
    let second = store.request(&key(2)).unwrap().unwrap();
    assert_eq!(second.usable(Timestamp(4_400)), Usable::Replaced);
}

#[test]
fn a_request_that_is_opened_again_is_remembered_for_its_new_time() {
    let store = Store::in_memory().unwrap();
    for now in [0, 4_000] {
        open(&store, 1, USER, now);
    }
    assert_eq!(store.forget_old(Timestamp(4_201)).unwrap(), 0);
    let row = store.request(&key(1)).unwrap().unwrap();
    assert_eq!(row.usable(Timestamp(4_201)), Usable::Yes);
    assert_eq!(store.forget_old(Timestamp(8_201)).unwrap(), 1);
    assert_eq!(store.request(&key(1)).unwrap(), None);
}

#[test]
fn a_challenge_is_replaced_when_its_request_is_opened_again_for_another() {
    let store = Store::in_memory().unwrap();
    for nonce in ["first", "second"] {
        open(&store, 1, USER, 0);
        let put = store.put_challenge(&challenge(1, nonce, 600), Timestamp(0));
        assert_eq!(put.unwrap(), Usable::Yes);
    }
    let state = |nonce| store.challenge(nonce).unwrap().map(|row| row.state);
    assert_eq!(state("first"), Some(RequestState::Replaced));
    assert_eq!(state("second"), Some(RequestState::Open));
}

#[test]
fn a_link_completes_once_and_only_with_its_own_challenge_member_and_wallet() {
    let store = Store::in_memory().unwrap();
    open(&store, 1, USER, 0);
    open(&store, 2, UserId(6), 0);
    let now = Timestamp(10);
    store
        .put_challenge(&challenge(1, "mine", 600), now)
        .unwrap();
    let other = Challenge {
        user: UserId(6),
        ..challenge(2, "other", 600)
    };
    store.put_challenge(&other, now).unwrap();
    let complete = |request, nonce, link: &Link, now| {
        store
            .complete_request(&key(request), nonce, link, 5, now)
            .unwrap()
    };
    let mine = link(USER);
    let elsewhere = Link {
        wallet: Wallet(Address::repeat_byte(2)),
        ..link(USER)
    };
    for (expected, request, nonce, link, now) in [
        (Completed::Request(Usable::Unknown), 9, "mine", &mine, now),
        (Completed::Request(Usable::Unknown), 2, "other", &mine, now),
        (
            Completed::Challenge(Usable::Unknown),
            1,
            "other",
            &mine,
            now,
        ),
        (Completed::Challenge(Usable::Unknown), 1, "none", &mine, now),
        (
            Completed::Challenge(Usable::Unknown),
            1,
            "mine",
            &elsewhere,
            now,
        ),
        (
            Completed::Request(Usable::Expired),
            1,
            "mine",
            &mine,
            Timestamp(600),
        ),
    ] {
        assert_eq!(complete(request, nonce, link, now), expected);
    }
    assert_eq!(store.link_count().unwrap(), 0);
    let linked = Completed::Linked(LinkOutcome::Linked);
    assert_eq!(complete(1, "mine", &mine, now), linked);
    assert_eq!(
        complete(1, "mine", &mine, now),
        Completed::Request(Usable::Used)
    );
    assert!(store.take_touched().members.contains(&USER));
    let put = store
        .put_challenge(&challenge(1, "late", 600), now)
        .unwrap();
    assert_eq!(put, Usable::Used);
    assert_eq!(store.challenge("late").unwrap(), None);
}

#[test]
fn nothing_of_a_run_outlives_the_rest() {
    let store = Store::in_memory().unwrap();
    open(&store, 1, USER, 0);
    // The second is given out in the link's last second, and would work for ten minutes more.
    for (nonce, at) in [("first", 0), ("second", 599)] {
        let put = store.put_challenge(&challenge(1, nonce, at + 600), Timestamp(at));
        assert_eq!(put.unwrap(), Usable::Yes);
    }
    assert_eq!(store.challenges_of(USER).unwrap().len(), 2);
    assert_eq!(store.forget_old(Timestamp(600 + 3_600 + 1)).unwrap(), 3);
    assert_eq!(store.challenges_of(USER).unwrap(), []);
    assert_eq!(store.requests_of(USER).unwrap(), []);
}

#[test]
fn a_rush_of_old_links_is_forgotten_to_the_last() {
    let store = Store::in_memory().unwrap();
    for n in 0..=u8::MAX {
        open(&store, n, UserId(n.into()), 0);
        let row = Challenge {
            user: UserId(n.into()),
            ..challenge(n, &format!("nonce {n}"), 600)
        };
        store.put_challenge(&row, Timestamp(0)).unwrap();
    }
    let forgotten = store.forget_old(Timestamp(5_000)).unwrap();
    assert_eq!(forgotten, 2 * 256);
    assert_eq!(store.forget_old(Timestamp(5_000)).unwrap(), 0);
}

#[test]
fn deleting_takes_replaced_texts_and_those_of_forgotten_links_too() {
    let store = Store::in_memory().unwrap();
    open(&store, 1, USER, 0);
    open(&store, 2, UserId(6), 0);
    let other = Challenge {
        user: UserId(6),
        ..challenge(2, "other", 600)
    };
    for row in [challenge(1, "old", 600), challenge(1, "new", 600), other] {
        store.put_challenge(&row, Timestamp(0)).unwrap();
    }
    let of_another = Challenge {
        user: UserId(6),
        ..challenge(1, "of another", 600)
    };
    let put = store.put_challenge(&of_another, Timestamp(0)).unwrap();
    assert_eq!(put, Usable::Unknown, "a link is one member's");
    store.forget_requests(USER).unwrap();
    for gone in ["old", "new"] {
        assert_eq!(store.challenge(gone).unwrap(), None, "{gone}");
    }
    assert_eq!(store.challenges_of(UserId(6)).unwrap().len(), 1);
    // What was deleted leaves no row behind that says when to delete it.
    assert_eq!(store.forget_old(Timestamp(5_000)).unwrap(), 2);
}
