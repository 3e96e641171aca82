//! What stands inside a line.
use maud::{Markup, html};

use super::Names;
use crate::sandbox::discord::shape::timestamp;

/// Renders a line.
pub(super) fn inline(text: &str, names: &dyn Names) -> Markup {
    let mut parts: Vec<Markup> = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some((part, left)) = special(rest, plain.chars().next_back(), names) {
            if !plain.is_empty() {
                let plain = std::mem::take(&mut plain);
                parts.push(html! { (plain) });
            }
            parts.push(part);
            rest = left;
        } else {
            // A backslash takes the meaning from the mark behind it.
            let (shown, taken) = match rest.strip_prefix('\\').and_then(|rest| rest.chars().next())
            {
                Some(mark) if mark.is_ascii_punctuation() => (mark, 1 + mark.len_utf8()),
                _ => (letter, letter.len_utf8()),
            };
            plain.push(shown);
            rest = &rest[taken..];
        }
    }
    html! { @for part in parts { (part) } (plain) }
}

/// What begins here, if it is more than a letter, and what follows it.
fn special<'a>(
    text: &'a str,
    before: Option<char>,
    names: &dyn Names,
) -> Option<(Markup, &'a str)> {
    let inside_word = before.is_some_and(char::is_alphanumeric);
    if let Some((code, left)) = between(text, "``", "``").or_else(|| between(text, "`", "`")) {
        return Some((html! { code { (code) } }, left));
    }
    if let Some((bold, left)) = between(text, "**", "**") {
        return Some((html! { strong { (inline(bold, names)) } }, left));
    }
    if let Some((line, left)) = between(text, "__", "__").filter(|_| !inside_word) {
        return Some((html! { strong { (inline(line, names)) } }, left));
    }
    if let Some((gone, left)) = between(text, "~~", "~~") {
        return Some((html! { s { (inline(gone, names)) } }, left));
    }
    let under = || between(text, "_", "_").filter(|_| !inside_word);
    if let Some((slanted, left)) = between(text, "*", "*").or_else(under) {
        return Some((html! { em { (inline(slanted, names)) } }, left));
    }
    if let Some((label, left)) = between(text, "[", "](") {
        let (url, left) = left.split_once(')')?;
        let url = url.trim_matches(|mark| mark == '<' || mark == '>');
        return Some((link(url, label, names)?, left));
    }
    if let Some((tag, left)) = between(text, "<", ">") {
        return Some((tagged(tag, names)?, left));
    }
    if !inside_word && (text.starts_with("https://") || text.starts_with("http://")) {
        let end = text.find([' ', ')', '>', '"']).unwrap_or(text.len());
        let url = text[..end].trim_end_matches(['.', ',', ':', ';', '!', '?']);
        return Some((link(url, url, names)?, &text[url.len()..]));
    }
    None
}

/// What stands between two marks, when there is something.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    let inner = text.strip_prefix(open)?;
    let (inner, left) = inner.split_once(close)?;
    let hugs = !inner.is_empty() && !inner.starts_with(' ') && !inner.ends_with(' ');
    hugs.then_some((inner, left))
}

fn link(url: &str, label: &str, names: &dyn Names) -> Option<Markup> {
    let known = url.starts_with("https://") || url.starts_with("http://");
    known.then(|| {
        html! { a href=(names.link(url)) target="_blank" rel="noopener" { (label) } }
    })
}

/// Mentions, times, commands and links in angle brackets.
fn tagged(tag: &str, names: &dyn Names) -> Option<Markup> {
    let mention = |mark: &str, name: Option<String>, id: &str| {
        let name = name.unwrap_or_else(|| id.to_owned());
        html! { span.mention { (mark) (name) } }
    };
    if let Some(id) = tag.strip_prefix("@&") {
        return Some(mention("@", names.role(id), id));
    }
    if let Some(id) = tag.strip_prefix("@!").or_else(|| tag.strip_prefix('@')) {
        return Some(mention("@", names.user(id), id));
    }
    if let Some(id) = tag.strip_prefix('#') {
        return Some(mention("#", names.channel(id), id));
    }
    if let Some(command) = tag.strip_prefix('/') {
        let (name, _) = command.split_once(':')?;
        return Some(mention("/", Some(name.to_owned()), name));
    }
    if let Some(time) = tag.strip_prefix("t:") {
        let (seconds, style) = time.split_once(':').unwrap_or((time, "f"));
        let at = timestamp(seconds.parse().ok()?);
        return Some(html! { time data-style=(style) datetime=(at) { (at) } });
    }
    link(tag, tag, names)
}
