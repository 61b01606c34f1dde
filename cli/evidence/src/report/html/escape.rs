//! Text into HTML. Everything that reaches the page goes through here.

/// Text for content and for attributes in double or single quotes.
///
/// Control characters and the characters that turn the direction of text around are
/// replaced: what was seen in a hostile image must not rearrange the page.
#[must_use]
pub fn e(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if diag::steers(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// As [`e`], with text between backticks as code.
#[must_use]
pub fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd number of backticks: leave the text as it is.
    if parts.len().is_multiple_of(2) {
        return e(text);
    }
    parts
        .iter()
        .enumerate()
        .map(|(index, part)| if index % 2 == 1 { format!("<code>{}</code>", e(part)) } else { e(part) })
        .collect()
}

/// A hash, shortened for the eye, whole in its title and for copying.
#[must_use]
pub fn hash(text: &str) -> String {
    if text.is_empty() {
        return "<span class=dim>–</span>".to_owned();
    }
    format!("<code class=hash>{}</code>", e(text))
}

/// Text cut to a number of characters.
#[must_use]
pub fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup_and_nothing_turns_the_page_around() {
        assert_eq!(e("<a href='x' b=\"y\">&"), "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;");
        assert_eq!(e("a\u{202e}b\x1b[0m"), "a\u{fffd}b\u{fffd}[0m");
        assert_eq!(prose("`<x>` is ` there"), "`&lt;x&gt;` is ` there");
        assert_eq!(prose("`<x>` is there"), "<code>&lt;x&gt;</code> is there");
        assert_eq!(cut("abcdef", 4), "abc…");
    }
}
