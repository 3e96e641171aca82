//! A message as Discord's client shows it: text, embeds, files and buttons.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

use super::markdown::{Names as _, line, render};
use super::names::Reader;
use crate::sandbox::discord::{Button, SeenMessage};

/// Bytes of a file that are shown; all of them can be saved.
const SHOWN_BYTES: usize = 20_000;

/// The message.
pub(super) fn message(one: &SeenMessage, reader: &Reader<'_>) -> Markup {
    html! {
        div.message {
            (render(&one.content, reader))
            @for embed in &one.embeds {
                div.embed {
                    @if let Some(title) = embed["title"].as_str() { p.title { (line(title, reader)) } }
                    @if let Some(text) = embed["description"].as_str() { (render(text, reader)) }
                    @for field in embed["fields"].as_array().into_iter().flatten() {
                        p.field { strong { (line(field["name"].as_str().unwrap_or_default(), reader)) } }
                        (render(field["value"].as_str().unwrap_or_default(), reader))
                    }
                    @if let Some(text) = embed["footer"]["text"].as_str() { p.quiet { (text) } }
                }
            }
            @for (name, content) in &one.files { (file(name, content)) }
            @if !one.buttons.is_empty() {
                div.buttons { @for button in &one.buttons { (self::button(one, button, reader)) } }
            }
        }
    }
}

fn file(name: &str, content: &[u8]) -> Markup {
    let text = String::from_utf8_lossy(&content[..content.len().min(SHOWN_BYTES)]);
    let data = format!(
        "data:application/octet-stream;base64,{}",
        STANDARD.encode(content)
    );
    html! {
        details.file open {
            summary { "File " strong { (name) } }
            pre { (text) }
            a href=(data) download=(name) { "Save" }
        }
    }
}

fn button(message: &SeenMessage, one: &Button, reader: &Reader<'_>) -> Markup {
    html! {
        @if let Some(url) = &one.url {
            a.button href=(reader.link(url)) target="_blank" rel="noopener" { (one.label) }
        } @else {
            button type="button" data-message=(message.id) data-custom=[one.custom_id.as_ref()]
                data-guild=[reader.guild] data-user=[reader.user] disabled[one.disabled] { (one.label) }
        }
    }
}
