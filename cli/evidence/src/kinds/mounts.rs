//! `mounts`: options in `/etc/fstab`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct Mounts;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    expect: BTreeMap<String, Vec<String>>,
}

const OPPOSITES: [(&str, &str); 4] = [("nodev", "dev"), ("nosuid", "suid"), ("noexec", "exec"), ("ro", "rw")];

impl Kind for Mounts {
    const NAME: &'static str = "mounts";
    const DESCRIPTION: &'static str = "fstab mounts each path with at least these options";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        if with.expect.is_empty() { vec!["`expect` is empty".to_owned()] } else { Vec::new() }
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let text = root.read_text("/etc/fstab")?.unwrap_or_default();
        let mut problems = Vec::new();
        for (path, wanted) in &with.expect {
            let lines: Vec<Vec<&str>> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'))
                .map(|line| line.split_whitespace().collect::<Vec<_>>())
                .filter(|fields| fields.len() >= 4 && fields[1] == path)
                .collect();
            let [fields] = lines.as_slice() else {
                problems.push(match lines.len() {
                    0 => format!("`{path}` is not in /etc/fstab"),
                    count => format!("`{path}` is {count} times in /etc/fstab"),
                });
                continue;
            };
            let options: Vec<&str> = fields[3].split(',').collect();
            for option in wanted.iter().filter(|option| !in_force(&options, option)) {
                problems.push(format!("`{path}` lacks `{option}` (has `{}`)", fields[3]));
            }
        }
        let expected = with
            .expect
            .iter()
            .map(|(path, options)| format!("{path}: {}", options.join(",")))
            .collect::<Vec<_>>()
            .join("; ");
        Ok(Conclusion::of(
            &problems,
            expected,
            format!("{} mounts as expected", with.expect.len()),
            &root.sha256,
        ))
    }
}

/// Whether an option is given and not taken back further right.
fn in_force(options: &[&str], wanted: &str) -> bool {
    let Some(at) = options.iter().rposition(|option| *option == wanted) else { return false };
    let opposite = OPPOSITES
        .iter()
        .find_map(|(a, b)| if *a == wanted { Some(*b) } else { (*b == wanted).then_some(*a) });
    opposite.is_none_or(|opposite| !options[at..].contains(&opposite))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn check(fstab: &str) -> Result<crate::Conclusion, crate::Unable> {
        let tree = Tree::base().file("/etc/fstab", 0o644, fstab);
        run("mounts", json!({"expect": {"/tmp": ["nodev", "nosuid"]}}), tree.root())
    }

    #[test]
    fn pass() {
        passes(check("# /tmp\ntmpfs /tmp tmpfs rw,nodev,nosuid,noexec 0 0\n"));
    }

    #[test]
    fn fail() {
        fails(check("tmpfs /tmp tmpfs nodev 0 0\n"), "`/tmp` lacks `nosuid`");
        fails(check("tmpfs /tmp tmpfs nodev,nosuid,suid 0 0\n"), "`/tmp` lacks `nosuid`");
        fails(check(""), "`/tmp` is not in /etc/fstab");
    }
}
