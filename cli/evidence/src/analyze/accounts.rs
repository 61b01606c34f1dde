//! Accounts and their passwords: who may log in, and whether the hash gives way to a short list.

use std::collections::{BTreeMap, BTreeSet};

use super::crypt::{self, Hash, Tried};
use super::model::Account;
use super::rules::Found;
use crate::root::Root;

/// Accounts of one root that are looked at.
const MAX_ACCOUNTS: usize = 5000;

/// Passwords to try, the compiled-in list and the caller's.
#[must_use]
pub fn passwords(more: &[String]) -> Vec<String> {
    let own = include_str!("../../../../standards/analysis/passwords.txt").lines();
    let mut seen = BTreeSet::new();
    let all = own.filter(|line| !line.starts_with("# ")).map(str::to_owned).chain(more.iter().cloned());
    all.filter(|word| !word.is_empty() && seen.insert(word.clone())).collect()
}

/// The accounts of a root; `label` goes in front of names and paths.
pub fn look(
    root: &Root,
    label: &str,
    list: &[String],
    budget: &mut crypt::Budget,
    found: &mut Found,
) -> Vec<Account> {
    let read = |path: &str, found: &mut Found| match root.read_text(path) {
        Ok(text) => text,
        Err(why) => {
            found.add("broken", format!("{label}{path}"), why.to_string());
            None
        }
    };
    let Some(passwd) = read("/etc/passwd", found) else { return Vec::new() };
    let shadow = read("/etc/shadow", found).unwrap_or_default();
    let hashes: BTreeMap<&str, &str> = shadow
        .lines()
        .rev()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, rest)| (name, first(rest)))
        .collect();
    let readable = root.resolve("/etc/shadow").is_some_and(|(_, node)| node.mode & 0o004 != 0);
    let mut accounts = Vec::new();
    for line in passwd.lines().filter(|line| !line.trim().is_empty()).take(MAX_ACCOUNTS) {
        let fields: Vec<&str> = line.trim_end().split(':').collect();
        let [name, own, uid, ..] = fields.as_slice() else {
            found.add("broken", format!("{label}/etc/passwd"), "a line with fewer than three fields");
            continue;
        };
        let shell = fields.get(6).copied().unwrap_or_default();
        let in_shadow = *own == "x";
        let hash = if in_shadow { hashes.get(name).copied() } else { Some(*own) };
        let at = format!("{label}{}", if in_shadow { "/etc/shadow" } else { "/etc/passwd" });
        let uid: Option<u32> = uid.parse().ok();
        if uid == Some(0) && *name != "root" {
            found.add("account-root-rights", format!("{label}/etc/passwd"), format!("`{name}`"));
        }
        let (password, tried) = judge(name, hash, &at, list, budget, found);
        let open = !matches!(password.as_str(), "locked" | "none" | "empty");
        if open && (!in_shadow || readable) {
            found.add("account-shadow-readable", &at, format!("the hash of `{name}`"));
        }
        accounts.push(Account {
            name: format!("{label}{name}"),
            uid,
            shell: shell.to_owned(),
            password,
            tried,
        });
    }
    accounts
}

fn first(rest: &str) -> &str {
    rest.split(':').next().unwrap_or_default().trim_end()
}

/// Kind of password, and whether it was found.
fn judge(
    name: &str,
    hash: Option<&str>,
    at: &str,
    list: &[String],
    budget: &mut crypt::Budget,
    found: &mut Found,
) -> (String, String) {
    let Some(text) = hash else { return ("none".to_owned(), String::new()) };
    match Hash::read(text) {
        Hash::Empty => {
            found.add("account-empty-password", at, format!("`{name}`"));
            ("empty".to_owned(), String::new())
        }
        Hash::Locked => ("locked".to_owned(), String::new()),
        hash => {
            let kind = hash.kind().to_owned();
            found.add("account-shared-password", at, format!("`{name}` ({kind})"));
            if hash.is_weak() {
                found.add("account-weak-hash", at, format!("`{name}` ({kind})"));
            }
            // People take the account's own name, too.
            let own = [name.to_owned(), format!("{name}123"), format!("{name}1"), name.to_uppercase()];
            let tried = crypt::try_all(&hash, own.iter().chain(list), budget);
            let said = match &tried {
                // The password itself stays out of the result: reports travel.
                Tried::Found => {
                    found.add("account-weak-password", at, format!("`{name}`"));
                    "found".to_owned()
                }
                Tried::NotInList => "not in the list".to_owned(),
                Tried::Unable(why) => {
                    found.add("account-not-tried", at, format!("`{name}`: {why}"));
                    format!("not tried: {why}")
                }
            };
            (kind, said)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Tree;

    fn rules(passwd: &str, shadow: &str, mode: u32) -> (Vec<String>, Vec<Account>) {
        let root = Tree::base().file("/etc/passwd", 0o644, passwd).file("/etc/shadow", mode, shadow).root();
        let mut found = Found::default();
        let accounts = look(&root, "", &passwords(&[]), &mut crypt::Budget::default(), &mut found);
        (found.issues().into_iter().map(|issue| issue.rule).collect(), accounts)
    }

    const ROOT: &str = "root:x:0:0:root:/root:/bin/sh\n";

    #[test]
    fn locked_accounts_are_no_finding() {
        let (rules, accounts) = rules(
            &format!("{ROOT}daemon:x:1:1::/:/bin/false\n"),
            "root:!*:1::::::\ndaemon:*:1::::::\n",
            0o640,
        );
        assert!(rules.is_empty(), "{rules:?}");
        assert_eq!(accounts[0].password, "locked");
    }

    #[test]
    fn empty_weak_and_readable_passwords_are_found() {
        assert_eq!(rules(ROOT, "root::1::::::\n", 0o640).0, ["account-empty-password"]);
        assert_eq!(rules("root::0:0::/:/bin/sh\n", "", 0o640).0, ["account-empty-password"]);
        // `openssl passwd -1 -salt abcdefgh root`
        let (found, accounts) = rules(ROOT, "root:$1$abcdefgh$rV6RhG4no19bGJfmub3Ui1:1::::::\n", 0o644);
        assert_eq!(
            found,
            [
                "account-weak-password",
                "account-shadow-readable",
                "account-shared-password",
                "account-weak-hash"
            ]
        );
        assert_eq!((accounts[0].password.as_str(), accounts[0].tried.as_str()), ("md5crypt", "found"));
        assert_eq!(
            rules(&format!("{ROOT}toor:x:0:0::/:/bin/sh\n"), "root:*:\ntoor:*:\n", 0o640).0,
            ["account-root-rights"]
        );
        let (found, accounts) = rules(ROOT, "root:$y$j9T$abcdefgh$0123456789:1::::::\n", 0o640);
        assert_eq!(found, ["account-shared-password", "account-not-tried"]);
        assert!(accounts[0].tried.starts_with("not tried: "), "{}", accounts[0].tried);
    }

    #[test]
    fn a_password_of_the_list_never_gets_into_the_result() {
        let (_, accounts) = rules(ROOT, "root:$1$abcdefgh$rV6RhG4no19bGJfmub3Ui1:1::::::\n", 0o640);
        assert!(!format!("{accounts:?}").contains("rV6RhG"));
    }
}
