//! The time line: chain events with their confirmations, what people do, and role changes, which stand out.
use maud::{Markup, html};

use super::markdown::line;
use super::names::Reader;
use crate::sandbox::discord::Happening;
use crate::sandbox::discord::board::Line;
use crate::sandbox::discord::shape::timestamp;
use crate::sandbox::discord::world::World;

/// Entries shown.
const SHOWN: usize = 60;

/// The time line, newest first.
pub(super) fn time_line(world: &World) -> Markup {
    html! {
        section.log aria-labelledby="log-title" tabindex="0" {
            h2 #log-title { "What happened" }
            ol #log { @for one in world.board.lines.iter().take(SHOWN) { (entry(world, one)) } }
        }
    }
}

fn entry(world: &World, one: &Line) -> Markup {
    let (class, mark) = match one.kind {
        Happening::Granted => ("granted", "+"),
        Happening::Revoked => ("revoked", "−"),
        Happening::Person => ("person", "•"),
        Happening::Chain => ("chain", "◆"),
        Happening::Refused => ("refused", "!"),
    };
    let reader = Reader {
        world,
        guild: None,
        user: None,
    };
    let at = timestamp(one.at.unix_timestamp());
    html! {
        li class=(class) data-undone=[one.undone.then_some("")] {
            span.mark aria-hidden="true" { (mark) }
            time data-style="T" datetime=(at) { (at) }
            span.what {
                (line(&one.text, &reader))
                @if let Some(block) = one.block { " " (standing(world, block.number, one.undone)) }
            }
        }
    }
}

/// How sure it is that it happened.
fn standing(world: &World, block: u64, undone: bool) -> Markup {
    let needed = world.board.picture.confirmations;
    let on_top = world.board.picture.head.saturating_sub(block);
    html! {
        @if undone {
            span.sure { "undone by the reorganisation" }
        } @else if on_top >= needed {
            span.sure { "block " (block) ", confirmed" }
        } @else {
            span.sure.waits { "block " (block) ", " (on_top) " of " (needed) " blocks on top" }
        }
    }
}
