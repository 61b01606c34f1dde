//! `audit-rules`: the rules that auditctl loads at boot.
//!
//! Source: auditctl(8) and augenrules(8). A line that auditctl would refuse is a failure: it
//! stops the loading of all that follow.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Kind, audit_order};
use crate::root::{NodeKind, Root};
use crate::starts;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct AuditRules;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    path: String,
    keys: Vec<String>,
    #[serde(default)]
    immutable: bool,
    /// Words that the rules of a key must have between them: system calls, `path=`, `dir=`.
    #[serde(default)]
    cover: BTreeMap<String, Vec<String>>,
    /// Names of programs that the rules of a key must watch wherever the image has them: a rule on a path that the
    /// image has not records nothing.
    #[serde(default)]
    programs: BTreeMap<String, Vec<String>>,
    /// Keys of general rules, which stand behind those of every other key.
    #[serde(default)]
    last: Vec<String>,
}

/// The file that auditctl loads.
pub(crate) const RULES: &str = "/etc/audit/audit.rules";
/// The folder of which augenrules makes that file.
pub(crate) const PARTS: &str = "/etc/audit/rules.d";
/// Where programs are; build systems differ in which of them.
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];

impl Kind for AuditRules {
    const NAME: &'static str = "audit-rules";
    const DESCRIPTION: &'static str = "every line parses, every key is used, none hides behind a wider one or one of the keys in `last`, the rules of each key in `cover` name these, those of each key in `programs` watch these programs where the image has them, and with `immutable` the last is `-e 2`";
    type With = With;

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let (lines, from) = loaded(root, &with.path)?;
        let mut problems = Vec::new();
        let mut keys = BTreeSet::new();
        let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut rules = 0usize;
        for (at, line) in &lines {
            match parse(line) {
                Ok(found) => {
                    rules += usize::from(found.is_some());
                    for key in found.into_iter().flatten() {
                        // Only rules that record count, whatever an earlier one excludes.
                        if line.contains("always") || line.starts_with("-w") {
                            named.entry(key.clone()).or_default().extend(words(line));
                        }
                        keys.insert(key);
                    }
                }
                Err(why) => problems.push(format!("{at}: {why}")),
            }
        }
        if root.resolve(from).is_none() {
            let lone = from == RULES && !parts(root).is_empty();
            let but = if lone {
                format!("; `{PARTS}` has rules, and nothing runs augenrules")
            } else {
                String::new()
            };
            problems.push(format!("`{from}` is missing{but}"));
        } else if rules == 0 {
            problems.push(format!("`{from}` holds no rule"));
        }
        for key in with.keys.iter().filter(|key| !keys.contains(*key)) {
            problems.push(format!("no rule has the key `{key}`"));
        }
        for (key, wanted) in &with.cover {
            for word in
                wanted.iter().filter(|word| !named.get(key).is_some_and(|words| words.contains(*word)))
            {
                problems.push(format!("no rule with the key `{key}` names `{word}`"));
            }
        }
        for (key, programs) in &with.programs {
            let watched: BTreeSet<String> = named
                .get(key)
                .into_iter()
                .flatten()
                .filter_map(|word| word.strip_prefix("path="))
                // A rule on a link watches the link: what counts is the file itself.
                .filter_map(|path| Some(root.entry(path)?.0))
                .collect();
            for path in programs.iter().flat_map(|name| program(root, name)) {
                if !watched.contains(&path) {
                    problems.push(format!("no rule with the key `{key}` watches `{path}`"));
                }
            }
        }
        problems.extend(audit_order::problems(&lines, &with.last));
        if with.immutable {
            let last = lines.last().map(|(_, line)| line.split_whitespace().collect::<Vec<_>>());
            if last.as_deref() != Some(&["-e", "2"]) {
                problems.push("the last line is not `-e 2`".to_owned());
            }
        }
        let expected = format!(
            "{}{}",
            if with.keys.is_empty() { "rules".to_owned() } else { format!("keys {}", with.keys.join(", ")) },
            if with.immutable { "; immutable at the end" } else { "" }
        );
        Ok(Conclusion::of(&problems, expected, format!("{rules} rules, {} keys", keys.len()), &root.sha256))
    }
}

/// The files that are the program of a name, links followed.
fn program(root: &Root, name: &str) -> BTreeSet<String> {
    let found = FOLDERS.iter().filter_map(|folder| root.resolve(&format!("{folder}/{name}")));
    found.filter(|(_, node)| matches!(node.kind, NodeKind::File(_))).map(|(path, _)| path).collect()
}

/// A rule's line, and where it stands.
type Lines = Vec<(String, String)>;

/// The lines that are loaded for `path`, and what they are read from: where augenrules is started, the file of all
/// rules is made of the folder's.
pub(crate) fn loaded<'p>(root: &Root, path: &'p str) -> Result<(Lines, &'p str), Unable> {
    if path != RULES || parts(root).is_empty() || !makes_rules(root)? {
        return Ok((lines(root, path)?, path));
    }
    // As augenrules(8) does it: of what is set the last counts; it stands first, `-e` at the end.
    let mut rest = lines(root, PARTS)?;
    let mut take = |option: &str| {
        let is = |line: &str| match option {
            "-D" => line == "-D",
            _ => line.starts_with(option),
        };
        let last = rest.iter().rfind(|(_, line)| is(line)).cloned();
        rest.retain(|(_, line)| !is(line));
        last
    };
    let [deleted, backlog, failure, end] = ["-D", "-b", "-f", "-e"].map(&mut take);
    let first = [deleted, backlog, failure].into_iter().flatten();
    Ok((first.chain(rest).chain(end).collect(), PARTS))
}

fn parts(root: &Root) -> Vec<String> {
    root.list(PARTS).into_iter().filter(|name| name.ends_with(".rules")).collect()
}

fn makes_rules(root: &Root) -> Result<bool, Unable> {
    let is = |command: &starts::Command| {
        command.name() == "augenrules" && !command.words.iter().any(|word| word == "--check")
    };
    Ok(starts::commands(root)?.iter().any(is))
}

/// The lines of a file, or of a folder's `*.rules` in order, without comments.
pub(crate) fn lines(root: &Root, path: &str) -> Result<Vec<(String, String)>, Unable> {
    let files = match root.resolve(path) {
        Some((_, node)) if node.kind == NodeKind::Directory => root
            .list(path)
            .into_iter()
            .filter(|name| name.ends_with(".rules"))
            .map(|name| format!("{}/{name}", path.trim_end_matches('/')))
            .collect(),
        _ => vec![path.to_owned()],
    };
    let mut lines = Vec::new();
    for file in files {
        let text = root.read_text(&file)?.unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                lines.push((format!("{file}:{}", index + 1), line.to_owned()));
            }
        }
    }
    Ok(lines)
}

/// What a rule names: system calls, fields and their values, watched paths.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().flat_map(|word| word.split(',')).map(str::to_owned).collect()
}

/// The keys of a rule; `None` for a line that only sets something.
fn parse(line: &str) -> Result<Option<Vec<String>>, String> {
    let mut words = line.split_whitespace();
    let mut keys = Vec::new();
    let mut rule = false;
    let mut has_list = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("`{word}` lacks its value"));
        match word {
            "-D" | "-i" | "-c" | "--loginuid-immutable" | "--reset-lost" => {}
            "-b" | "-f" | "-r" | "-e" | "--backlog_wait_time" => {
                let number = value()?;
                if number.parse::<u32>().is_err() {
                    return Err(format!("`{word} {number}` is not a number"));
                }
            }
            "-a" | "-A" => {
                (rule, has_list) = (true, true);
                let list = value()?;
                let parts: BTreeSet<&str> = list.split(',').collect();
                let action = parts.contains("always") || parts.contains("never");
                let lists = ["exit", "user", "exclude", "filesystem", "task", "io_uring"];
                if parts.len() != 2 || !action || !lists.iter().any(|name| parts.contains(name)) {
                    return Err(format!("`{list}` is not a list and an action"));
                }
            }
            "-w" => {
                (rule, has_list) = (true, true);
                let path = value()?;
                if !path.starts_with('/') {
                    return Err(format!("`-w {path}` is not absolute"));
                }
            }
            "-p" => {
                let perm = value()?;
                if perm.is_empty() || perm.chars().any(|c| !"rwxa".contains(c)) {
                    return Err(format!("`-p {perm}` is not among r, w, x, a"));
                }
            }
            "-k" => keys.push(value()?.to_owned()),
            "-S" => {
                rule = true;
                value()?;
            }
            "-F" | "-C" => {
                rule = true;
                let field = value()?;
                let Some(at) = field.find(['=', '<', '>', '!', '&']) else {
                    return Err(format!("`{word} {field}` is not a comparison"));
                };
                let key = field[at..].trim_start_matches('=');
                if &field[..at] == "key" {
                    keys.push(key.to_owned());
                }
            }
            other => return Err(format!("auditctl does not know `{other}`")),
        }
    }
    if rule && !has_list {
        return Err("a rule without `-a` or `-w`".to_owned());
    }
    Ok(rule.then_some(keys))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    const GOOD: &str = "-D\n-b 8192\n# x\n-a always,exit -F arch=b64 -F path=/etc/shadow -F perm=wa -F key=identity\n\
        -w /etc/audit -p wa -k audit\n-a always,exit -F arch=b64 -S mount,umount2 -F auid>=1000 -k mounts\n-e 2\n";

    fn check(text: &str) -> Result<crate::Conclusion, crate::Unable> {
        let tree = Tree::base().file("/etc/audit/rules.d/10-x.rules", 0o600, text);
        let with =
            json!({"path": "/etc/audit/rules.d", "keys": ["identity", "audit", "mounts"], "immutable": true});
        run("audit-rules", with, tree.root())
    }

    #[test]
    fn pass() {
        assert_eq!(passes(check(GOOD)), "3 rules, 3 keys");
    }

    #[test]
    fn what_the_rules_of_a_key_name() {
        let check = |word: &str| {
            let tree = Tree::base().file("/etc/audit/rules.d/10-x.rules", 0o600, GOOD);
            let with =
                json!({"path": "/etc/audit/rules.d", "keys": [], "cover": {"mounts": ["umount2", word]}});
            run("audit-rules", with, tree.root())
        };
        passes(check("mount"));
        fails(check("path=/etc/shadow"), "no rule with the key `mounts` names `path=/etc/shadow`");
    }

    #[test]
    fn a_program_is_watched_where_the_image_has_it() {
        let rule = |path: &str| format!("-a always,exit -F path={path} -F perm=x -F key=network\n");
        let check = |tree: Tree, rules: &str| {
            let tree = tree.file("/etc/audit/audit.rules", 0o600, rules);
            let with = json!({"path": "/etc/audit/audit.rules", "keys": [], "programs": {"network": ["ip"]}});
            run("audit-rules", with, tree.root())
        };
        let (bin, sbin) = (rule("/usr/bin/ip"), rule("/usr/sbin/ip"));
        // Debian has it in one place and a link in the other, Buildroot and Yocto in the other alone.
        let debian = || Tree::base().file("/usr/bin/ip", 0o755, "").link("/usr/sbin/ip", "/usr/bin/ip");
        let buildroot = || Tree::base().file("/usr/sbin/ip", 0o755, "");
        passes(check(debian(), &bin));
        passes(check(buildroot(), &format!("{bin}{sbin}")));
        fails(check(buildroot(), &bin), "no rule with the key `network` watches `/usr/sbin/ip`");
        let other = sbin.replace("key=network", "key=other");
        fails(check(buildroot(), &other), "no rule with the key `network` watches `/usr/sbin/ip`");
        // Yocto's is behind a link: the kernel watches the link itself, through which nobody's program runs.
        let yocto = || {
            let tree = Tree::base().file("/usr/sbin/ip.iproute2", 0o755, "");
            tree.link("/usr/sbin/ip", "/usr/sbin/ip.iproute2")
        };
        let behind = rule("/usr/sbin/ip.iproute2");
        passes(check(yocto(), &format!("{sbin}{behind}")));
        fails(check(yocto(), &sbin), "no rule with the key `network` watches `/usr/sbin/ip.iproute2`");
        // What is not there needs no rule.
        passes(check(Tree::base(), &bin));
    }

    #[test]
    fn fail() {
        fails(check(&GOOD.replace("-e 2", "")), "the last line is not `-e 2`");
        fails(check(&format!("{GOOD}-D\n")), "the last line is not `-e 2`");
        fails(check(&GOOD.replace("-k mounts", "")), "no rule has the key `mounts`");
        fails(
            check(&GOOD.replace("-b 8192", "-b many")),
            "/etc/audit/rules.d/10-x.rules:2: `-b many` is not a number",
        );
        fails(check(&GOOD.replace("-p wa", "-Q wa")), "auditctl does not know `-Q`");
        fails(check(""), "holds no rule");
    }

    #[test]
    fn a_rule_that_hides_behind_a_wider_one_is_a_problem() {
        let with = json!({"path": "/etc/audit/rules.d", "keys": [], "last": ["privilege"]});
        let check = |text: &str| {
            let tree = Tree::base().file("/etc/audit/rules.d/10-x.rules", 0o600, text);
            run("audit-rules", with.clone(), tree.root())
        };
        let (wide, narrow) = (
            "-a always,exit -F dir=/k -F perm=wa -k identity\n",
            "-a always,exit -F dir=/k/ssh -F perm=wa -k sshd\n",
        );
        passes(check(&format!("{narrow}{wide}")));
        fails(check(&format!("{wide}{narrow}")), "no record ever has the key `sshd`");
        let general = "-a always,exit -S execve -F euid=0 -k privilege\n";
        fails(check(&format!("{general}{wide}")), "stands behind `privilege`");
    }

    #[test]
    fn what_augenrules_makes_is_what_counts() {
        let with = json!({"path": "/etc/audit/audit.rules", "keys": ["identity"], "immutable": true});
        let check = |tree: Tree| run("audit-rules", with.clone(), tree.root());
        let parts = || {
            // `-e 2` in an early file ends up last.
            Tree::base().file("/etc/audit/rules.d/10-x.rules", 0o600, "-e 2\n-D\n").file(
                "/etc/audit/rules.d/20-x.rules",
                0o600,
                "-b 64\n-w /etc/passwd -p wa -k identity\n",
            )
        };
        let started = |tree: Tree, command: &str| {
            tree.file(
                "/usr/lib/systemd/system/audit-rules.service",
                0o644,
                format!("[Service]\nExecStart={command}\n"),
            )
            .link(
                "/etc/systemd/system/multi-user.target.wants/audit-rules.service",
                "/usr/lib/systemd/system/audit-rules.service",
            )
        };
        assert_eq!(passes(check(started(parts(), "/usr/sbin/augenrules --load"))), "1 rules, 1 keys");
        fails(check(parts()), "`/etc/audit/rules.d` has rules, and nothing runs augenrules");
        fails(check(started(parts(), "/usr/sbin/augenrules --check")), "nothing runs augenrules");
        // The file that is there is replaced by what the folder gives.
        let stale =
            |text| started(parts(), "/sbin/augenrules --load").file("/etc/audit/audit.rules", 0o600, text);
        passes(check(stale("")));
        let emptied = stale(GOOD).file("/etc/audit/rules.d/20-x.rules", 0o600, "# none\n");
        fails(check(emptied), "`/etc/audit/rules.d` holds no rule");
    }
}
