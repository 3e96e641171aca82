//! The pages of the local sign-in: who are you, which server, and refusals.
use maud::{DOCTYPE, Markup, html};

use super::view::head;
use crate::domain::{GuildId, UserId};
use crate::sandbox::discord::oauth::request::{ALLOW, Asked, Request};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// Users offered by name; any other can be typed as an id.
const OFFERED: usize = 30;

fn frame(title: &str, inner: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { (head(title)) }
            body.small { main.dialog { h1 { (title) } (inner) } }
        }
    }
}

/// The request's parameters again, so that the choice goes back with them.
fn carried(asked: &Asked, but: &str) -> Markup {
    html! {
        @for (key, value) in asked.iter().filter(|(key, _)| key.as_str() != but) {
            input type="hidden" name=(key) value=(value);
        }
    }
}

/// Asks the visitor which local user they are.
pub(crate) fn who(world: &World, asked: &Asked, request: &Request) -> Markup {
    let users: Vec<_> = world
        .users
        .iter()
        .filter(|(_, user)| user.name.is_some() && !user.bot)
        .take(OFFERED)
        .map(|(id, _)| *id)
        .collect();
    let inner = html! {
        p { strong { (world.options.name) } " asks for:" }
        ul.scopes { @for scope in &request.scopes { li { (meaning(scope)) } } }
        form method="get" action="/oauth2/authorize" {
            (carried(asked, "as"))
            input type="hidden" name="ask" value="1";
            p.label { "Who are you?" }
            div.choices {
                @for id in users {
                    button type="submit" name="as" value=(id) { (shape::user_name(world, id)) }
                }
            }
        }
        form.row method="get" action="/oauth2/authorize" {
            (carried(asked, "as"))
            input type="hidden" name="ask" value="1";
            label for="other" { "Another user's id" }
            input #other name="as" inputmode="numeric" pattern="[0-9]+" required;
            button type="submit" { "Continue" }
        }
        form method="get" action="/oauth2/authorize" {
            (carried(asked, "deny"))
            button.plain type="submit" name="deny" value="1" { "Cancel" }
        }
    };
    frame("Sign in to the local Discord", &inner)
}

/// Asks to which server the bot is to be added, and what it may do there. Only servers that the visitor manages are
/// offered, the one that the application asks for first.
pub(crate) fn which_guild(world: &World, asked: &Asked, request: &Request, user: UserId) -> Markup {
    let offered = |id: GuildId| !request.only_this_guild || request.guild.is_none_or(|it| it == id);
    let mut guilds: Vec<_> = world
        .guilds
        .values()
        .filter(|guild| guild.permissions(user).manage_guild() && offered(guild.id))
        .collect();
    guilds.sort_by_key(|guild| request.guild != Some(guild.id));
    let kept: Asked = asked
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "as" | "ask" | "pick"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let inner = html! {
        p.quiet { "You are " strong { (shape::user_name(world, user)) } "." }
        @if guilds.is_empty() {
            p.notice {
                @if request.only_this_guild { "You do not manage the server that this is for." }
                @else { "You manage no server here." }
            }
        } @else {
            form method="get" action="/oauth2/authorize" {
                (carried(&kept, ""))
                input type="hidden" name="as" value=(user);
                input type="hidden" name="ticked" value="1";
                fieldset {
                    legend.label { (world.options.name) " may" }
                    @for (name, _) in request.permissions.iter_names() {
                        label.tick {
                            input type="checkbox" name=(format!("{ALLOW}{name}")) value="1" checked;
                            (name.replace('_', " ").to_lowercase())
                        }
                    }
                    @if request.permissions.is_empty() { p.quiet { "no more than everyone" } }
                }
                p.label { "Add " (world.options.name) " to" }
                div.choices {
                    @for guild in guilds {
                        button type="submit" name="pick" value=(guild.id) { (guild.name) }
                    }
                }
            }
        }
        form method="get" action="/oauth2/authorize" {
            (carried(asked, "deny"))
            button.plain type="submit" name="deny" value="1" { "Cancel" }
        }
    };
    frame("Choose a server", &inner)
}

fn meaning(scope: &str) -> String {
    match scope {
        "identify" => "your name and picture".to_owned(),
        "email" => "your e-mail address".to_owned(),
        "guilds" => "the list of your servers".to_owned(),
        "guilds.members.read" => "your roles in your servers".to_owned(),
        "bot" => "adding a bot to a server".to_owned(),
        "applications.commands" => "adding commands to a server".to_owned(),
        other => other.to_owned(),
    }
}

/// A refused request: nobody is sent anywhere.
pub(crate) fn refusal(why: &str) -> Markup {
    frame("This sign-in cannot go on", &html! { p.notice { (why) } })
}

/// The end of a flow that leads nowhere else.
pub(crate) fn done(what: &str) -> Markup {
    frame("Done", &html! { p { (what) " You can close this page." } })
}
