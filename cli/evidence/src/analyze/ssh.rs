//! Servers of SSH by their settings and by what they are started with.

use super::known::known;
use super::rules::Found;
use crate::root::Root;
use crate::sshd::{Config, Setting};
use crate::starts::Command;

/// Where sshd's settings are unless it is told otherwise.
pub const SSHD: &str = "/etc/ssh/sshd_config";

/// Source: dropbear(8): `-s` no passwords, `-w` no root, `-g` no passwords for root, `-B` blank passwords.
pub fn dropbear(at: &str, no_passwords: bool, no_root: bool, blank: bool, found: &mut Found) {
    if blank {
        found.add("ssh-empty-passwords", at, "dropbear -B");
    }
    if !no_passwords {
        found.add("ssh-password", at, "dropbear without -s");
        if !no_root {
            found.add("ssh-root-login", at, "dropbear with neither -w, -g nor -s");
        }
    }
}

/// The file and the settings of a command line: `-f FILE`, `-o KEYWORD=VALUE`, each also in one word.
fn options(words: &[String]) -> (String, Vec<(String, String)>) {
    let (mut file, mut settings) = (SSHD.to_owned(), Vec::new());
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix('-').filter(|option| !option.starts_with('-')) else { continue };
        for (at, letter) in option.char_indices() {
            if !"CcEfghkoPpu".contains(letter) {
                continue;
            }
            let rest = &option[at + letter.len_utf8()..];
            let value =
                if rest.is_empty() { words.next().cloned().unwrap_or_default() } else { rest.to_owned() };
            match letter {
                'f' => file = value,
                'o' => {
                    let value = value.trim_matches(['"', '\'']);
                    if let Some((keyword, value)) = value.split_once(['=', ' ']) {
                        settings.push((keyword.trim().to_owned(), value.trim().to_owned()));
                    }
                }
                _ => {}
            }
            break;
        }
    }
    (file, settings)
}

/// Source: sshd_config(5); what is not set has OpenSSH's default, and the first value counts. Each `Match` block is
/// judged with what it puts over the others.
pub fn sshd(root: &Root, label: &str, command: &Command, found: &mut Found) {
    let (file, given) = options(&command.words);
    let at = format!("{label}{file}");
    let config = match Config::read(root, &file) {
        Ok(config) => config.unwrap_or_default(),
        Err(why) => return found.add("broken", at, why.to_string()),
    };
    let by_option = |keyword: &str| {
        given.iter().find(|(name, _)| name.eq_ignore_ascii_case(keyword)).map(|(_, value)| value.clone())
    };
    let global = |keyword: &str| {
        by_option(keyword).or_else(|| {
            let own = config.values(keyword).into_iter().find(|setting| setting.inside.is_none());
            own.map(|setting| setting.value.clone())
        })
    };
    let everywhere = scope(&global, "");
    for (rule, seen) in &everywhere {
        found.add(rule, &at, seen);
    }
    // What the whole server does is said once.
    for block in config.blocks() {
        let inside = |keyword: &str| {
            let of_block = |setting: &&Setting| setting.inside.as_deref() == Some(block);
            let own = config.values(keyword).into_iter().find(of_block).map(|setting| setting.value.clone());
            by_option(keyword).or(own).or_else(|| global(keyword))
        };
        for (rule, seen) in scope(&inside, &format!(" (Match {block})")) {
            if !everywhere.iter().any(|(known, _)| *known == rule) {
                found.add(rule, &at, seen);
            }
        }
    }
    for bad in &known().ssh_settings {
        let set = config.values(&bad.keyword).into_iter().map(|setting| setting.value.clone());
        let option = by_option(&bad.keyword);
        if option.into_iter().chain(set).any(|value| value.eq_ignore_ascii_case(&bad.value)) {
            found.add("ssh-setting", &at, format!("{} {}", bad.keyword, bad.value));
        }
    }
    for list in &known().ssh_algorithms {
        let Some(value) = global(&list.keyword).filter(|value| !value.starts_with('-')) else { continue };
        for name in value.trim_start_matches(['+', '^']).split(',').map(str::trim) {
            if list.weak.iter().any(|weak| name.starts_with(weak.as_str())) {
                found.add("ssh-algorithm", &at, format!("{} {name}", list.keyword));
            }
        }
    }
}

/// Rules that apply where `get` gives the values in force.
fn scope(get: &dyn Fn(&str) -> Option<String>, name: &str) -> Vec<(&'static str, String)> {
    let is = |keyword: &str, value: &str| get(keyword).is_some_and(|own| own.eq_ignore_ascii_case(value));
    let set = |keyword: &str| get(keyword).is_some();
    let plain = !set("PasswordAuthentication") || is("PasswordAuthentication", "yes");
    // PAM asks for the password in a dialogue of its own; `ChallengeResponseAuthentication` is its older name.
    let dialogue = ["KbdInteractiveAuthentication", "ChallengeResponseAuthentication"];
    let open =
        !dialogue.iter().any(|keyword| set(keyword)) || dialogue.iter().any(|keyword| is(keyword, "yes"));
    let by_dialogue = is("UsePAM", "yes") && open;
    let passwords = plain || by_dialogue;
    let mut found = Vec::new();
    if is("PermitEmptyPasswords", "yes") && passwords {
        found.push(("ssh-empty-passwords", format!("PermitEmptyPasswords yes{name}")));
    }
    if is("PermitRootLogin", "yes") && passwords {
        found.push(("ssh-root-login", format!("PermitRootLogin yes{name}")));
    }
    if plain {
        found.push(("ssh-password", format!("PasswordAuthentication yes (OpenSSH's default){name}")));
    } else if by_dialogue {
        found.push(("ssh-password", format!("KbdInteractiveAuthentication with UsePAM{name}")));
    }
    found
}

/// Keys that may log in by files that `AuthorizedKeysFile` names and whose own names do not say what they are: path
/// and content. Source: sshd_config(5), `AuthorizedKeysFile`: `%h` is the home, `%u` the account.
pub fn authorized(root: &Root, label: &str, found: &mut Found) -> Vec<(String, String)> {
    const ACCOUNTS: usize = 200;
    let Ok(Some(config)) = Config::read(root, SSHD) else { return Vec::new() };
    let passwd = root.read_text("/etc/passwd").ok().flatten().unwrap_or_default();
    let mut paths = std::collections::BTreeSet::new();
    let own = !config.values("AuthorizedKeysFile").is_empty();
    if own && passwd.lines().nth(ACCOUNTS).is_some() {
        let why =
            format!("`AuthorizedKeysFile` is followed for {ACCOUNTS} accounts; the others are left out");
        found.add("limit", format!("{label}/etc/passwd"), why);
    }
    for setting in config.values("AuthorizedKeysFile") {
        for pattern in setting.value.split_whitespace().take(16) {
            for line in passwd.lines().take(ACCOUNTS) {
                let fields: Vec<&str> = line.split(':').collect();
                let [name, _, _, _, _, home, ..] = fields.as_slice() else { continue };
                let path = pattern.replace("%h", home).replace("%u", name);
                let path = if path.starts_with('/') { path } else { format!("{home}/{path}") };
                if let Some((real, _)) = root.resolve(&path) {
                    paths.insert(real);
                }
            }
        }
    }
    let read = |path: String| {
        let text = root.read_text(&path).ok().flatten()?;
        (!super::keys::is_authorized(&path)).then_some((path, text))
    };
    paths.into_iter().filter_map(read).collect()
}
