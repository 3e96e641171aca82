//! The bot, its application, and the clocks.

use crate::discord::Application;
use crate::doctor::facts::{Bot, BotFacts, CommandFacts, DiscordFacts, Facts, SecretFacts};
use crate::domain::{Finding, REVIEWED_FROM};
use crate::text;

/// Clocks that differ by more than this are worth a word, in seconds.
const OFF: u64 = 5;
/// By more than this, signatures and sign-ins are refused.
const FAR_OFF: u64 = 60;
/// With fewer sessions left for the day, a few restarts may use them up.
const FEW_STARTS: u32 = 50;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let discord = &facts.discord;
    let mut findings = vec![clock(discord.clock_ahead)];
    let bot = match &discord.bot {
        BotFacts::NoToken => {
            findings.push(Finding::failure(
                "discord.token",
                "there is no usable bot token",
                "set AMSER_ROLES_DISCORD_TOKEN (developer portal, Bot) or AMSER_ROLES_DISCORD_TOKEN_FILE",
            ));
            None
        }
        BotFacts::Refused => {
            findings.push(Finding::failure(
                "discord.token",
                "Discord refuses the bot token",
                "reset it in the developer portal (Bot) and put the new one into AMSER_ROLES_DISCORD_TOKEN",
            ));
            None
        }
        BotFacts::Unreachable(why) => {
            findings.push(Finding::failure(
                "discord.reach",
                why.clone(),
                "check this machine's way to the internet, and https://discordstatus.com",
            ));
            None
        }
        BotFacts::Is(bot) => Some(bot),
    };
    findings.push(secret(&discord.secret));
    if let Some(bot) = bot {
        let sentence = format!("the bot is {}", bot.user.username);
        findings.push(Finding::ok("discord.token", sentence));
        of_application(facts, bot, &mut findings);
        findings.push(commands(&bot.commands, facts.service.is_some()));
        findings.extend(starts(bot));
    }
    findings
}

fn clock(ahead: Option<i64>) -> Finding {
    let name = "clock";
    let Some(ahead) = ahead else {
        return Finding::warning(
            name,
            "this machine's clock could not be compared with Discord's",
            "check this machine's way to the internet",
        );
    };
    let (by, which) = (
        ahead.unsigned_abs(),
        if ahead > 0 { "behind" } else { "ahead of" },
    );
    let sentence = format!(
        "this machine's clock is {} {which} Discord's",
        text::counted(by, "second")
    );
    let what_to_do = "set the clock, and keep it by NTP (timedatectl set-ntp true)";
    match by {
        0..=OFF => Finding::ok(name, "this machine's clock agrees with Discord's"),
        by if by <= FAR_OFF => Finding::warning(name, sentence, what_to_do),
        _ => Finding::failure(name, sentence, what_to_do),
    }
}

fn secret(secret: &SecretFacts) -> Finding {
    let name = "discord.secret";
    let where_it_is =
        "copy it from the developer portal (OAuth2) into AMSER_ROLES_DISCORD_CLIENT_SECRET";
    match secret {
        SecretFacts::Accepted => Finding::ok(name, "Discord accepts the client secret"),
        SecretFacts::NotNeeded => {
            Finding::ok(name, "nobody signs in, so no client secret is needed")
        }
        SecretFacts::Missing => Finding::failure(
            name,
            "there is no client secret, so nobody can sign in",
            format!("{where_it_is}, or set web.sign_in = \"none\""),
        ),
        SecretFacts::Refused => Finding::failure(
            name,
            "Discord refuses the client secret for discord.application_id",
            where_it_is,
        ),
        SecretFacts::Unknown(why) => Finding::warning(
            name,
            format!("the client secret could not be tried: {why}"),
            "run doctor again",
        ),
    }
}

fn of_application(facts: &Facts, bot: &Bot, findings: &mut Vec<Finding>) {
    let discord = &facts.discord;
    let application = match &bot.application {
        Ok(application) => application,
        Err(why) => {
            findings.push(Finding::warning(
                "discord.application",
                format!("Discord does not show the application: {why}"),
                "run doctor again",
            ));
            return;
        }
    };
    let id = discord.application_id;
    if application.id.0 == id {
        let sentence = format!("the bot token is of the application {}", application.name);
        findings.push(Finding::ok("discord.application", sentence));
    } else {
        findings.push(Finding::failure(
            "discord.application",
            format!(
                "discord.application_id is {id}, but the bot token is of the application {} ({})",
                application.id, application.name
            ),
            "correct discord.application_id, or use the token of that application's bot",
        ));
    }
    findings.push(intent(discord, application));
    findings.extend(review(facts, application));
    findings.push(match application.is_public {
        false => Finding::ok("discord.public_bot", "only you can add the bot to a server"),
        true => Finding::warning(
            "discord.public_bot",
            "anyone can add the bot to their server, and use up its limits",
            "switch \"Public Bot\" off in the developer portal (Bot), unless other merchants are to connect their servers",
        ),
    });
    if facts.web.signs_in {
        let callback = &discord.callback;
        findings.push(match application.redirect_uris.contains(callback) {
            true => Finding::ok("discord.redirect", format!("{callback} is registered")),
            false => Finding::failure(
                "discord.redirect",
                format!(
                    "{callback} is not among the application's redirects, so nobody can sign in"
                ),
                "add exactly this address in the developer portal (OAuth2, Redirects)",
            ),
        });
    }
}

fn intent(discord: &DiscordFacts, application: &Application) -> Finding {
    let name = "discord.intent";
    match (discord.wants_members, application.has_members_intent()) {
        (true, true) => Finding::ok(name, "the members intent is switched on"),
        (false, _) => Finding::ok(name, "the members intent is not asked for"),
        (true, false) => Finding::warning(
            name,
            "the privileged intent \"Server Members\" is off: who joins may wait up to two minutes for a role",
            "switch it on in the developer portal (Bot), or set discord.members_intent = \"never\"",
        ),
    }
}

/// Discord's rule of 10,000 users. How many users an application has is not shown, but the servers' members are.
fn review(facts: &Facts, application: &Application) -> Option<Finding> {
    let name = "discord.review";
    let servers = facts.servers.iter();
    let seen = servers.filter_map(|server| server.seen.as_ref().ok()?.as_ref());
    let members: u64 = seen.map(|server| server.members).sum();
    let is_asked_for = facts.discord.wants_members && application.has_members_intent();
    let about = text::counted(members, "member");
    is_asked_for.then(|| match application.is_unreviewed() && members >= REVIEWED_FROM {
        true => Finding::warning(
            name,
            format!("the bot's servers have about {about}, and Discord has not reviewed the members intent"),
            "apply for it in the developer portal: an application that reaches 10,000 users must do so within 90 days, and again every year",
        ),
        false => Finding::ok(name, format!("the bot's servers have about {about}")),
    })
}

fn commands(commands: &CommandFacts, is_running: bool) -> Finding {
    let name = "discord.commands";
    let restart = "restart the service; it registers them at each start";
    match commands {
        CommandFacts::Same => Finding::ok(name, "the slash commands are registered"),
        CommandFacts::None | CommandFacts::Different if !is_running => {
            Finding::ok(name, "the slash commands are registered at the next start")
        }
        CommandFacts::None => Finding::failure(name, "no slash commands are registered", restart),
        CommandFacts::Different => Finding::warning(
            name,
            "other slash commands are registered than this version has",
            format!("{restart}; if they change again, another program uses the same bot"),
        ),
        CommandFacts::Refused(why) => Finding::failure(
            name,
            format!("Discord refuses the slash commands: {why}"),
            "correct discord.application_id",
        ),
        CommandFacts::Unknown(why) => Finding::warning(
            name,
            format!("it is not known whether the slash commands are registered: {why}"),
            "run doctor again",
        ),
    }
}

fn starts(bot: &Bot) -> Option<Finding> {
    let name = "discord.sessions";
    let starts = bot.starts.as_ref().ok()?;
    let sentence = format!(
        "{} of {} sessions are left today",
        starts.remaining, starts.total
    );
    Some(match starts.remaining >= FEW_STARTS.min(starts.total) {
        true => Finding::ok(name, sentence),
        false => Finding::warning(
            name,
            sentence,
            "find out what restarts the bot, or which other program uses its token: at 0 Discord resets the token",
        ),
    })
}

/// Splits a sentence of `text` into what is and what to do.
pub(super) fn split(sentence: &str) -> (String, String) {
    match sentence.rsplit_once(": ") {
        Some((what, to_do)) => (what.to_owned(), to_do.trim_end_matches('.').to_owned()),
        None => (sentence.to_owned(), "see the log".to_owned()),
    }
}

/// The sentence about an intent that Discord refused while the service ran.
pub(super) fn refused_intent() -> Finding {
    let (what, to_do) = split(&text::intent_refused());
    Finding::warning("service.intent", what, to_do)
}
