//! Discord's Markdown as HTML: emphasis, code, quotes, lists, headings, links, mentions and times. Pure.
//!
//! <https://discord.com/developers/docs/reference#message-formatting>
mod inline;

use maud::{Markup, html};

use inline::inline;

/// Names behind the ids in mentions.
pub(crate) trait Names {
    /// A user's name.
    fn user(&self, id: &str) -> Option<String>;
    /// A role's name.
    fn role(&self, id: &str) -> Option<String>;
    /// A channel's name.
    fn channel(&self, id: &str) -> Option<String>;
    /// Where a link leads, for whom it is shown.
    fn link(&self, url: &str) -> String;
}

/// A text with its blocks.
pub(crate) fn render(text: &str, names: &dyn Names) -> Markup {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("```") {
            blocks.push(code_block(rest, &mut lines));
        } else if let Some(item) = item(line) {
            let mut items = vec![item];
            while let Some(next) = lines.peek().and_then(|line| self::item(line)) {
                items.push(next);
                lines.next();
            }
            blocks.push(html! { ul.items { @for one in items { li { (inline(one, names)) } } } });
        } else if let Some(quoted) = line.strip_prefix("> ") {
            blocks.push(html! { blockquote { (inline(quoted, names)) } });
        } else if let Some(small) = line.strip_prefix("-# ") {
            blocks.push(html! { p.quiet { (inline(small, names)) } });
        } else if let Some(title) = line
            .trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
        {
            blocks.push(html! { p.title { (inline(title, names)) } });
        } else if !line.trim().is_empty() {
            blocks.push(html! { p { (inline(line, names)) } });
        }
    }
    html! { @for block in blocks { (block) } }
}

/// A text of one line.
pub(crate) fn line(text: &str, names: &dyn Names) -> Markup {
    inline(text, names)
}

fn item(line: &str) -> Option<&str> {
    let line = line.trim_start();
    ["- ", "* ", "• "]
        .into_iter()
        .find_map(|mark| line.strip_prefix(mark))
}

fn code_block<'a>(first: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> Markup {
    // A word behind the fence names a language.
    let inside = |line: &str| line.strip_suffix("```").map(str::to_owned);
    if let Some(whole) = inside(first).filter(|whole| !whole.is_empty()) {
        return html! { pre { (whole) } };
    }
    let mut code: Vec<String> = Vec::new();
    for line in lines {
        if let Some(last) = inside(line) {
            code.push(last);
            break;
        }
        code.push(line.to_owned());
    }
    html! { pre { (code.join("\n").trim_end()) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Known;

    impl Names for Known {
        fn user(&self, id: &str) -> Option<String> {
            (id == "7").then(|| "ada".to_owned())
        }
        fn role(&self, id: &str) -> Option<String> {
            (id == "8").then(|| "Gold".to_owned())
        }
        fn channel(&self, id: &str) -> Option<String> {
            (id == "9").then(|| "general".to_owned())
        }
        fn link(&self, url: &str) -> String {
            url.to_owned()
        }
    }

    fn html(text: &str) -> String {
        render(text, &Known).into_string()
    }

    #[test]
    fn emphasis_code_and_mentions_are_shown_and_not_their_marks() {
        assert_eq!(
            html("**The Sandbox** has `1` *role* for <@7>: <@&8> in <#9>"),
            "<p><strong>The Sandbox</strong> has <code>1</code> <em>role</em> for <span class=\"mention\">@ada</span>: \
             <span class=\"mention\">@Gold</span> in <span class=\"mention\">#general</span></p>"
        );
        assert_eq!(html("<@99>"), "<p><span class=\"mention\">@99</span></p>");
        assert_eq!(
            html("snake_case and 2*3*4"),
            "<p>snake_case and 2<em>3</em>4</p>"
        );
        assert_eq!(
            html("__both__ ~~gone~~"),
            "<p><strong>both</strong> <s>gone</s></p>"
        );
    }

    #[test]
    fn links_lead_somewhere_and_times_are_for_the_readers_clock() {
        assert_eq!(
            html("<http://a/b> and [here](https://c)"),
            "<p><a href=\"http://a/b\" target=\"_blank\" rel=\"noopener\">http://a/b</a> and \
             <a href=\"https://c\" target=\"_blank\" rel=\"noopener\">here</a></p>"
        );
        assert!(html("see https://c.d/e.").contains(">https://c.d/e</a>."));
        assert_eq!(
            html("<t:87400:R>"),
            "<p><time data-style=\"R\" datetime=\"1970-01-02T00:16:40Z\">1970-01-02T00:16:40Z</time></p>"
        );
    }

    #[test]
    fn blocks_are_lists_quotes_headings_and_code() {
        assert_eq!(
            html("# Why\n- one\n- two\n> said\n-# small\n```\na < b\n```"),
            "<p class=\"title\">Why</p><ul class=\"items\"><li>one</li><li>two</li></ul><blockquote>said</blockquote>\
             <p class=\"quiet\">small</p><pre>a &lt; b</pre>"
        );
    }

    #[test]
    fn nothing_of_a_text_becomes_markup_of_the_page() {
        let html = html("<script>alert(1)</script> [x](javascript:alert(1)) **<b>**");
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(!html.contains("href=\"javascript"), "{html}");
    }
}
