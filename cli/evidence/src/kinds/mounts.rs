//! `mounts`: options in `/etc/fstab`, and of everything else that is mounted to be written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use super::unit_state::{FOLDERS, masked, unit_file};
use crate::facts::services::settings;
use crate::root::Root;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct Mounts;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    #[serde(default)]
    expect: BTreeMap<String, Vec<String>>,
    every_writable: Option<EveryWritable>,
}

/// What every mount has that may be written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EveryWritable {
    options: Vec<String>,
    /// Mounts that have not, and why.
    #[serde(default)]
    listed: BTreeMap<String, String>,
}

const OPPOSITES: [(&str, &str); 4] = [("nodev", "dev"), ("nosuid", "suid"), ("noexec", "exec"), ("ro", "rw")];

impl Kind for Mounts {
    const NAME: &'static str = "mounts";
    const DESCRIPTION: &'static str = "fstab mounts each path of `expect` with at least these options; with `every_writable` fstab, each mount \
                                       unit and each `TemporaryFileSystem=` has its options, but those that are listed with a reason";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = Vec::new();
        if with.expect.is_empty() && with.every_writable.is_none() {
            problems.push("`expect` is empty".to_owned());
        }
        if let Some(every) = &with.every_writable {
            if every.options.is_empty() {
                problems.push("`every_writable` has no `options`".to_owned());
            }
            let silent = every.listed.iter().filter(|(_, reason)| reason.trim().is_empty());
            problems.extend(silent.map(|(path, _)| format!("`{path}` is listed without a reason")));
        }
        problems
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
        let mut expected: Vec<String> =
            with.expect.iter().map(|(path, options)| format!("{path}: {}", options.join(","))).collect();
        let mut seen = format!("{} mounts as expected", with.expect.len());
        if let Some(every) = &with.every_writable {
            expected.push(format!("every mount that may be written: {}", every.options.join(",")));
            seen = self::every(root, &text, every, &mut problems)?;
        }
        Ok(Conclusion::of(&problems, expected.join("; "), seen, &root.sha256))
    }
}

/// Looks at all that is mounted to be written, and says what was there.
///
/// What the service manager mounts by itself (`/sys`, `/dev/pts` and its like) no file of the image says: it is listed,
/// as `/dev` is, or the running device shows it.
fn every(
    root: &Root,
    fstab: &str,
    every: &EveryWritable,
    problems: &mut Vec<String>,
) -> Result<String, Unable> {
    // Where, with what options, and who says so.
    let mut mounts: Vec<(String, String, String)> = Vec::new();
    for line in fstab.lines().filter(|line| !line.trim_start().starts_with('#')) {
        if let [_, path, kind, options, ..] = line.split_whitespace().collect::<Vec<_>>().as_slice()
            && *kind != "swap"
        {
            mounts.push(((*path).to_owned(), (*options).to_owned(), "/etc/fstab".to_owned()));
        }
    }
    let in_fstab: Vec<String> = mounts.iter().map(|(path, ..)| path.clone()).collect();
    for folder in FOLDERS {
        for unit in root.list(folder) {
            let file = format!("{folder}/{unit}");
            let first = unit_file(root, &unit).is_some_and(|first| first == file);
            if !first || masked(root, &unit) {
                continue;
            }
            if unit.ends_with(".mount") {
                let set = settings(root, &unit, "Mount")?;
                let last = |key: &str| set.get(key).and_then(|all| all.last()).cloned().unwrap_or_default();
                // The unit that is made of a line of fstab stands before one of /usr/lib.
                if !in_fstab.contains(&last("Where")) || folder.starts_with("/etc/") {
                    mounts.push((last("Where"), last("Options"), unit));
                }
            } else if unit.ends_with(".service") {
                let set = settings(root, &unit, "Service")?;
                for text in
                    set.get("TemporaryFileSystem").into_iter().flatten().flat_map(|all| all.split(' '))
                {
                    // systemd.exec(5): `nodev`, `strictatime` and the mode come by themselves.
                    let (path, options) = text.split_once(':').unwrap_or((text, ""));
                    mounts.push((path.to_owned(), format!("nodev,{options}"), unit.clone()));
                }
            }
        }
    }
    let mut writable = 0;
    for (path, options, who) in &mounts {
        let options: Vec<&str> = options.split(',').collect();
        if in_force(&options, "ro") || every.listed.contains_key(path) {
            continue;
        }
        writable += 1;
        for option in every.options.iter().filter(|option| !in_force(&options, option)) {
            problems.push(format!("`{path}` ({who}) may be written and lacks `{option}`"));
        }
    }
    let listed: Vec<String> = every.listed.iter().map(|(path, why)| format!("`{path}` ({why})")).collect();
    let listed = if listed.is_empty() { String::new() } else { format!("; listed: {}", listed.join(", ")) };
    Ok(format!("{} mounts, of which {writable} may be written{listed}", mounts.len()))
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

    fn every(tree: Tree) -> Result<crate::Conclusion, crate::Unable> {
        let fstab = "/dev/dm-0 / squashfs ro,nodev 0 0\nLABEL=d /var ext4 rw,nodev,nosuid,noexec 0 0\n/swap none swap sw 0 0\n";
        let with = json!({"every_writable": {"options": ["nodev", "nosuid", "noexec"], "listed": {"/dev": "devices"}}});
        run("mounts", with, tree.file("/etc/fstab", 0o644, fstab).root())
    }

    #[test]
    fn every_mount_that_may_be_written() {
        let unit = |name: &str, text: &str| {
            Tree::base().file(&format!("/usr/lib/systemd/system/{name}"), 0o644, text)
        };
        assert_eq!(
            passes(every(Tree::base())),
            "2 mounts, of which 1 may be written; listed: `/dev` (devices)"
        );
        // fstab has it, and better.
        passes(every(unit("var.mount", "[Mount]\nWhere=/var\nOptions=mode=1777\n")));
        passes(every(unit("run-lock.mount", "[Mount]\nWhere=/run/lock\nOptions=nosuid,nodev,noexec\n")));
        passes(every(unit("x.service", "[Service]\nTemporaryFileSystem=/etc:ro /srv:nosuid,noexec\n")));
        let srv = unit("srv.mount", "[Mount]\nWhere=/srv\nOptions=nosuid,nodev\n");
        fails(every(srv), "`/srv` (srv.mount) may be written and lacks `noexec`");
        let service = unit("x.service", "[Service]\nTemporaryFileSystem=/srv:nosuid\n");
        fails(every(service), "`/srv` (x.service) may be written and lacks `noexec`");
        let masked =
            unit("srv.mount", "[Mount]\nWhere=/srv\n").link("/etc/systemd/system/srv.mount", "/dev/null");
        passes(every(masked));
    }

    #[test]
    fn parameters() {
        let problems = |with| (crate::kinds::find("mounts").unwrap().validate)(&with).join("; ");
        assert!(problems(json!({})).contains("`expect` is empty"));
        let with = json!({"every_writable": {"options": [], "listed": {"/dev": ""}}});
        assert!(problems(with.clone()).contains("has no `options`"));
        assert!(problems(with).contains("`/dev` is listed without a reason"));
    }
}
