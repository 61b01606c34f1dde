//! `passwords-unused`: nobody can have a password, so that rules for passwords have nothing to look at.

use serde_json::json;

use super::{Kind, NoParameters};
use crate::facts::SSHD_CONFIG;
use crate::sshd::Config;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct PasswordsUnused;

/// Programs that set a password, or ask for one, beside sshd.
const PROGRAMS: [&str; 14] = [
    "passwd",
    "chpasswd",
    "newusers",
    "login",
    "su",
    "sudo",
    "doas",
    "pkexec",
    "sulogin",
    "dropbear",
    "cockpit-ws",
    "lightdm",
    "gdm*",
    "in.telnetd",
];
/// Modules of PAM that take nothing for a proof of who somebody is.
const NO_PROOF: [&str; 6] =
    ["pam_deny.so", "pam_env.so", "pam_nologin.so", "pam_securetty.so", "pam_faildelay.so", "pam_warn.so"];

impl Kind for PasswordsUnused {
    const NAME: &'static str = "passwords-unused";
    const DESCRIPTION: &'static str = "never: does not apply where no account has a password and nothing could set or ask one, else needs the operator";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let mut found = Vec::new();
        let accounts =
            super::find("accounts").ok_or_else(|| Unable::broken("there is no kind `accounts`"))?;
        let accounts = (accounts.run)(&json!({"no_password": true}), context)?;
        if !accounts.holds {
            found.push(accounts.seen.clone());
        }
        for name in PROGRAMS {
            found.extend(
                root.find(&format!("/usr/*bin/{name}"))
                    .into_iter()
                    .map(|(path, _)| format!("`{path}` is there")),
            );
        }
        for folder in ["/etc/pam.d", "/usr/lib/pam.d"] {
            for name in root.list(folder) {
                let path = format!("{folder}/{name}");
                for line in root.read_text(&path)?.unwrap_or_default().lines().map(str::trim) {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    let kind = words.first().map(|kind| kind.trim_start_matches('-')).unwrap_or_default();
                    let proof = !words.iter().any(|word| NO_PROOF.contains(word));
                    // What is included by its name lies in these folders and is read by itself.
                    let elsewhere = words.first() == Some(&"@include")
                        && words.get(1).is_some_and(|name| name.contains('/'));
                    if elsewhere || kind == "auth" && proof {
                        found.push(format!("`{path}` says `{line}`"));
                    }
                }
            }
        }
        if let Some(config) = Config::read(root, SSHD_CONFIG)? {
            for keyword in ["PasswordAuthentication", "KbdInteractiveAuthentication"] {
                let all = config.values(keyword);
                if all.is_empty() || all.iter().any(|setting| !setting.value.eq_ignore_ascii_case("no")) {
                    found.push(format!("`{SSHD_CONFIG}` does not say `{keyword} no`"));
                }
            }
        }
        if found.is_empty() {
            return Err(Unable::not_applicable(format!(
                "no account can have a password ({}); no program of the image sets one, no service of PAM and no sshd asks for one",
                accounts.seen
            )));
        }
        Err(Unable::for_the_operator(format!(
            "passwords may be used, and no check of the plan has rules for them: {}",
            found.join("; ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use serde_json::json;

    use crate::Unable;
    use crate::testing::*;

    fn tree() -> Tree {
        Tree::base()
            .file("/etc/passwd", 0o644, "root:x:0:0::/root:/usr/sbin/nologin\n")
            .file("/etc/group", 0o644, "root:x:0:\n")
            .file("/etc/shadow", 0o640, "root:*:1::::::\n")
            .file("/etc/pam.d/sshd", 0o644, "auth requisite pam_deny.so\nsession required pam_unix.so\n")
            .file(
                "/etc/ssh/sshd_config",
                0o600,
                "PasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            )
    }

    fn check(tree: Tree) -> Unable {
        run("passwords-unused", json!({}), tree.root()).unwrap_err()
    }

    #[test]
    fn nothing_to_look_at() {
        let none = check(tree());
        assert_eq!(none.verdict, Verdict::NotApplicable, "{}", none.why);
        assert!(none.why.starts_with("no account can have a password"), "{}", none.why);
        // Debian's own, without what it includes.
        let session = tree().file("/usr/lib/pam.d/systemd-user", 0o644, "@include common-account\n");
        assert_eq!(check(session).verdict, Verdict::NotApplicable);
    }

    #[test]
    fn whatever_could_use_one_is_named() {
        for (tree, says) in [
            (tree().file("/usr/bin/passwd", 0o755, ""), "`/usr/bin/passwd` is there"),
            (
                tree().file("/etc/pam.d/x", 0o644, "auth required pam_unix.so\n"),
                "`/etc/pam.d/x` says `auth required",
            ),
            (tree().file("/etc/pam.d/x", 0o644, "@include /srv/auth\n"), "says `@include /srv/auth`"),
            (
                tree().file("/etc/ssh/sshd_config", 0o600, "PasswordAuthentication no\n"),
                "`KbdInteractiveAuthentication no`",
            ),
            (tree().file("/etc/shadow", 0o640, "root:$y$j9T$a$b:1::::::\n"), "root"),
        ] {
            let open = check(tree);
            assert_eq!(open.verdict, Verdict::NeedsOperator);
            assert!(open.why.contains(says), "{says}: {}", open.why);
        }
    }
}
