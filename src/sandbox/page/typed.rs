//! A typed command line: `/amser whois user:123 note:"two words"`. Pure.
use serde_json::{Value, json};

/// A parsed line.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// The command with its sub-commands, without the slash.
    pub(super) name: String,
    /// The options in order.
    pub(super) options: Vec<(String, Value)>,
}

/// Parses a line; the error is a sentence.
pub(super) fn parse(text: &str) -> Result<Line, String> {
    let mut words = Vec::new();
    let mut options = Vec::new();
    for token in tokens(text.trim().trim_start_matches('/'))? {
        match token.split_once(':') {
            Some((name, value)) => options.push((name.to_owned(), typed(value))),
            None if options.is_empty() => words.push(token),
            None => return Err(format!("“{token}” is not an option; write name:value.")),
        }
    }
    if words.is_empty() {
        return Err("Type a command, for example /status.".to_owned());
    }
    Ok(Line {
        name: words.join(" "),
        options,
    })
}

/// Splits at spaces outside of double quotes, and drops the quotes.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => tokens.push(String::new()),
            other => tokens
                .last_mut()
                .expect("there is always one token")
                .push(other),
        }
    }
    if quoted {
        return Err("A quotation mark is not closed.".to_owned());
    }
    tokens.retain(|token| !token.is_empty());
    Ok(tokens)
}

/// Numbers and truths as such; ids (17 digits and more) and all else as text.
fn typed(value: &str) -> Value {
    match value.parse::<i64>() {
        Ok(number) if value.len() < 17 => json!(number),
        _ if value == "true" || value == "false" => json!(value == "true"),
        _ => json!(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_words_and_typed_options() {
        let line =
            parse("/amser whois user:1120000000000000001 plan:3 note:\"two words\" all:true")
                .unwrap();
        assert_eq!(line.name, "amser whois");
        assert_eq!(
            line.options,
            [
                ("user".to_owned(), json!("1120000000000000001")),
                ("plan".to_owned(), json!(3)),
                ("note".to_owned(), json!("two words")),
                ("all".to_owned(), json!(true)),
            ]
        );
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        assert!(parse("").is_err());
        assert!(parse("/why \"open").is_err());
        assert!(parse("/why a:1 stray").is_err());
    }
}
