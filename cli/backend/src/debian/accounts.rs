//! Accounts: `/etc/passwd`, `/etc/group` and `/etc/shadow`, made without running a package's scripts.
//!
//! The ids come from three places: the suite's `base-passwd` (only groups, root and nobody),
//! the packages' `sysusers.d` files, and the plan. No account has a password.
//! Source: sysusers.d(5), passwd(5), shadow(5).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use diag::{ExitStatus, Failure, Outcome};
use spec::plan::Plan;

const NOLOGIN: &str = "/usr/sbin/nologin";
const FIRST_DYNAMIC_ID: u32 = 999;
const KEPT_USERS: &[&str] = &["root", "nobody"];

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    uid: u32,
    gid: u32,
    comment: String,
    home: String,
    shell: String,
    person: bool,
}

/// All accounts of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, (u32, BTreeSet<String>)>,
}

impl Accounts {
    /// Collects accounts from `base-passwd`'s masters, the packages' `sysusers.d` files
    /// (name and text, sorted by name) and the plan.
    ///
    /// # Errors
    /// When two accounts want one id.
    pub fn collect(passwd: &str, group: &str, sysusers: &[(String, String)], plan: &Plan) -> Outcome<Self> {
        let mut accounts = Self::default();
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, gid, ..] = fields[..]
                && let Ok(gid) = gid.parse()
            {
                accounts.groups.insert(name.to_owned(), (gid, BTreeSet::new()));
            }
        }
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, uid, gid, comment, home, _] = fields[..]
                && KEPT_USERS.contains(&name)
                && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
            {
                let shell = NOLOGIN.to_owned();
                let (comment, home) = (comment.to_owned(), home.to_owned());
                accounts
                    .users
                    .insert(name.to_owned(), User { uid, gid, comment, home, shell, person: false });
            }
        }
        accounts.add_plan(plan)?;
        accounts.add_sysusers(sysusers);
        accounts.reject_shared_ids()?;
        Ok(accounts)
    }

    fn add_plan(&mut self, plan: &Plan) -> Outcome<()> {
        for (name, group) in &plan.groups {
            self.groups.insert(name.clone(), (group.value.gid, BTreeSet::new()));
        }
        for (name, asked) in &plan.users {
            let user = &asked.value;
            let gid = match self.groups.get(&user.group) {
                Some((gid, _)) => *gid,
                None if user.group == *name => {
                    self.groups.insert(name.clone(), (user.uid, BTreeSet::new()));
                    user.uid
                }
                None => {
                    return Err(Failure::error(
                        ExitStatus::Input,
                        "unknown-group",
                        format!(
                            "the user `{name}` belongs to the group `{}`, which nobody defines",
                            user.group
                        ),
                    )
                    .hint("define the group in the same layer"));
                }
            };
            for group in &user.groups {
                let Some((_, members)) = self.groups.get_mut(group) else {
                    return Err(Failure::error(
                        ExitStatus::Input,
                        "unknown-group",
                        format!("the user `{name}` is to be in the group `{group}`, which nobody defines"),
                    ));
                };
                members.insert(name.clone());
            }
            self.users.insert(
                name.clone(),
                User {
                    uid: user.uid,
                    gid,
                    comment: user.comment.clone(),
                    home: user.home.clone(),
                    shell: user.shell.clone(),
                    person: user.person,
                },
            );
        }
        Ok(())
    }

    fn add_sysusers(&mut self, files: &[(String, String)]) {
        let mut lines: Vec<Vec<String>> =
            files.iter().flat_map(|(_, text)| text.lines()).map(words).collect();
        lines.retain(|words| words.len() >= 2 && !words[0].starts_with('#'));
        // Fixed ids first, so that a free one is never taken away from them.
        lines.sort_by_key(|words| {
            !words.get(2).is_some_and(|id| id.starts_with(|c: char| c.is_ascii_digit()))
        });
        for words in &lines {
            let name = words[1].clone();
            let ids = words.get(2).map_or("-", String::as_str);
            let mut numbers = ids.split(':').map(|id| id.parse::<u32>().ok());
            match words[0].trim_end_matches(['!', '+', '-']) {
                "g" if !self.groups.contains_key(&name) => {
                    let gid = numbers.next().flatten().unwrap_or_else(|| self.free_id());
                    self.groups.insert(name, (gid, BTreeSet::new()));
                }
                "u" if !self.users.contains_key(&name) => {
                    let uid = numbers.next().flatten();
                    // `uid:gid` and `uid:group`: such a user gets no group of its own.
                    let named_group = ids.split(':').nth(1).and_then(|group| {
                        group.parse().ok().or_else(|| self.groups.get(group).map(|(gid, _)| *gid))
                    });
                    let gid = named_group.or_else(|| self.groups.get(&name).map(|(gid, _)| *gid)).or(uid);
                    let id = uid.or(gid).unwrap_or_else(|| self.free_id());
                    let gid = gid.unwrap_or(id);
                    if named_group.is_none() {
                        self.groups.entry(name.clone()).or_insert((gid, BTreeSet::new()));
                    }
                    let field = |at: usize, default: &str| match words.get(at).map(String::as_str) {
                        None | Some("-" | "") => default.to_owned(),
                        Some(text) => text.to_owned(),
                    };
                    let (comment, home) = (field(3, ""), field(4, "/"));
                    self.users.insert(
                        name,
                        User { uid: id, gid, comment, home, shell: NOLOGIN.to_owned(), person: false },
                    );
                }
                "m" => {
                    if let Some(group) = words.get(2) {
                        self.groups.entry(group.clone()).or_insert((0, BTreeSet::new())).1.insert(name);
                    }
                }
                _ => {}
            }
        }
    }

    fn free_id(&self) -> u32 {
        let taken: BTreeSet<u32> =
            self.users.values().map(|u| u.uid).chain(self.groups.values().map(|(gid, _)| *gid)).collect();
        (100..=FIRST_DYNAMIC_ID).rev().find(|id| !taken.contains(id)).unwrap_or(FIRST_DYNAMIC_ID)
    }

    fn reject_shared_ids(&self) -> Outcome<()> {
        let mut seen: BTreeMap<u32, &str> = BTreeMap::new();
        for (name, user) in &self.users {
            if let Some(other) = seen.insert(user.uid, name) {
                return Err(Failure::error(
                    ExitStatus::Input,
                    "shared-uid",
                    format!("the users `{other}` and `{name}` both have the uid {}", user.uid),
                )
                .hint("give one of them another uid"));
            }
        }
        Ok(())
    }

    /// The uid of a user.
    ///
    /// # Errors
    /// When nobody defines it.
    pub fn uid(&self, name: &str) -> Outcome<u32> {
        self.users.get(name).map(|user| user.uid).ok_or_else(|| unknown("user", name))
    }

    /// The gid of a group.
    ///
    /// # Errors
    /// When nobody defines it.
    pub fn gid(&self, name: &str) -> Outcome<u32> {
        self.groups.get(name).map(|(gid, _)| *gid).ok_or_else(|| unknown("group", name))
    }

    /// `/etc/passwd`.
    #[must_use]
    pub fn passwd(&self) -> String {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_by_key(|(name, user)| (user.uid, (*name).clone()));
        users.into_iter().fold(String::new(), |mut out, (name, u)| {
            let _ = writeln!(out, "{name}:x:{}:{}:{}:{}:{}", u.uid, u.gid, u.comment, u.home, u.shell);
            out
        })
    }

    /// `/etc/group`.
    #[must_use]
    pub fn group(&self) -> String {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(name, (gid, _))| (*gid, (*name).clone()));
        groups.into_iter().fold(String::new(), |mut out, (name, (gid, members))| {
            let members = members.iter().cloned().collect::<Vec<_>>().join(",");
            let _ = writeln!(out, "{name}:x:{gid}:{members}");
            out
        })
    }

    /// `/etc/shadow`: nobody has a password. A person's `*` lets sshd accept a key; all
    /// others are locked as well.
    #[must_use]
    pub fn shadow(&self) -> String {
        self.users.iter().fold(String::new(), |mut out, (name, user)| {
            let _ = writeln!(out, "{name}:{}:::::::", if user.person { "*" } else { "!*" });
            out
        })
    }

    /// `/etc/gshadow`: no group has a password.
    #[must_use]
    pub fn gshadow(&self) -> String {
        self.groups.iter().fold(String::new(), |mut out, (name, (_, members))| {
            let members = members.iter().cloned().collect::<Vec<_>>().join(",");
            let _ = writeln!(out, "{name}:!*::{members}");
            out
        })
    }
}

fn unknown(what: &str, name: &str) -> Failure {
    Failure::error(
        ExitStatus::Input,
        "unknown-owner",
        format!("a file is to belong to the {what} `{name}`, which nobody defines"),
    )
    .hint("define it in the layer that writes the file, or name one that a package brings")
}

/// The words of a `sysusers.d` line; quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        out.push(word.to_owned());
        rest = after.trim_start();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(sysusers: &str) -> Accounts {
        let mut accounts = Accounts::default();
        accounts.groups.insert("tty".into(), (5, BTreeSet::new()));
        accounts.add_sysusers(&[("x.conf".into(), sysusers.into())]);
        accounts
    }

    #[test]
    fn sysusers_lines_become_accounts() {
        let accounts = collected(
            "g input - -\nu! systemd-network 998 \"Network manager\" / -\nu sshd - \"sshd\" /run/sshd\nm sshd tty\n",
        );
        assert_eq!(accounts.gid("systemd-network").unwrap(), 998);
        assert_eq!(accounts.gid("input").unwrap(), 999);
        assert_eq!(accounts.uid("sshd").unwrap(), 997);
        assert!(
            accounts.passwd().contains("systemd-network:x:998:998:Network manager:/:/usr/sbin/nologin\n")
        );
        assert!(accounts.group().contains("tty:x:5:sshd\n"));
        assert!(accounts.shadow().contains("sshd:!*:::::::\n"));
    }

    #[test]
    fn a_user_with_a_group_of_another_name_gets_none_of_its_own() {
        let accounts = collected("u sync 4:65534 - /bin\nu _apt 42:tty - /\n");
        assert!(accounts.passwd().contains("sync:x:4:65534:"));
        assert!(accounts.passwd().contains("_apt:x:42:5:"));
        assert!(accounts.gid("sync").is_err() && accounts.gid("_apt").is_err());
    }

    #[test]
    fn a_shared_uid_is_refused_with_both_names() {
        let mut accounts = collected("u a 300\nu b 300\n");
        let text = accounts.reject_shared_ids().unwrap_err().to_string();
        assert!(text.contains("`a` and `b` both have the uid 300"), "{text}");
        accounts.users.remove("b");
        accounts.reject_shared_ids().unwrap();
    }

    #[test]
    fn an_owner_that_nobody_defines_is_refused() {
        assert!(
            collected("")
                .uid("ghost")
                .unwrap_err()
                .to_string()
                .contains("user `ghost`, which nobody defines")
        );
    }
}
