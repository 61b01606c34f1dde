//! What to look for in a console line.
//!
//! A pattern is plain text that a line contains; `*` stands for any run of characters, and `^` in
//! front for the line's start. There is nothing else: an attack's file stays readable, and matching
//! takes time linear in the line.

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    anchored: bool,
    parts: Vec<String>,
}

impl Pattern {
    /// From its text. An empty pattern matches nothing.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let (anchored, body) = match text.strip_prefix('^') {
            Some(body) => (true, body),
            None => (false, text),
        };
        let parts = body.split('*').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self { text: text.to_owned(), anchored: anchored && !body.starts_with('*'), parts }
    }

    /// The patterns of a list of texts.
    pub fn all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        texts.into_iter().map(Self::new).collect()
    }

    /// The text that it was made from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a line holds it.
    #[must_use]
    pub fn matches(&self, line: &str) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return false };
        let mut tail = match self.anchored {
            true => match line.strip_prefix(first.as_str()) {
                Some(tail) => tail,
                None => return false,
            },
            false => match line.find(first.as_str()) {
                Some(at) => &line[at + first.len()..],
                None => return false,
            },
        };
        for part in rest {
            match tail.find(part.as_str()) {
                Some(at) => tail = &tail[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stars_and_the_line_start_match_and_nothing_else_does() {
        let line = "   Verifying Hash Integrity ... sha256,rsa3072:dev-  error!";
        for pattern in ["Hash Integrity", "sha256,rsa3072:*-  error!", "^   Verifying", "*error"] {
            assert!(Pattern::new(pattern).matches(line), "{pattern}");
        }
        for pattern in ["sha256,rsa3072:*+ OK", "^Verifying", "error!*sha256", "", "*", "^"] {
            assert!(!Pattern::new(pattern).matches(line), "{pattern}");
        }
        assert!(!Pattern::new("^=> ").matches("a => b"));
        assert!(Pattern::new("^=> ").matches("=> "));
    }

    #[test]
    fn parts_do_not_overlap() {
        assert!(!Pattern::new("ab*ba").matches("aba"));
        assert!(Pattern::new("ab*ba").matches("abba"));
    }
}
