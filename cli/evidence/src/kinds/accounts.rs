//! `accounts`: users, groups and passwords of the image.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Kind;
use crate::root::Root;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct Accounts;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    #[serde(default = "yes")]
    no_password: bool,
    #[serde(default)]
    persons: Option<Vec<String>>,
    #[serde(default = "yes")]
    root_locked: bool,
}

fn yes() -> bool {
    true
}

pub(super) const NO_SHELLS: [&str; 5] =
    ["/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/nologin"];

impl Kind for Accounts {
    const NAME: &'static str = "accounts";
    const DESCRIPTION: &'static str = "no usable password; unique ids, in sysusers.d too; only root has uid and gid 0; only persons (by default the plan's) have a shell";
    type With = With;

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let table = |path: &str, least: usize| -> Result<Option<Vec<Vec<String>>>, Unable> {
            root.read_text(path)?.map(|text| rows(path, &text, least)).transpose()
        };
        let passwd = table("/etc/passwd", 7)?;
        let passwd = passwd.ok_or_else(|| Unable::broken("the image has no `/etc/passwd`"))?;
        let mut problems = Vec::new();
        // Without these the system runs all the same, by what /etc/passwd says alone.
        let shadow = table("/etc/shadow", 2)?.unwrap_or_default();
        let group = table("/etc/group", 4)?.unwrap_or_else(|| {
            problems.push("`/etc/group` is missing".to_owned());
            Vec::new()
        });
        unique(&passwd, "user", &mut problems);
        unique(&group, "group", &mut problems);
        passwords(&with, &passwd, &shadow, &mut problems);
        let groups: BTreeSet<&str> = group.iter().map(|row| row[2].as_str()).collect();
        for row in &passwd {
            if row[2].parse() == Ok(0u32) && row[0] != "root" {
                problems.push(format!("`{}` has uid 0", row[0]));
            }
            if row[3].parse() == Ok(0u32) && row[0] != "root" {
                problems.push(format!("`{}` has gid 0", row[0]));
            }
            if !groups.contains(row[3].as_str()) {
                problems.push(format!("`{}` has group {}, which does not exist", row[0], row[3]));
            }
        }
        reserved(root, &passwd, &group, &mut problems)?;
        let planned = context.plan.map(|plan| {
            let persons = plan.users.iter().filter(|(_, asked)| asked.value.person);
            persons.map(|(name, _)| name.clone()).collect()
        });
        shells(with.persons.or(planned), &passwd, &mut problems);
        Ok(Conclusion::of(
            &problems,
            "no usable password, unique ids, one uid 0, shells for persons only",
            format!("{} users, {} groups, no usable password", passwd.len(), group.len()),
            &root.sha256,
        ))
    }
}

fn rows(path: &str, text: &str, least: usize) -> Result<Vec<Vec<String>>, Unable> {
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.split(':').map(str::to_owned).collect())
        .collect();
    match rows.iter().position(|row: &Vec<String>| row.len() < least) {
        // `+` lines of NIS end up here too: they have no fields.
        Some(at) => Err(Unable::broken(format!("`{path}`: entry {} has fewer than {least} fields", at + 1))),
        None if rows.is_empty() => Err(Unable::broken(format!("`{path}` is empty"))),
        None => Ok(rows),
    }
}

fn unique(rows: &[Vec<String>], what: &str, problems: &mut Vec<String>) {
    for (field, name) in [(0, "name"), (2, "id")] {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for row in rows {
            // `00` and `0` are the same id.
            let key = match (field, row[field].parse::<u32>()) {
                (0, _) => row[field].clone(),
                (_, Ok(id)) => id.to_string(),
                (_, Err(_)) => {
                    problems.push(format!("{what} `{}` has the id `{}`", row[0], row[field]));
                    continue;
                }
            };
            if let Some(other) = seen.insert(key.clone(), &row[0]) {
                problems.push(format!("{what}s `{other}` and `{}` share the {name} `{key}`", row[0]));
            }
        }
    }
}

fn passwords(with: &With, passwd: &[Vec<String>], shadow: &[Vec<String>], problems: &mut Vec<String>) {
    for row in passwd {
        let name = &row[0];
        let field = if row[1] == "x" {
            match shadow.iter().find(|entry| entry[0] == *name) {
                Some(entry) => entry[1].as_str(),
                None => {
                    problems.push(format!("`{name}` is missing in /etc/shadow"));
                    continue;
                }
            }
        } else {
            row[1].as_str()
        };
        let usable = !field.starts_with(['!', '*']);
        if usable && (with.no_password || (with.root_locked && name == "root")) {
            let how = if field.is_empty() { "an empty password" } else { "a usable password" };
            problems.push(format!("`{name}` has {how}"));
        }
    }
    for entry in shadow {
        if !passwd.iter().any(|row| row[0] == entry[0]) {
            problems.push(format!("/etc/shadow knows `{}`, /etc/passwd does not", entry[0]));
        }
    }
}

/// Ids that sysusers.d(5) gives to another name than the tables do.
fn reserved(
    root: &Root,
    passwd: &[Vec<String>],
    group: &[Vec<String>],
    problems: &mut Vec<String>,
) -> Result<(), Unable> {
    let holder = |table: &[Vec<String>], id: &str| {
        table
            .iter()
            .find(|row| row[2].trim_start_matches('0') == id.trim_start_matches('0'))
            .map(|row| row[0].clone())
    };
    for folder in ["/etc/sysusers.d", "/usr/local/lib/sysusers.d", "/usr/lib/sysusers.d"] {
        for file in root.list(folder).into_iter().filter(|name| name.ends_with(".conf")) {
            let text = root.read_text(&format!("{folder}/{file}"))?.unwrap_or_default();
            for line in text.lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                let [kind, name, id, ..] = words.as_slice() else { continue };
                let table = match *kind {
                    "u" | "u!" => passwd,
                    "g" => group,
                    _ => continue,
                };
                let id = id.split(':').next().unwrap_or_default();
                if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
                    continue;
                }
                if let Some(other) = holder(table, id).filter(|other| other != name) {
                    problems.push(format!("{folder}/{file} gives the id {id} of `{other}` to `{name}`"));
                }
            }
        }
    }
    Ok(())
}

fn shells(persons: Option<Vec<String>>, passwd: &[Vec<String>], problems: &mut Vec<String>) {
    let Some(persons) = persons else { return };
    for row in passwd {
        let (name, shell) = (&row[0], row[6].trim());
        let has_shell = !NO_SHELLS.contains(&shell);
        let person = persons.contains(name);
        // root is no person; its lock is asserted above, and single services may ask for its shell.
        if has_shell && !person && name != "root" {
            problems.push(format!("`{name}` is no person and has the shell `{shell}`"));
        }
        if person && !has_shell {
            problems.push(format!("`{name}` is a person and has no shell"));
        }
    }
    for person in &persons {
        if !passwd.iter().any(|row| row[0] == *person) {
            problems.push(format!("the person `{person}` has no account"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn check(passwd: &str, shadow: &str) -> Result<crate::Conclusion, crate::Unable> {
        let tree = Tree::base()
            .file("/etc/passwd", 0o644, format!("root:x:0:0::/root:/bin/sh\n{passwd}"))
            .file("/etc/shadow", 0o600, format!("root:!*:1::::::\n{shadow}"))
            .file("/etc/group", 0o644, "root:x:0:\nops:x:1000:\n");
        run("accounts", json!({"no_password": true, "persons": ["anna"], "root_locked": true}), tree.root())
    }
    const ANNA: &str = "anna:x:1000:1000::/home/anna:/bin/sh\n";

    #[test]
    fn pass() {
        passes(check(&format!("{ANNA}d:x:2:1000::/:/usr/sbin/nologin\n"), "anna:*:1::::::\nd:!:1::::::\n"));
    }

    #[test]
    fn fail() {
        fails(check(ANNA, "anna:$y$j9T$x$y:1::::::\n"), "`anna` has a usable password");
        fails(check(ANNA, "anna::1::::::\n"), "`anna` has an empty password");
        fails(check(ANNA, ""), "`anna` is missing in /etc/shadow");
        fails(check(&format!("{ANNA}eve::00:0::/:/bin/sh\n"), "anna:*:1::::::\n"), "`eve` has uid 0");
        fails(
            check(&format!("{ANNA}d:*:2:1000::/:\n"), "anna:*:1::::::\n"),
            "`d` is no person and has the shell ``",
        );
        fails(
            check(&format!("{ANNA}d:x:2:0::/:/bin/false\n"), "anna:*:1::::::\nd:!:1::::::\n"),
            "`d` has gid 0",
        );
        fails(check("", ""), "the person `anna` has no account");
    }

    #[test]
    fn ids_that_sysusers_gives_to_others() {
        let check = |line: &str| {
            let tree =
                Tree::base().file("/usr/lib/sysusers.d/x.conf", 0o644, format!("# x\nu a -\n{line}\n"));
            run("accounts", json!({}), tree.root())
        };
        passes(check("u root 0:0 - /root"));
        fails(check("u toor 0 - /"), "gives the id 0 of `root` to `toor`");
        fails(check("g wheel 0"), "gives the id 0 of `root` to `wheel`");
    }

    #[test]
    fn without_a_shadow_the_passwords_of_passwd_count() {
        let check = |passwd: &str, group: Option<&str>| {
            let tree = Tree::default().file("/usr/bin/x", 0o755, "x").file("/etc/passwd", 0o644, passwd);
            let tree = group.into_iter().fold(tree, |tree, text| tree.file("/etc/group", 0o644, text));
            run("accounts", json!({}), tree.root())
        };
        let group = Some("root:x:0:\n");
        passes(check("root:*:0:0::/root:/bin/sh\n", group));
        fails(check("root::0:0::/root:/bin/sh\n", group), "`root` has an empty password");
        fails(
            check("root::0:0::/root:/bin/sh\n", None),
            "`/etc/group` is missing; `root` has an empty password",
        );
        fails(check("root:x:0:0::/root:/bin/sh\n", group), "`root` is missing in /etc/shadow");
    }

    #[test]
    fn a_broken_table_is_no_conclusion() {
        cannot(check("+\n", ""), "`/etc/passwd`: entry 2 has fewer than 7 fields");
    }
}
