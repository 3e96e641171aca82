use super::*;
use crate::domain::UserId;
use crate::store::backup::tests::link;

#[test]
fn links_come_in_once_and_never_move_to_another_member() {
    let store = Store::in_memory().unwrap();
    let mut mine = link(1);
    mine.linked_at = crate::domain::Timestamp(500);
    store.link(&mine, 5).unwrap();
    let taken = Link {
        user: UserId(99),
        ..link(1)
    };
    let links = [
        (link(1), vec![GuildId(4)]),
        (link(2), vec![GuildId(4), GuildId(5)]),
        (taken, vec![GuildId(6)]),
    ];
    let expected = [Imported::Known, Imported::Linked, Imported::OfAnotherMember];
    assert_eq!(store.import_links(&links, 5).unwrap(), expected);
    assert_eq!(
        store.link_of(mine.wallet).unwrap(),
        Some(mine),
        "it stays as it was"
    );
    assert_eq!(store.seen_in(UserId(2)).unwrap(), [GuildId(4), GuildId(5)]);
    assert_eq!(store.seen_in(UserId(99)).unwrap(), []);
    let again = [Imported::Known, Imported::Known, Imported::OfAnotherMember];
    assert_eq!(store.import_links(&links, 5).unwrap(), again);

    let more: Vec<_> = (10..13)
        .map(|n| {
            (
                Link {
                    user: UserId(7),
                    ..link(n)
                },
                Vec::new(),
            )
        })
        .collect();
    let limited = [Imported::Linked, Imported::Linked, Imported::TooMany];
    assert_eq!(store.import_links(&more, 2).unwrap(), limited);

    let mut handed = Vec::new();
    store
        .for_each_proof(|link, servers| {
            handed.push((link.user, servers));
            Ok(())
        })
        .unwrap();
    handed.sort();
    assert_eq!(handed[1], (UserId(2), vec![GuildId(4), GuildId(5)]));
    assert_eq!(handed.len(), 4);
}
