//! Users and groups: persons of the product, services of the layers, numbers that must not clash.

use std::collections::{BTreeMap, BTreeSet};

use diag::Diagnostic;

use super::asks::{Asker, Asks, Entry};
use crate::decode::suggestion;
use crate::layer::UserAsk;
use crate::plan::{GroupPlan, UserPlan};
use crate::product::Product;

/// Accounts with fixed numbers that every Debian system has (base-passwd, `passwd.master`).
const BASE_USERS: [(&str, u32); 18] = [
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("sync", 4),
    ("games", 5),
    ("man", 6),
    ("lp", 7),
    ("mail", 8),
    ("news", 9),
    ("uucp", 10),
    ("proxy", 13),
    ("www-data", 33),
    ("backup", 34),
    ("list", 38),
    ("irc", 39),
    ("_apt", 42),
    ("nobody", 65534),
];

/// Groups with fixed numbers that every Debian system has (base-passwd, `group.master`).
const BASE_GROUPS: [(&str, u32); 38] = [
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("lp", 7),
    ("mail", 8),
    ("news", 9),
    ("uucp", 10),
    ("man", 12),
    ("proxy", 13),
    ("kmem", 15),
    ("dialout", 20),
    ("fax", 21),
    ("voice", 22),
    ("cdrom", 24),
    ("floppy", 25),
    ("tape", 26),
    ("sudo", 27),
    ("audio", 29),
    ("dip", 30),
    ("www-data", 33),
    ("backup", 34),
    ("operator", 37),
    ("list", 38),
    ("irc", 39),
    ("src", 40),
    ("shadow", 42),
    ("utmp", 43),
    ("video", 44),
    ("sasl", 45),
    ("plugdev", 46),
    ("staff", 50),
    ("games", 60),
    ("users", 100),
    ("nogroup", 65534),
];

const NOLOGIN: &str = "/usr/sbin/nologin";

/// Users and groups asked so far.
pub struct Accounts {
    /// Users.
    pub users: Asks<UserPlan>,
    /// Groups.
    pub groups: Asks<GroupPlan>,
}

impl Accounts {
    /// The product's persons, each with a group of its own.
    pub fn of(product: &Product, trouble: &mut Vec<Diagnostic>) -> Self {
        let mut accounts = Self {
            users: Asks::new("user", |user| format!("uid {} in `{}`", user.uid, user.group)),
            groups: Asks::new("group", |group| format!("gid {}", group.gid)),
        };
        for (name, person) in product.users.iter() {
            let uid = person.uid.0;
            if !(1000..60_000).contains(&uid) {
                let message = format!("expected a uid from 1000 to 59999 for a person, found `{uid}`");
                let hint = "numbers below belong to the system and its services";
                trouble.push(Diagnostic::error("uid-range", message).at(person.uid.at.location()).hint(hint));
            }
            let user = UserPlan {
                uid,
                group: name.as_str().to_owned(),
                groups: sorted(&person.groups),
                home: person
                    .home
                    .as_ref()
                    .map_or_else(|| format!("/home/{}", name.as_str()), |home| home.as_str().to_owned()),
                shell: person.shell.as_ref().map_or("/bin/sh", |shell| shell.as_str()).to_owned(),
                comment: person.comment.as_ref().map_or("", |comment| comment.as_str()).to_owned(),
                person: true,
                ssh_keys: person.ssh_keys.iter().map(|key| key.as_str().to_owned()).collect(),
            };
            reject_words(name.as_str(), &user, &name.at, trouble);
            let asker = Asker::saying("product", &name.at, "a person who logs in");
            accounts.groups.ask(name.as_str(), GroupPlan { gid: uid }, asker.clone(), trouble);
            accounts.users.ask(name.as_str(), user, asker, trouble);
        }
        accounts
    }

    /// A service's account.
    pub fn service(&mut self, who: &str, ask: &UserAsk, trouble: &mut Vec<Diagnostic>) {
        let (name, uid) = (ask.name.as_str(), ask.uid.0);
        if (1000..65_534).contains(&uid) {
            let message = format!("expected a uid below 1000 for a service, found `{uid}`");
            trouble.push(Diagnostic::error("uid-range", message).at(ask.uid.at.location()));
        }
        let asker = Asker::new(who, &ask.name.at, &ask.reason);
        let group = ask.group.as_ref().map_or(name, |group| group.as_str());
        let user = UserPlan {
            uid,
            group: group.to_owned(),
            groups: sorted(&ask.groups),
            home: ask.home.as_ref().map_or("/nonexistent", |home| home.as_str()).to_owned(),
            shell: NOLOGIN.to_owned(),
            comment: ask.comment.as_ref().map_or("", |comment| comment.as_str()).to_owned(),
            person: false,
            ssh_keys: Vec::new(),
        };
        reject_words(name, &user, &ask.name.at, trouble);
        self.users.ask(name, user, asker, trouble);
    }

    /// What can only be said when all have asked: groups that are missing, numbers that clash.
    pub fn finish(&mut self, trouble: &mut Vec<Diagnostic>) {
        for (name, user) in &self.users.map {
            // A service's own group need not be written down.
            let own = !self.groups.map.contains_key(name)
                && user.value.group == *name
                && base_group(name).is_none();
            if own {
                let entry = Entry { value: GroupPlan { gid: user.value.uid }, askers: user.askers.clone() };
                self.groups.map.insert(name.clone(), entry);
            }
        }
        for (name, user) in &self.users.map {
            for group in std::iter::once(&user.value.group).chain(&user.value.groups) {
                if !self.has_group(group) {
                    let message =
                        format!("the user `{name}` is in the group `{group}`, which does not exist");
                    let known: BTreeSet<&str> = self.group_names().collect();
                    let hint = suggestion(group, known.iter().copied());
                    let at = user.askers[0].at.location();
                    trouble.push(Diagnostic::error("unknown-group", message).at(at).hint(hint));
                }
            }
        }
        reject_clashes("uid", &self.users.map, |user| user.uid, &BASE_USERS, trouble);
        reject_clashes("gid", &self.groups.map, |group| group.gid, &BASE_GROUPS, trouble);
    }

    /// What clashes with an account that a build system's packages make with this number.
    pub fn clashes(&self, other: &str, id: u32, user: bool, whose: &str) -> Vec<Diagnostic> {
        let users = self
            .users
            .map
            .iter()
            .filter(|_| user)
            .map(|(name, entry)| ("uid", name, entry.value.uid, &entry.askers));
        let groups =
            self.groups.map.iter().map(|(name, entry)| ("gid", name, entry.value.gid, &entry.askers));
        let clash = |(what, name, number, askers): (&str, &String, u32, &Vec<Asker>)| {
            let message = match (name == other, number == id) {
                (true, false) => format!("`{name}` has the {what} {id} {whose}, found `{number}`"),
                (false, true) => format!("`{name}` and `{other}` have the same {what}, {id}"),
                _ => return None,
            };
            Some(
                Diagnostic::error("number-clash", message)
                    .at(askers[0].at.location())
                    .hint("take another number"),
            )
        };
        users.chain(groups).filter_map(clash).collect()
    }

    /// Whether a user exists on the device.
    pub fn has_user(&self, name: &str) -> bool {
        self.users.map.contains_key(name) || BASE_USERS.iter().any(|(base, _)| *base == name)
    }

    /// Whether a group exists on the device.
    pub fn has_group(&self, name: &str) -> bool {
        self.groups.map.contains_key(name) || base_group(name).is_some()
    }

    /// Names of all users, for suggestions.
    pub fn user_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.users.map.keys().map(String::as_str).chain(BASE_USERS.iter().map(|(name, _)| *name))
    }

    /// Names of all groups, for suggestions.
    pub fn group_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.groups.map.keys().map(String::as_str).chain(BASE_GROUPS.iter().map(|(name, _)| *name))
    }
}

fn base_group(name: &str) -> Option<u32> {
    BASE_GROUPS.iter().find(|(base, _)| *base == name).map(|(_, gid)| *gid)
}

fn sorted(groups: &[crate::decode::Spanned<crate::types::UserName>]) -> Vec<String> {
    let names: BTreeSet<&str> = groups.iter().map(|group| group.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// What a shell reads within double or single quotes, and what ends a command. OE-Core's `useradd_base.bbclass` gives useradd(8)
/// its arguments through two shells, and takes them apart at semicolons before.
const OF_SHELLS: [char; 6] = ['\'', '"', ';', '$', '`', '\\'];

/// passwd(5) separates its fields with colons, and build systems make accounts by a shell.
fn reject_words(name: &str, user: &UserPlan, at: &crate::source::At, trouble: &mut Vec<Diagnostic>) {
    for (field, text) in [("comment", &user.comment), ("home", &user.home), ("shell", &user.shell)] {
        if text.contains([':', ',']) {
            let message = format!("expected a {field} without colons and commas, found `{text}`");
            trouble.push(Diagnostic::error("wrong-type", message).at(at.location()));
        }
        if text.contains(OF_SHELLS) {
            let message = format!(
                "expected a {field} of `{name}` without quotes, backquotes, semicolons, `$` and `\\`, found `{text}`"
            );
            let hint = "leave it out: build systems make accounts by a shell, which would read it";
            trouble.push(Diagnostic::error("shell-character", message).at(at.location()).hint(hint));
        }
    }
}

fn reject_clashes<T>(
    what: &str,
    asked: &BTreeMap<String, Entry<T>>,
    number: fn(&T) -> u32,
    base: &[(&str, u32)],
    trouble: &mut Vec<Diagnostic>,
) {
    let mut seen: BTreeMap<u32, (&str, Option<diag::Location>)> =
        base.iter().map(|(name, number)| (*number, (*name, None))).collect();
    let fixed: BTreeMap<&str, u32> = base.iter().copied().collect();
    for (name, entry) in asked {
        let own = number(&entry.value);
        let at = entry.askers[0].at.location();
        if let Some(fixed) = fixed.get(name.as_str()).filter(|fixed| **fixed != own) {
            let message = format!("`{name}` has the {what} {fixed} on every Debian system, found `{own}`");
            trouble.push(Diagnostic::error("number-clash", message).at(at.clone()));
        }
        match seen.get(&own) {
            Some((other, place)) if other != name => {
                let message = format!("`{name}` and `{other}` have the same {what}, {own}");
                trouble.push(
                    Diagnostic::error("number-clash", message)
                        .at(at)
                        .note(format!("`{other}` has it too"), place.clone())
                        .hint("give one of them another number"),
                );
            }
            _ => {
                seen.insert(own, (name, Some(at)));
            }
        }
    }
}
