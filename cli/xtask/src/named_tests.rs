//! Tests that the documentation names are in the tree.

use std::path::Path;

use crate::Problems;

/// The documents that name tests, as `` `PATH.rs::FUNCTION` ``.
const DOCUMENTS: [&str; 1] = ["docs/bad-input.md"];

/// Tests that are named and are not there, and table rows that name none.
pub fn missing(top: &Path) -> Result<Problems, String> {
    let mut problems = Problems::new();
    for document in DOCUMENTS {
        let read = |name: &str| std::fs::read_to_string(top.join(name));
        let text = read(document).map_err(|e| format!("{document}: {e}"))?;
        problems.extend(missing_in(document, &text, |file| read(file).ok()));
    }
    Ok(problems)
}

fn missing_in(document: &str, text: &str, source: impl Fn(&str) -> Option<String>) -> Problems {
    let mut problems = Problems::new();
    for (index, line) in text.lines().enumerate() {
        let at = format!("{document}:{}", index + 1);
        // Every second piece between backticks is a literal.
        let literals = line.split('`').skip(1).step_by(2);
        let named: Vec<_> = literals.filter_map(|literal| literal.split_once(".rs::")).collect();
        let is_row = line.starts_with("| ") && !line.starts_with("| item ");
        if is_row && named.is_empty() {
            problems.push(format!("{at}: names no test"));
        }
        for (file, function) in named {
            let file = format!("{file}.rs");
            let is_there = source(&file).is_some_and(|code| is_test(&code, function));
            if !is_there {
                problems.push(format!("{at}: there is no test `{function}` in `{file}`"));
            }
        }
    }
    problems
}

/// Whether the code has that function behind the attribute of a test.
fn is_test(code: &str, function: &str) -> bool {
    let head = format!("fn {function}(");
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| pair[0] == "#[test]" && pair[1].starts_with(&head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_and_a_row_without_one_are_found() {
        let text = "| item | tests |\n|---|---|\n| a `b` | `x.rs::good` |\n| b | `x.rs::gone` `x.rs::helper` |\n\
                    | c | none |\n| d | `y.rs::good` |\n";
        let source = |file: &str| {
            (file == "x.rs").then(|| "    #[test]\n    fn good() {}\nfn helper() {}\n".to_owned())
        };
        assert_eq!(
            missing_in("d.md", text, source),
            [
                "d.md:4: there is no test `gone` in `x.rs`",
                "d.md:4: there is no test `helper` in `x.rs`",
                "d.md:5: names no test",
                "d.md:6: there is no test `good` in `y.rs`"
            ]
        );
    }
}
