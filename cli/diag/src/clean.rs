//! Text of an image, a console or a received file, before it is shown.

/// Whether a character steers who shows it, and is none to be seen: control characters (ECMA-48), those that turn the direction
/// of text around (UAX #9) and those without width.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Text without what could steer a terminal or rearrange what is read; line feeds stay.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if steers(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_replaced_and_everything_else_stays() {
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c\u{9b}d\re"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e");
        assert_eq!(clean("zeile\nnöch eine – 東"), "zeile\nnöch eine – 東");
        assert_eq!(clean("\u{200b}\u{2066}\u{feff}\u{2028}"), "\u{fffd}".repeat(4));
    }
}
