//! Secrets in files, by rules that are data (`standards/analysis/secrets.yaml`). A shown secret is shortened.

use std::sync::OnceLock;

use regex::Regex;
use serde::Deserialize;

use super::model::{Area, Level};
use super::rules::{self, Found, Rule};

/// Bytes of a line that is looked at as a whole.
const MAX_LINE: usize = 1000;
/// Bytes of a longer one that are looked at before a word; behind it are the others up to [`MAX_LINE`].
const BEFORE: usize = 100;
/// Secrets of one file.
const MAX_IN_FILE: usize = 50;

/// Lines of one file on which patterns are tried, beside one for so many of its bytes.
const MAX_LINES: usize = 64;
const BYTES_A_LINE: usize = 256;

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRule {
    id: String,
    level: Level,
    title: String,
    advice: String,
    /// Names of the files that it is for; none: any.
    #[serde(default)]
    files: Vec<String>,
    words: Vec<String>,
    /// Words around which text in binary files is tried; none: such files are not.
    #[serde(default)]
    programs: Vec<String>,
    pattern: String,
    unless: String,
    #[cfg_attr(not(test), allow(dead_code))]
    found: Vec<String>,
    #[cfg_attr(not(test), allow(dead_code))]
    not: Vec<String>,
}

impl SecretRule {
    /// The rule in the catalogue.
    #[must_use]
    pub fn rule(&self) -> Rule {
        Rule {
            id: self.id.clone(),
            area: Area::Secrets,
            level: self.level,
            title: self.title.clone(),
            advice: self.advice.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    rules: Vec<SecretRule>,
}

/// The compiled-in rules; a test proves that they are read.
#[must_use]
pub fn built_in() -> &'static [SecretRule] {
    static RULES: OnceLock<Vec<SecretRule>> = OnceLock::new();
    RULES.get_or_init(|| {
        let file: Result<File, String> =
            rules::read(include_str!("../../../../standards/analysis/secrets.yaml"));
        file.map(|file| file.rules).unwrap_or_default()
    })
}

/// Words of which a line must hold one before a pattern is tried.
pub fn literals() -> impl Iterator<Item = &'static str> {
    built_in().iter().flat_map(|rule| rule.words.iter().map(String::as_str))
}

/// The same of text in binary files, as they are.
pub fn program_literals() -> impl Iterator<Item = &'static str> {
    built_in().iter().flat_map(|rule| rule.programs.iter().map(String::as_str))
}

/// Patterns of a rule, and what takes a line for a placeholder.
fn patterns() -> &'static [(Regex, Regex)] {
    static PATTERNS: OnceLock<Vec<(Regex, Regex)>> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        built_in()
            .iter()
            .filter_map(|rule| Some((Regex::new(&rule.pattern).ok()?, Regex::new(&rule.unless).ok()?)))
            .collect()
    })
}

/// Whether every pattern is one: a rule that is not tried would pass in silence.
///
/// # Errors
/// With the number of those that are none.
pub fn prove_whole() -> Result<(), String> {
    let (patterns, rules) = (patterns().len(), built_in().len());
    if rules == 0 || patterns != rules {
        return Err(format!(
            "{patterns} of {rules} patterns of `standards/analysis/secrets.yaml` can be used"
        ));
    }
    Ok(())
}

/// A secret in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFound {
    /// The rule.
    pub rule: String,
    /// Where: a line, from 1, or in a binary file a byte.
    pub at: String,
    /// The secret, shortened.
    pub shown: String,
}

/// Whether every line of a file is to be tried.
fn every_line(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    built_in().iter().any(|rule| rule.words.is_empty() && rule.files.iter().any(|file| file == name))
}

/// The secrets of a text; `places` are those of the words of the rules.
pub fn of_text(path: &str, bytes: &[u8], places: &[usize]) -> (Vec<SecretFound>, Option<String>) {
    if !every_line(path) {
        return found(path, bytes, places);
    }
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let starts: Vec<usize> = std::iter::once(0).chain(starts).filter(|at| *at < bytes.len()).collect();
    found(path, bytes, &starts)
}

/// The secrets of text in a binary file; `places` are those of [`program_literals`].
pub fn of_binary(path: &str, bytes: &[u8], places: &[usize]) -> (Vec<SecretFound>, Option<String>) {
    let text = |byte: &u8| !matches!(byte, b' '..=b'~' | b'\t');
    let mut found: Vec<SecretFound> = Vec::new();
    let mut done = 0;
    for place in places.iter().copied() {
        // What stands beside the word up to the next byte that is no text.
        let first = place.saturating_sub(BEFORE);
        let start = bytes[first..place].iter().rposition(text).map_or(first, |at| first + at + 1);
        let last = bytes.len().min(place + MAX_LINE - BEFORE);
        let end = bytes[place..last].iter().position(text).map_or(last, |at| place + at);
        if start.max(done) >= end {
            continue;
        }
        let line = String::from_utf8_lossy(&bytes[start.max(done)..end]);
        let Some((rule, shown)) = on_line(path, &line, |rule| !rule.programs.is_empty()) else { continue };
        done = end;
        if found.len() >= MAX_IN_FILE {
            return (found, Some(format!("more than {MAX_IN_FILE} secrets in it; the others are left out")));
        }
        found.push(SecretFound { rule, at: format!("byte {start}"), shown });
    }
    (found, None)
}

/// The secrets on the lines of those places, and what was left out.
pub fn found(path: &str, bytes: &[u8], places: &[usize]) -> (Vec<SecretFound>, Option<String>) {
    let mut found: Vec<SecretFound> = Vec::new();
    let most = MAX_LINES + bytes.len() / BYTES_A_LINE;
    let mut lines = 0;
    let mut done = 0;
    let (mut line_number, mut counted) = (1, 0);
    for place in places {
        if *place < done {
            continue;
        }
        let start = bytes[..*place].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = bytes[*place..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| place + at);
        // A longer line, as a web page's program has, is looked at where a word of a rule stands; the next word on it has its own look.
        let long = end - start > MAX_LINE;
        done = if long { place + 1 } else { end + 1 };
        line_number += bytes[counted..start].iter().filter(|byte| **byte == b'\n').count();
        counted = start;
        let (from, to) = if long {
            (place.saturating_sub(BEFORE).max(start), (place + MAX_LINE - BEFORE).min(end))
        } else {
            (start, end)
        };
        if lines == most {
            return (found, Some(too_many_lines(most)));
        }
        lines += 1;
        let line = String::from_utf8_lossy(&bytes[from..to]);
        let Some((rule, shown)) = on_line(path, &line, |_| true) else { continue };
        // Looks at one line overlap.
        let at = format!("line {line_number}");
        if found.last().is_some_and(|last| (&last.at, &last.rule, &last.shown) == (&at, &rule, &shown)) {
            continue;
        }
        if found.len() >= MAX_IN_FILE {
            return (found, Some(format!("more than {MAX_IN_FILE} secrets in it; the others are left out")));
        }
        found.push(SecretFound { rule, at, shown });
    }
    (found, None)
}

/// What is said where only so many lines were looked at.
pub fn too_many_lines(lines: usize) -> String {
    format!("more than {lines} of its lines may hold a secret: no more were looked at")
}

fn on_line(path: &str, line: &str, of: impl Fn(&SecretRule) -> bool) -> Option<(String, String)> {
    // Manuals and translations show how it would look.
    if ["/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/"]
        .iter()
        .any(|folder| path.starts_with(folder))
    {
        return None;
    }
    let file = path.rsplit('/').next().unwrap_or_default();
    let applies =
        |rule: &SecretRule| of(rule) && (rule.files.is_empty() || rule.files.iter().any(|name| name == file));
    let mut rules = built_in().iter().zip(patterns()).filter(|(rule, _)| applies(rule));
    rules.find_map(|(rule, (pattern, unless))| {
        let secret = pattern.captures(line)?.name("secret")?;
        let shown = || format!("{}{}", name(&line[..secret.start()]), shortened(secret.as_str()));
        (!unless.is_match(line)).then(|| (rule.id.clone(), shown()))
    })
}

/// What the secret is called: the last word in front of it.
fn name(before: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let word = before.trim_end_matches(|c| !is_name(c));
    let start =
        word.rfind(|c| !is_name(c)).map_or(0, |at| at + word[at..].chars().next().map_or(1, char::len_utf8));
    let word: String = word[start..].chars().take(40).collect();
    if word.is_empty() { word } else { format!("`{word}`: ") }
}

/// Two characters and the length: enough to find it again, too little to use it.
fn shortened(secret: &str) -> String {
    let start: String = secret.chars().take(2).collect();
    format!("`{start}…`, {} characters", secret.chars().count())
}

/// The secrets of one file as findings.
pub fn judge(shown: &str, secrets: &[SecretFound], found: &mut Found) {
    for secret in secrets {
        found.add(&secret.rule, shown, format!("{}: {}", secret.at, secret.shown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_its_lines_and_leaves_the_others_alone() {
        assert_eq!(patterns().len(), built_in().len(), "a pattern is no regular expression");
        assert!(built_in().len() >= 5);
        for (rule, (pattern, unless)) in built_in().iter().zip(patterns()) {
            assert!(!rule.found.is_empty() && !rule.not.is_empty(), "{}", rule.id);
            let hit = |line: &str| pattern.is_match(line) && !unless.is_match(line);
            for line in &rule.found {
                assert!(hit(line), "{}: `{line}` is not found", rule.id);
                let low = line.to_lowercase();
                assert!(
                    !rule.files.is_empty() || rule.words.iter().any(|word| low.contains(word)),
                    "{}: `{line}` has none of `words`",
                    rule.id
                );
            }
            for line in &rule.not {
                assert!(!hit(line), "{}: `{line}` is found", rule.id);
            }
            // In programs the words are looked for as they are.
            if !rule.programs.is_empty() {
                let shown =
                    rule.found.iter().any(|line| rule.programs.iter().any(|word| line.contains(word)));
                assert!(shown, "{}: none of `found` has one of `programs`", rule.id);
            }
        }
    }

    /// Found by a reader: programs were called good that nobody had looked into.
    #[test]
    fn text_in_a_program_is_looked_at_around_the_words_that_nothing_else_has() {
        let places = |bytes: &[u8]| {
            let all: Vec<&str> = program_literals().collect();
            let words = aho_corasick::AhoCorasick::new(all).unwrap();
            words.find_overlapping_iter(bytes).map(|hit| hit.start()).collect::<Vec<_>>()
        };
        let seen = |bytes: &[u8]| {
            let (all, more) = of_binary("/usr/bin/agent", bytes, &places(bytes));
            assert_eq!(more, None);
            all.into_iter().map(|one| (one.rule, one.at, one.shown)).collect::<Vec<_>>()
        };
        let mut bytes = b"\x7fELF\x00\x01".to_vec();
        bytes.extend_from_slice(
            b"\0mqtt://plc7:t0pf8ile@10.0.0.3:1883\0\xffAKIAQ7ZLMB5T2W4K6XRN\0password = hunter2hunter2\0",
        );
        let told = seen(&bytes);
        let rules: Vec<&str> = told.iter().map(|(rule, ..)| rule.as_str()).collect();
        assert_eq!(rules, ["secret-url", "secret-aws"], "{told:?}");
        assert_eq!((told[0].1.as_str(), told[1].1.as_str()), ("byte 7", "byte 43"));
        assert!(!format!("{told:?}").contains("t0pf8ile"), "{told:?}");
        // What programs have, and what is cut off by what is no text.
        for good in [
            &b"\0https://www.openssl.org/\0http://user:password@host/\0%s://%s:%s@%s\0"[..],
            b"\0AKIAQ7ZLMB5T\0W4K6XRN\0Password: \0eyJ\0",
            b"mqtt://plc7:t0p\x01f8ile@10.0.0.3",
        ] {
            assert!(seen(good).is_empty(), "{:?}", seen(good));
        }
        // One after the other without an end, and many: each once, and bounded.
        let many = b"AKIAQ7ZLMB5T2W4K6XRN\0".repeat(60);
        let (all, more) = of_binary("/usr/bin/agent", &many, &places(&many));
        assert_eq!((all.len(), more.is_some()), (MAX_IN_FILE, true));
        let wide = b"AKIAQ7ZLMB5T2W4K6XRN ".repeat(100_000);
        assert!(of_binary("/usr/bin/agent", &wide, &places(&wide)).0.len() <= MAX_IN_FILE);
    }

    #[test]
    fn a_secret_is_found_by_its_line_and_shown_shortened() {
        let text = b"a = 1\nb_password = hunter2hunter2\nc = 3\npassword = hunter3hunter3\n";
        let places: Vec<usize> = vec![8, 40];
        let (all, more) = found("/etc/x.conf", text, &places);
        assert_eq!(more, None);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!((all[0].at.as_str(), all[1].at.as_str()), ("line 2", "line 4"));
        assert!(!format!("{all:?}").contains("hunter2"));
        assert!(found("/usr/share/doc/x", text, &places).0.is_empty());
        assert!(found("/etc/x", &vec![b'p'; 5000], &[0]).0.is_empty());
        // On a line of a web page's program each is found once, however long it is.
        let padding = "a:1,".repeat(1000);
        let text =
            format!("x\n{padding}\"password\":\"hunter2hunter2\",{padding}\"api_key\":\"0a1b2c3d4e5f\"\n");
        let places: Vec<usize> = ["pass", "hunter", "api_key"].map(|word| text.find(word).unwrap()).to_vec();
        let (all, more) = found("/www/app.js", text.as_bytes(), &places);
        assert_eq!(more, None);
        let seen: Vec<(&str, &str)> = all.iter().map(|one| (one.at.as_str(), one.shown.as_str())).collect();
        assert_eq!(
            seen,
            [("line 2", "`password`: `hu…`, 14 characters"), ("line 2", "`api_key`: `0a…`, 12 characters")]
        );
        // Every line could be one: as many are tried as the file's size allows, and that there are more is said.
        let many = b"password\n".repeat(100_000);
        let places: Vec<usize> = (0..100_000).map(|line| 9 * line).collect();
        assert_eq!(found("/etc/x", &many, &places), (vec![], Some(too_many_lines(64 + 900_000 / 256))));
    }
}
