use super::*;
use crate::domain::GuildId;
use crate::sandbox::discord::{Happening, InBlock, Options, Person, Picture, Step};

fn world() -> (World, GuildId) {
    let mut world = World::new(Options::default(), String::new());
    let guild = GuildId(5 << 22);
    world.add_guild(guild, "Club");
    (world, guild)
}

#[test]
fn names_are_escaped_and_shown_with_their_roles() {
    let mut world = World::new(Options::default(), String::new());
    let (guild, user) = (GuildId(5 << 22), UserId(77));
    world.add_guild(guild, "Club <b>");
    world.add_user(user, Some("<script>alert(1)</script>"));
    world.add_member(guild, user).unwrap();
    let html = page(&world, View::Everyone).into_string();
    assert!(html.contains("Club &lt;b&gt;"));
    assert!(!html.contains("<script>alert"));
    assert!(html.contains("no roles"));
}

#[test]
fn a_crowd_is_counted_instead_of_shown() {
    let (mut world, guild) = world();
    for id in 1..=100 {
        world.add_member(guild, UserId(id)).unwrap();
    }
    let html = page(&world, View::Everyone).into_string();
    assert_eq!(html.matches("class=\"member\"").count(), CARDS + 1);
    assert!(html.contains("and 76 more members"));
}

#[test]
fn the_next_step_alone_is_explained_and_has_its_button() {
    let (mut world, guild) = world();
    let user = UserId(77);
    world.add_user(user, Some("ada"));
    world.add_member(guild, user).unwrap();
    let step = |title: &str, done| Step {
        title: title.into(),
        why: format!("Because of **{title}**."),
        done,
        offers: Vec::new(),
    };
    let person = Person {
        steps: vec![step("one", true), step("two", false), step("three", false)],
        ..Person::default()
    };
    world.board.picture = Picture {
        merchant: Some(UserId(1)),
        people: [(user, person)].into(),
        ..Picture::default()
    };
    let html = page(&world, View::Member(None)).into_string();
    assert!(html.contains("Because of <strong>two</strong>"));
    assert!(!html.contains("of <strong>one") && !html.contains("of <strong>three"));
    assert_eq!(html.matches("aria-current=\"step\"").count(), 1);
}

#[test]
fn an_event_says_how_many_blocks_stand_on_it_and_whether_it_was_undone() {
    let (mut world, _) = world();
    world.board.picture.head = 8;
    world.board.picture.confirmations = 2;
    let shown = |world: &World| time_line(world).into_string();
    world.happened(Happening::Person, "typed");
    let block = InBlock {
        number: 7,
        hash: [1; 32],
    };
    world.board.lines[0].block = Some(block);
    assert!(shown(&world).contains("1 of 2 blocks on top"));
    world.board.picture.head = 9;
    assert!(shown(&world).contains("confirmed"));
    world.board.lines[0].undone = true;
    let html = shown(&world);
    assert!(
        html.contains("undone") && !html.contains("confirmed"),
        "{html}"
    );
}
