//! `tmpfiles-modes`: what is made on the data partition at each start is open to no more people than it has to be.
//!
//! Source: tmpfiles.d(5). What programs make there themselves, no file of the image says.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use crate::root::Root;
use crate::{Conclusion, Context, Unable, glob};

/// See the module.
pub struct TmpfilesModes;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// The widest mode below each pattern, in octal digits.
    at_most: BTreeMap<String, String>,
    /// Paths that are wider, and why.
    #[serde(default)]
    listed: BTreeMap<String, String>,
}

/// Lines that make a file, a folder or a pipe, or write one.
const MAKES: [char; 10] = ['f', 'F', 'w', 'd', 'D', 'v', 'q', 'Q', 'p', 'C'];

impl Kind for TmpfilesModes {
    const NAME: &'static str = "tmpfiles-modes";
    const DESCRIPTION: &'static str = "what tmpfiles.d makes has no wider mode than `at_most` says for its path, but what is listed with a reason, \
                                       and nobody but its owner and group writes it, or its sticky bit is set";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems: Vec<String> = with
            .at_most
            .values()
            .filter(|mode| u32::from_str_radix(mode, 8).is_err())
            .map(|mode| format!("`at_most`: expected octal digits, found `{mode}`"))
            .collect();
        if with.at_most.is_empty() {
            problems.push("`at_most` is empty".to_owned());
        }
        let silent = with.listed.iter().filter(|(_, reason)| reason.trim().is_empty());
        problems.extend(silent.map(|(path, _)| format!("`{path}` is listed without a reason")));
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let mut problems = Vec::new();
        let mut made = 0usize;
        for (path, mode, file) in lines(root)? {
            made += 1;
            let Some(mode) = mode else {
                if with.at_most.keys().any(|pattern| glob::matches(pattern, &path)) {
                    problems.push(format!("`{path}` is made without a mode ({file})"));
                }
                continue;
            };
            if mode & 0o1002 == 0o002 {
                problems.push(format!("`{path}` may be written by everybody: {mode:04o} ({file})"));
            }
            if with.listed.contains_key(&path) {
                continue;
            }
            for (_, most) in with.at_most.iter().filter(|(pattern, _)| glob::matches(pattern, &path)) {
                let most = u32::from_str_radix(most, 8).unwrap_or_default();
                if mode & 0o777 & !most != 0 {
                    problems.push(format!("`{path}` has mode {mode:04o}, more than {most:04o} ({file})"));
                }
            }
        }
        if made == 0 && problems.is_empty() {
            return Err(Unable::broken("no file of tmpfiles.d makes anything"));
        }
        let expected: Vec<String> =
            with.at_most.iter().map(|(pattern, most)| format!("{pattern}: {most}")).collect();
        let listed: Vec<String> = with.listed.iter().map(|(path, why)| format!("`{path}` ({why})")).collect();
        let listed =
            if listed.is_empty() { String::new() } else { format!("; listed: {}", listed.join(", ")) };
        Ok(Conclusion::of(
            &problems,
            format!("at most {}", expected.join(", ")),
            format!("{made} paths are made so{listed}"),
            &root.sha256,
        ))
    }
}

/// Path, mode and file of each line that makes something; a file of /etc stands for one of the same name of /usr/lib.
fn lines(root: &Root) -> Result<Vec<(String, Option<u32>, String)>, Unable> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for folder in ["/usr/lib/tmpfiles.d", "/run/tmpfiles.d", "/etc/tmpfiles.d"] {
        for name in root.list(folder).into_iter().filter(|name| name.ends_with(".conf")) {
            files.insert(name.clone(), format!("{folder}/{name}"));
        }
    }
    let mut found = Vec::new();
    for file in files.into_values() {
        for line in root.read_text(&file)?.unwrap_or_default().lines() {
            let mut fields = line.split_whitespace();
            let (Some(kind), Some(path)) = (fields.next(), fields.next()) else { continue };
            if !kind.starts_with(MAKES) {
                continue;
            }
            // `~` masks what is there, `:` is for what is new.
            let mode = fields.next().map(|mode| mode.trim_start_matches(['~', ':']));
            let mode = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok());
            found.push((path.trim_matches('"').to_owned(), mode, file.clone()));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn check(text: &str) -> Result<crate::Conclusion, crate::Unable> {
        let with = json!({"at_most": {"/var/lib/keys/**": "0750"}, "listed": {"/var/lib/keys/open": "holds folders alone"}});
        run("tmpfiles-modes", with, Tree::base().file("/usr/lib/tmpfiles.d/a.conf", 0o644, text).root())
    }

    #[test]
    fn pass() {
        let seen = passes(check(
            "# d /x 0777\nd /var/lib/keys/a 0700 root root -\nd$ /var/lib/keys/open 0755\nd /tmp 1777\nx /var/tmp/*\nz /var/lib/keys/b 0777\n",
        ));
        assert_eq!(seen, "3 paths are made so; listed: `/var/lib/keys/open` (holds folders alone)");
        // The file of /etc is read instead.
        let tree = Tree::base().file("/usr/lib/tmpfiles.d/a.conf", 0o644, "d /var/lib/keys/a 0777\n");
        let tree = tree.file("/etc/tmpfiles.d/a.conf", 0o644, "d /var/lib/keys/a 0700\n");
        passes(run("tmpfiles-modes", json!({"at_most": {"/var/lib/keys/**": "0700"}}), tree.root()));
    }

    #[test]
    fn fail() {
        fails(
            check("d /var/lib/keys/a 0755 root root -\n"),
            "`/var/lib/keys/a` has mode 0755, more than 0750",
        );
        fails(check("f /var/lib/keys/a - root root -\n"), "`/var/lib/keys/a` is made without a mode");
        fails(check("d /srv 0777\n"), "`/srv` may be written by everybody: 0777");
    }

    #[test]
    fn nothing_that_is_made_is_no_pass() {
        cannot(check("# nothing\n"), "no file of tmpfiles.d makes anything");
    }

    #[test]
    fn parameters() {
        let with = json!({"at_most": {"/a": "wide"}, "listed": {"/b": " "}});
        let text = (crate::kinds::find("tmpfiles-modes").unwrap().validate)(&with).join("; ");
        assert!(text.contains("found `wide`") && text.contains("`/b` is listed without a reason"), "{text}");
    }
}
