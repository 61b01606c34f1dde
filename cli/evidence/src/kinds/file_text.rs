//! `file-text`: lines that files have, and words that they do not have.

use serde::Deserialize;

use super::Kind;
use crate::root::NodeKind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct FileText;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    paths: Vec<String>,
    /// Whole lines; blanks count as one.
    #[serde(default)]
    lines: Vec<String>,
    /// The same as one text, for what a template makes.
    #[serde(default)]
    block: String,
    /// Lines of which each file has one.
    #[serde(default)]
    one_of: Vec<String>,
    /// Words that are nowhere, whatever their case; comments count too.
    #[serde(default)]
    lacks: Vec<String>,
}

impl Kind for FileText {
    const NAME: &'static str = "file-text";
    const DESCRIPTION: &'static str =
        "every match has all of `lines` and of `block`, one of `one_of`, and none of the words in `lacks`";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = super::file_absent::path_problems(&with.paths);
        let lists = [&with.lines, &with.one_of, &with.lacks];
        if lists.iter().all(|list| list.is_empty()) && with.block.trim().is_empty() {
            problems.push(
                "`lines`, `block`, `one_of` and `lacks` are all empty, so that nothing would be checked"
                    .to_owned(),
            );
        }
        if with.lacks.iter().any(|word| word.trim().is_empty()) {
            problems.push("a word in `lacks` is empty".to_owned());
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let wanted: Vec<String> = with
            .lines
            .iter()
            .map(String::as_str)
            .chain(with.block.lines())
            .map(squeezed)
            .filter(|line| !line.is_empty())
            .collect();
        let mut problems = Vec::new();
        let mut seen = 0usize;
        for pattern in &with.paths {
            let files = root.find(pattern).into_iter().filter(|(_, node)| node.kind != NodeKind::Directory);
            let files: Vec<String> = files.map(|(path, _)| path.to_owned()).collect();
            if files.is_empty() {
                problems.push(format!("nothing matches `{pattern}`"));
            }
            for path in files {
                seen += 1;
                let Some(text) = root.read_text(&path)? else {
                    problems.push(format!("`{path}` leads nowhere"));
                    continue;
                };
                let lines: Vec<String> = text.lines().map(squeezed).collect();
                for line in wanted.iter().filter(|line| !lines.contains(line)) {
                    problems.push(format!("`{path}` lacks the line `{line}`"));
                }
                if !with.one_of.is_empty() && !with.one_of.iter().any(|line| lines.contains(&squeezed(line)))
                {
                    problems.push(format!("`{path}` has none of the lines `{}`", with.one_of.join("`, `")));
                }
                let lower = text.to_lowercase();
                for word in with.lacks.iter().filter(|word| lower.contains(&word.to_lowercase())) {
                    problems.push(format!("`{path}` says `{word}`"));
                }
            }
        }
        let mut expected = format!("{} with {}", with.paths.join(", "), wanted.join(" / "));
        if !with.one_of.is_empty() {
            expected += &format!(", one of {}", with.one_of.join(" / "));
        }
        if !with.lacks.is_empty() {
            expected += &format!(", without {}", with.lacks.join(", "));
        }
        Ok(Conclusion::of(&problems, expected, format!("{seen} files as expected"), &root.sha256))
    }
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn check(text: &str) -> Result<crate::Conclusion, crate::Unable> {
        let tree =
            Tree::base().file("/etc/pam.d/sshd", 0o644, text).file("/etc/pam.d/other", 0o644, "x\na b\nc");
        let with =
            json!({"paths": ["/etc/pam.d/*"], "lines": ["a  b"], "block": "c\n\nx\n", "lacks": ["nullok"]});
        run("file-text", with, tree.root())
    }

    #[test]
    fn pass() {
        assert_eq!(passes(check("c\n  a\tb\nx")), "2 files as expected");
    }

    #[test]
    fn fail() {
        fails(check("a b c\nx"), "`/etc/pam.d/sshd` lacks the line `a b`");
        fails(check("a b\nx"), "lacks the line `c`");
        fails(check("a b\nc\nx NullOK"), "`/etc/pam.d/sshd` says `nullok`");
        let with = json!({"paths": ["/etc/pam.d/sshd"], "one_of": ["version 2", "version  3"]});
        let of =
            |text| run("file-text", with.clone(), Tree::base().file("/etc/pam.d/sshd", 0o644, text).root());
        assert_eq!(passes(of("x\nversion 3\n")), "1 files as expected");
        fails(of("version 1\n"), "`/etc/pam.d/sshd` has none of the lines `version 2`, `version  3`");
        let with = json!({"paths": ["/etc/none"], "lacks": ["x"]});
        fails(run("file-text", with, Tree::base().root()), "nothing matches `/etc/none`");
        let with = json!({"paths": ["/etc/issue"], "lacks": ["x"]});
        fails(
            run("file-text", with, Tree::base().link("/etc/issue", "gone").root()),
            "`/etc/issue` leads nowhere",
        );
    }
}
