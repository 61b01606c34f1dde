//! The lines by which two versions of a generated file differ, as people read them (`diff -u`).
//!
//! Bounded, as a plan may come from anywhere; of what may be a secret nothing is shown but that it differs.

/// Lines of one file that are shown.
const SHOWN: usize = 60;
/// Characters of one line that are shown.
const WIDTH: usize = 200;
/// Unchanged lines around a change.
const AROUND: usize = 2;
/// Cells of the table that compares lines: two files of 2,000 changed lines.
const CELLS: usize = 4_000_000;
/// Words in the name of a file that holds secrets.
const SECRET_FILES: [&str; 8] =
    ["shadow", "secret", "private", "psk", "passphrase", "password", ".key", "credential"];
/// Words of a line that sets a secret.
const SECRET_WORDS: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "psk", "token", "privatekey", "private_key"];
/// What is shown in the place of such a line.
const HIDDEN: &str = "(a line that may hold a secret)";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Same,
    Gone,
    New,
}

/// The changed lines of the file at `path`, each with ` `, `-` or `+` before it, and `@@` lines between pieces.
pub(crate) fn changed_lines(path: &str, before: &str, after: &str) -> Vec<String> {
    let name = path.to_lowercase();
    let is_key = |text: &str| text.contains("PRIVATE KEY");
    if SECRET_FILES.iter().any(|word| name.contains(word)) || is_key(before) || is_key(after) {
        return vec!["(not shown: the file may hold a secret)".to_owned()];
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    if old == new {
        return vec!["(only the ends of lines differ)".to_owned()];
    }
    match compared(&old, &new) {
        Some(lines) => shown(&lines),
        None => vec![format!("(too much to compare line by line: {} and {} lines)", old.len(), new.len())],
    }
}

/// Every line with what became of it, by their longest common subsequence; `None` when that is too large a table.
fn compared<'a>(old: &[&'a str], new: &[&'a str]) -> Option<Vec<(Kind, &'a str)>> {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let rest = (old.len() - head).min(new.len() - head);
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| old == new).count();
    let (a, b) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let width = b.len() + 1;
    if (a.len() + 1).checked_mul(width)? > CELLS {
        return None;
    }
    // longest[i * width + j]: how many lines `a[i..]` and `b[j..]` have in common.
    let mut longest = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let mut lines: Vec<(Kind, &str)> = old[..head].iter().map(|line| (Kind::Same, *line)).collect();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push((Kind::Same, a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            lines.push((Kind::Gone, a[i]));
            i += 1;
        } else {
            lines.push((Kind::New, b[j]));
            j += 1;
        }
    }
    lines.extend(old[old.len() - tail..].iter().map(|line| (Kind::Same, *line)));
    Some(lines)
}

/// Pieces with a few lines around each change.
fn shown(lines: &[(Kind, &str)]) -> Vec<String> {
    let near = |at: usize| {
        let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len());
        lines[around].iter().any(|(kind, _)| *kind != Kind::Same)
    };
    let mut out = Vec::new();
    let (mut old_line, mut new_line, mut inside) = (1usize, 1usize, false);
    for (at, (kind, line)) in lines.iter().enumerate() {
        let wanted = near(at);
        if wanted && !inside {
            out.push(format!("@@ line {old_line}, now {new_line} @@"));
        }
        inside = wanted;
        if wanted {
            let sign = match kind {
                Kind::Same => ' ',
                Kind::Gone => '-',
                Kind::New => '+',
            };
            out.push(format!("{sign}{}", shortened(line)));
        }
        old_line += usize::from(*kind != Kind::New);
        new_line += usize::from(*kind != Kind::Gone);
    }
    if out.len() > SHOWN {
        let left = out.len() - SHOWN;
        out.truncate(SHOWN);
        out.push(format!("(and {left} more lines)"));
    }
    out
}

fn shortened(line: &str) -> String {
    let lower = line.to_lowercase();
    // A comment names words; what sets something has a value behind them.
    let sets = lower.contains(['=', ':', ' ']) && !lower.trim_start().starts_with('#');
    if sets && SECRET_WORDS.iter().any(|word| sets_word(&lower, word)) {
        return HIDDEN.to_owned();
    }
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Whether the word ends a name that is given a value: `secret = x`, `wpa_psk=x`, but not `PasswordAuthentication no`.
fn sets_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let rest = line[at + word.len()..].trim_start_matches(['"', '\'']);
        rest.trim_start().starts_with(['=', ':'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[&str]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn changed_lines_stand_with_their_neighbours() {
        let old = text(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
        let new = text(&["a", "b", "X", "d", "e", "f", "g", "h", "i", "j", "k"]);
        let expected = [
            "@@ line 1, now 1 @@",
            " a",
            " b",
            "-c",
            "+X",
            " d",
            " e",
            "@@ line 9, now 9 @@",
            " i",
            " j",
            "+k",
        ];
        assert_eq!(changed_lines("/etc/x", &old, &new), expected);
        assert_eq!(changed_lines("/etc/x", "", "a\n"), ["@@ line 1, now 1 @@", "+a"]);
        assert_eq!(changed_lines("/etc/x", "a\n", "a"), ["(only the ends of lines differ)"]);
    }

    #[test]
    fn moved_lines_keep_what_they_have_in_common() {
        let lines = changed_lines("/etc/x", &text(&["1", "2", "3"]), &text(&["2", "3", "1"]));
        assert_eq!(lines, ["@@ line 1, now 1 @@", "-1", " 2", " 3", "+1"]);
    }

    #[test]
    fn secrets_are_never_shown() {
        let key = format!("-----{} PRIVATE KEY-----\nAAAA\n", "BEGIN");
        for (path, old, new) in
            [("/etc/shadow", "a", "b"), ("/etc/x.key", "a", "b"), ("/etc/x", "a", key.as_str())]
        {
            assert_eq!(changed_lines(path, old, new), ["(not shown: the file may hold a secret)"]);
        }
        let lines = changed_lines(
            "/etc/x",
            "secret = \"old\"\nwpa_psk=1\n",
            "Secret: new\nPasswordAuthentication no\n",
        );
        assert_eq!(
            lines,
            [
                "@@ line 1, now 1 @@",
                &format!("-{HIDDEN}"),
                &format!("-{HIDDEN}"),
                &format!("+{HIDDEN}"),
                "+PasswordAuthentication no"
            ]
        );
    }

    #[test]
    fn what_is_shown_and_what_is_compared_is_bounded() {
        let many = |from: usize, to: usize| (from..to).map(|n| format!("{n}\n")).collect::<String>();
        let lines = changed_lines("/etc/x", "", &many(0, 100));
        assert_eq!((lines.len(), lines[60].as_str()), (61, "(and 41 more lines)"));
        let lines = changed_lines("/etc/x", &many(0, 5000), &many(5000, 10_000));
        assert_eq!(lines, ["(too much to compare line by line: 5000 and 5000 lines)"]);
        let long = changed_lines("/etc/x", "", &"ä".repeat(1000));
        assert_eq!(long[1].chars().count(), 202);
    }
}
