//! Roles as chips: those of a guild, those of a member.
use maud::{Markup, html};

use crate::domain::RoleId;
use crate::sandbox::discord::guild::{Guild, Member, Role};

/// Roles without @everyone, highest first.
pub(super) fn ordered(guild: &Guild) -> Vec<(RoleId, &Role)> {
    let mut roles: Vec<_> = guild.roles.iter().map(|(id, role)| (*id, role)).collect();
    roles.retain(|(_, role)| role.position > 0);
    roles.sort_by_key(|(id, role)| (std::cmp::Reverse(role.position), *id));
    roles
}

/// A role.
pub(super) fn chip(guild: &Guild, id: RoleId, role: &Role) -> Markup {
    let color = if role.color == 0 {
        0x99_aab5
    } else {
        role.color
    };
    html! {
        li.chip data-role=(id) title=(format!("position {} of {}", role.position, guild.roles.len() - 1)) {
            svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true" {
                circle cx="5" cy="5" r="5" fill=(format!("#{color:06x}")) {}
            }
            span { (role.name) }
            @if role.bot.is_some() { span.tag { "bot" } } @else if role.managed { span.tag { "managed" } }
        }
    }
}

/// A member's roles.
pub(super) fn roles(guild: &Guild, member: &Member, name: &str) -> Markup {
    let all = ordered(guild).into_iter();
    let has: Vec<_> = all
        .filter(|(role, _)| member.roles.contains(role))
        .collect();
    html! {
        ul.roles aria-label=(format!("Roles of {name}")) {
            @for (role, data) in &has { (chip(guild, *role, data)) }
            @if has.is_empty() { li.none { "no roles" } }
        }
    }
}
