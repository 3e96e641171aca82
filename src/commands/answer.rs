//! An answer: text in pages that fit Discord's messages, buttons under the last one, or an attached file.

use std::num::NonZeroU64;

use reqwest::Method;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::discord::rest::with_file;
use crate::discord::{Discord, Failure};

/// Discord's most characters in one message.
/// <https://discord.com/developers/docs/resources/message#create-message>
const MOST_CHARACTERS: usize = 2000;
/// Messages of one answer. A merchant can make hundreds of gates, which `/plans` lists.
const MOST_PAGES: usize = 5;

/// The flag of a message that only one user sees.
const EPHEMERAL: u64 = 1 << 6;

/// Discord's most buttons in a row, and rows under a message.
const ROW: usize = 5;

/// What a member is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Never empty; each within Discord's limit.
    pages: Vec<String>,
    buttons: Vec<Button>,
    /// The name and content, which is JSON, of the file attached to the first page.
    file: Option<(String, Vec<u8>)>,
}

/// A button under an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Button {
    /// Leads to a page.
    Open {
        /// What stands on it.
        label: String,
        /// Where it leads.
        url: String,
    },
    /// Comes back to us under this `custom_id`.
    Press {
        /// What stands on it.
        label: String,
        /// What we know it by.
        id: String,
        /// Whether it destroys something.
        danger: bool,
    },
}

impl Answer {
    /// Text, split at line ends where it is too long for one message, or attached where it is too long for a few.
    pub(super) fn text(text: String) -> Self {
        let pages = pages(&text, MOST_CHARACTERS);
        if pages.len() > MOST_PAGES {
            let told = "This is long: all of it is in the attached file.".to_owned();
            return Self::text(told).attach("answer.txt", text.into_bytes());
        }
        Self {
            pages,
            ..Self::default()
        }
    }

    /// The same with an attached file.
    pub(super) fn attach(mut self, name: &str, content: Vec<u8>) -> Self {
        self.file = Some((name.to_owned(), content));
        self
    }

    /// The same with buttons; more than fit under a message are left out.
    pub(super) fn with(mut self, buttons: impl IntoIterator<Item = Button>) -> Self {
        self.buttons = buttons.into_iter().take(ROW * ROW).collect();
        self
    }
}

/// Splits text into pieces of at most `room` characters; at line ends where a line fits at all.
fn pages(text: &str, room: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut piece = String::new();
    let mut length = 0;
    for line in text.lines() {
        let mut characters: Vec<char> = line.chars().collect();
        while !characters.is_empty() || line.is_empty() {
            let separator = usize::from(length > 0);
            if length + separator + characters.len().min(room) > room {
                pieces.push(std::mem::take(&mut piece));
                length = 0;
                continue;
            }
            if separator == 1 {
                piece.push('\n');
            }
            let rest = characters.split_off(characters.len().min(room));
            length += separator + characters.len();
            piece.extend(characters);
            characters = rest;
            if line.is_empty() {
                break;
            }
        }
    }
    pieces.push(piece);
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

/// Rows of buttons as Discord takes them.
pub(super) fn rows(buttons: &[Button]) -> Value {
    let rows = buttons.chunks(ROW).map(|row| {
        let row: Vec<_> = row.iter().map(button).collect();
        json!({ "type": 1, "components": row })
    });
    rows.collect()
}

fn button(button: &Button) -> Value {
    match button {
        Button::Open { label, url } => json!({ "type": 2, "style": 5, "label": label, "url": url }),
        Button::Press { label, id, danger } => {
            let style = if *danger { 4 } else { 1 };
            json!({ "type": 2, "style": style, "label": label, "custom_id": id })
        }
    }
}

impl Answer {
    /// Fills the placeholder of an acknowledged interaction; further pages follow it.
    ///
    /// # Errors
    /// As [`Discord::try_some`].
    pub(super) async fn send(
        self,
        discord: &Discord,
        application: NonZeroU64,
        token: &str,
    ) -> Result<(), Failure> {
        let webhook = format!("webhooks/{application}/{token}");
        let last = self.pages.len().saturating_sub(1);
        for (at, page) in self.pages.iter().enumerate() {
            let mut message = json!({ "content": page, "allowed_mentions": { "parse": [] } });
            if at == last && !self.buttons.is_empty() {
                message["components"] = rows(&self.buttons);
            }
            let request = if at == 0 {
                discord.request(Method::PATCH, format!("{webhook}/messages/@original"))
            } else {
                message["flags"] = json!(EPHEMERAL);
                discord.request(Method::POST, &webhook)
            };
            let request = match &self.file {
                Some((name, content)) if at == 0 => {
                    message["attachments"] = json!([{ "id": 0, "filename": name }]);
                    let file = ["files[0]", name, "application/json"];
                    with_file(request, &message, file, content)
                }
                _ => request.json(&message),
            };
            let _sent: IgnoredAny = discord.try_some(request).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_more_than_a_few_messages_is_attached() {
        let line = format!("{}\n", "a".repeat(MOST_CHARACTERS - 1));
        let few = Answer::text(line.repeat(MOST_PAGES));
        assert_eq!((few.pages.len(), few.file), (MOST_PAGES, None));
        let many = Answer::text(line.repeat(MOST_PAGES + 1));
        let (_, content) = many.file.unwrap();
        let length = MOST_CHARACTERS * (MOST_PAGES + 1);
        assert_eq!((many.pages.len(), content.len()), (1, length));
    }

    #[test]
    fn pages_break_at_lines_and_keep_every_character() {
        assert_eq!(pages("a\nb", 10), ["a\nb"]);
        assert_eq!(pages("aaaa\nbbbb\ncc", 9), ["aaaa\nbbbb", "cc"]);
        assert_eq!(pages("a\n\nb", 10), ["a\n\nb"]);
        assert_eq!(pages("äöüäöü", 2), ["äö", "üä", "öü"]);
        let long = "word ".repeat(1_000);
        let split = pages(&long, 100);
        assert!(split.iter().all(|page| page.chars().count() <= 100));
        assert_eq!(split.concat(), long);
    }
}
