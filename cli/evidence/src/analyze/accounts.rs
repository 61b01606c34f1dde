//! Accounts and their passwords: who may log in, and whether the hash gives way to a short list.

use std::collections::{BTreeMap, BTreeSet};

use super::crypt::{self, Hash, Tried};
use super::model::Account;
use super::rules::Found;
use crate::root::Root;

/// Accounts of one root that are looked at.
pub const MAX_ACCOUNTS: usize = 5000;

/// Passwords to try, the compiled-in list and the caller's.
#[must_use]
pub fn passwords(more: &[String]) -> Vec<String> {
    let own = include_str!("../../../../standards/analysis/passwords.txt").lines();
    let mut seen = BTreeSet::new();
    let all = own.filter(|line| !line.starts_with("# ")).map(str::to_owned).chain(more.iter().cloned());
    all.filter(|word| !word.is_empty() && seen.insert(word.clone())).collect()
}

/// Where accounts are: files of accounts and of hashes. Devices whose `/etc` is made at the start keep them elsewhere.
const FILES: [(&str, &str); 5] = [
    ("/etc/passwd", "/etc/shadow"),
    ("/etc_ro/passwd", "/etc_ro/shadow"),
    ("/etc.ro/passwd", "/etc.ro/shadow"),
    ("/rom/etc/passwd", "/rom/etc/shadow"),
    ("/usr/share/defaults/etc/passwd", "/usr/share/defaults/etc/shadow"),
];
/// Bytes and lines of a file of hashes beside these, and how many such files.
const MAX_OTHER: (u64, usize, usize) = (1 << 20, 1000, 200);

/// The accounts of a root.
#[derive(Debug, Default)]
pub struct Accounts {
    /// Each.
    pub rows: Vec<Account>,
    /// Whether some passwords could not be read: they may be anything.
    pub unread: bool,
}

/// What hashes are held against, and where findings go.
pub struct Judge<'a> {
    /// The words to try.
    pub list: &'a [String],
    /// How much may be tried.
    pub budget: &'a mut crypt::Budget,
    /// What is found.
    pub found: &'a mut Found,
}

/// The accounts of a root; `label` goes in front of names and paths.
pub fn look(root: &Root, label: &str, judge: &mut Judge<'_>) -> Accounts {
    let mut accounts = Accounts::default();
    for (passwd, shadow) in FILES {
        pair(root, label, passwd, shadow, judge, &mut accounts);
    }
    other_files(root, label, judge);
    accounts
}

/// One file of accounts with its file of hashes; either may be alone.
fn pair(
    root: &Root,
    label: &str,
    passwd: &str,
    shadow: &str,
    judge: &mut Judge<'_>,
    accounts: &mut Accounts,
) {
    let mut read = |path: &str, found: &mut Found| match root.read_text(path) {
        Ok(Some(text)) => Some(text),
        // A link that leads nowhere is filled when the device starts.
        Ok(None) => {
            accounts.unread |= root.entry(path).is_some();
            None
        }
        Err(why) => {
            accounts.unread = true;
            found.add("broken", format!("{label}{path}"), why.to_string());
            None
        }
    };
    let table = read(passwd, judge.found);
    let hashes_text = read(shadow, judge.found);
    let hashes: BTreeMap<&str, &str> = hashes_text
        .as_deref()
        .unwrap_or_default()
        .lines()
        .rev()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, rest)| (name, first(rest)))
        .collect();
    let readable = root.resolve(shadow).is_some_and(|(_, node)| node.mode & 0o004 != 0);
    // Hashes without accounts are those of accounts that are made elsewhere.
    let alone = table.is_none();
    let lines: Vec<String> = match &table {
        Some(table) => {
            let all = table.lines().filter(|line| !line.trim().is_empty());
            all.take(MAX_ACCOUNTS + 1).map(str::to_owned).collect()
        }
        None => hashes.keys().take(MAX_ACCOUNTS + 1).map(|name| format!("{name}:x:")).collect(),
    };
    for (number, line) in lines.iter().enumerate() {
        if number >= MAX_ACCOUNTS {
            let why = format!("more than {MAX_ACCOUNTS} accounts; the others are left out");
            judge.found.add("limit", format!("{label}{}", if alone { shadow } else { passwd }), why);
            break;
        }
        let fields: Vec<&str> = line.trim_end().split(':').collect();
        let [name, own, uid, ..] = fields.as_slice() else {
            judge.found.add("broken", format!("{label}{passwd}"), "a line with fewer than three fields");
            continue;
        };
        let shell = fields.get(6).copied().unwrap_or_default();
        let in_shadow = *own == "x";
        // Without the file of hashes nobody knows what they are.
        accounts.unread |= in_shadow && hashes_text.is_none();
        let hash = if in_shadow { hashes.get(name).copied() } else { Some(*own) };
        let at = format!("{label}{}", if in_shadow { shadow } else { passwd });
        let uid: Option<u32> = uid.parse().ok();
        if uid == Some(0) && *name != "root" {
            judge.found.add("account-root-rights", format!("{label}{passwd}"), format!("`{name}`"));
        }
        let (password, tried) = of_hash(name, hash, &at, judge);
        let open = !matches!(password.as_str(), "locked" | "none" | "empty");
        if open && (!in_shadow || readable) {
            judge.found.add("account-shadow-readable", &at, format!("the hash of `{name}`"));
        }
        accounts.rows.push(Account {
            name: format!("{label}{name}"),
            uid,
            shell: shell.to_owned(),
            password,
            tried,
        });
    }
}

/// Whether a file holds hashes by its name: copies of the system's own, and those of web servers.
fn holds_hashes(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let copy = ["passwd", "shadow", "gshadow"].iter().any(|own| {
        name.strip_prefix(own).is_some_and(|end| {
            matches!(end, "-" | "~")
                || [".bak", ".old", ".orig", ".org", ".save", ".backup", ".sample", ".default"].contains(&end)
        })
    });
    copy || name.ends_with("htpasswd")
        || name.ends_with("htdigest")
        || name.starts_with("htpasswd")
        || name == "httpd.pw"
}

/// Hashes in other files: copies that are forgotten, and files of web servers.
fn other_files(root: &Root, label: &str, judge: &mut Judge<'_>) {
    let (most, lines, files) = MAX_OTHER;
    let size = |node: &crate::root::Node| match node.kind {
        crate::root::NodeKind::File(bytes) => Some(bytes),
        _ => None,
    };
    let all = root.nodes().filter_map(|(path, node)| Some((path, size(node)?)));
    for (number, (path, bytes)) in all.filter(|(path, _)| holds_hashes(path)).enumerate() {
        let shown = || format!("{label}{path}");
        if number == files {
            judge.found.add(
                "limit",
                shown(),
                format!("more than {files} files of hashes; the others are left out"),
            );
            break;
        }
        if bytes > most {
            judge.found.add("limit", shown(), format!("it has {bytes} bytes, more than {most}"));
            continue;
        }
        let Ok(Some(text)) = root.read_text(path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if number == lines {
                judge.found.add(
                    "limit",
                    shown(),
                    format!("more than {lines} lines; the others are left out"),
                );
                break;
            }
            let Some((name, rest)) = line.split_once(':') else { continue };
            let text = first(rest);
            let hash = Hash::read(text);
            if matches!(hash, Hash::Empty | Hash::Locked)
                || name.is_empty()
                || hash == Hash::Other("unknown") && !text.starts_with(['$', '{'])
            {
                continue;
            }
            let (kind, own) = (hash.kind(), own_words(name));
            let tried = crypt::try_all(&hash, own.iter().chain(judge.list), judge.budget);
            let known = if tried == Tried::Found { ", in the short list" } else { "" };
            if let Tried::Unable(why) = &tried {
                judge.found.add("account-not-tried", shown(), format!("`{name}`: {why}"));
            }
            judge.found.add("account-other-file", shown(), format!("`{name}` ({kind}{known})"));
        }
    }
}

/// People take the account's own name, too.
fn own_words(name: &str) -> [String; 4] {
    [name.to_owned(), format!("{name}123"), format!("{name}1"), name.to_uppercase()]
}

fn first(rest: &str) -> &str {
    rest.split(':').next().unwrap_or_default().trim_end()
}

/// Kind of password, and whether it was found.
fn of_hash(name: &str, hash: Option<&str>, at: &str, judge: &mut Judge<'_>) -> (String, String) {
    let found = &mut *judge.found;
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
            let own = own_words(name);
            let tried = crypt::try_all(&hash, own.iter().chain(judge.list), judge.budget);
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
        let (rules, accounts) = of(&root);
        (rules, accounts.rows)
    }

    fn of(root: &Root) -> (Vec<String>, Accounts) {
        let (mut found, list, mut budget) = (Found::default(), passwords(&[]), crypt::Budget::default());
        let mut judge = Judge { list: &list, budget: &mut budget, found: &mut found };
        let accounts = look(root, "", &mut judge);
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

    const WEAK: &str = "root:$1$abcdefgh$rV6RhG4no19bGJfmub3Ui1:1::::::\n";

    #[test]
    fn accounts_are_found_where_the_device_keeps_them() {
        let away = Tree::base().without("/etc/passwd").without("/etc/shadow");
        let away = away.link("/etc/passwd", "/var/etc/passwd").file("/etc_ro/passwd", 0o644, ROOT);
        let (rules, accounts) = of(&away.file("/etc_ro/shadow", 0o600, WEAK).root());
        assert!(rules.contains(&"account-weak-password".to_owned()), "{rules:?}");
        // What `/etc` will have when the device runs is not known.
        assert!(accounts.unread);
        let (rules, _) = of(&Tree::base().without("/etc/passwd").file("/etc/shadow", 0o600, WEAK).root());
        assert!(rules.contains(&"account-weak-password".to_owned()), "{rules:?}");
        let folder = Tree::base().without("/etc/shadow").dir("/etc/shadow", 0o700);
        let (rules, accounts) = of(&folder.root());
        assert_eq!((rules, accounts.unread), (vec!["broken".to_owned()], true));
        assert!(!of(&Tree::base().root()).1.unread);
        assert!(of(&Tree::base().file("/etc/passwd", 0o644, ROOT).without("/etc/shadow").root()).1.unread);
    }

    #[test]
    fn hashes_in_copies_and_of_web_servers_are_found() {
        for path in ["/etc/shadow-", "/etc/passwd.bak", "/www/.htpasswd", "/etc/httpd.pw"] {
            let (rules, _) = of(&Tree::base().file(path, 0o600, WEAK).root());
            assert_eq!(rules, ["account-other-file"], "{path}");
        }
        let many = "root:*:1::::::\n".repeat(MAX_OTHER.1) + WEAK;
        let (rules, _) = of(&Tree::base().file("/etc/shadow-", 0o600, many).root());
        assert_eq!(rules, ["limit"]);
        let (rules, _) = of(&Tree::base().file("/etc/shadow-", 0o600, "root:*:1::::::\na::1:::\n").root());
        assert!(rules.is_empty());
        let (rules, _) = of(&Tree::base().file("/etc/passwd-", 0o600, ROOT).root());
        assert!(rules.is_empty());
    }
}
