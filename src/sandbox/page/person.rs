//! One person: their card, the bot's commands as they type them, and the messages that they read.
use maud::{Markup, html};
use serenity::model::id::{ChannelId, MessageId};

use super::card::{by_hand, card, hand};
use super::console::console;
use super::message::message;
use super::names::Reader;
use crate::domain::UserId;
use crate::sandbox::discord::guild::Guild;
use crate::sandbox::discord::world::{Channel, World};
use crate::sandbox::discord::{SeenMessage, shape};

/// Messages shown of a channel.
const MESSAGES: usize = 8;

/// Somebody's card, commands and messages.
pub(super) fn person(world: &World, guild: &Guild, user: UserId) -> Markup {
    let member = guild.members.get(&user);
    let name = shape::user_name(world, user);
    html! {
        @if let Some(member) = member {
            ul.members.alone { (card(world, guild, user, member)) }
        } @else {
            p.notice {
                (name) " is not in " (guild.name) ". "
                button type="button" id=(format!("join-{}-{user}", guild.id))
                    data-action=(hand("join", guild.id, user, None)) { (name) " joins" }
            }
        }
        section.discord id=(format!("discord-{user}")) aria-labelledby="discord-title" {
            h2 #discord-title { "On Discord, as " (name) }
            @if member.is_some() { (console(world, guild, user)) }
            (channel(world, guild, user))
            @if let Some(member) = member.filter(|_| user != guild.owner) { (by_hand(guild, user, member)) }
        }
    }
}

/// What stands in the guild's channel and in the direct messages.
fn channel(world: &World, guild: &Guild, user: UserId) -> Markup {
    let reader = Reader {
        world,
        guild: Some(guild.id),
        user: Some(user),
    };
    let direct = world
        .channels
        .iter()
        .find(|(_, channel)| matches!(channel, Channel::Direct { user: with } if *with == user));
    let of = |id: ChannelId, title: &str| {
        let range = (id, MessageId::new(1))..=(id, MessageId::new(u64::MAX));
        let all = world.messages.range(range);
        let mut last: Vec<_> = all
            .map(|((_, id), message)| SeenMessage::new(*id, message))
            .filter(|message| !message.ephemeral)
            .collect();
        let last = last.split_off(last.len().saturating_sub(MESSAGES));
        html! {
            @if !last.is_empty() {
                div.channel {
                    h3 { (title) }
                    @for one in &last { (message(one, &reader)) }
                }
            }
        }
    };
    html! {
        @for id in &guild.channels { (of(*id, "#general")) }
        @if let Some((id, _)) = direct { (of(*id, "Direct messages from the bot")) }
    }
}
