//! `sshd-lists`: algorithm and group lists of sshd hold nothing but what is allowed.

use serde::Deserialize;

use super::Kind;
use crate::sshd::Config;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct SshdLists;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    path: String,
    option: String,
    allowed: Vec<String>,
}

impl Kind for SshdLists {
    const NAME: &'static str = "sshd-lists";
    const DESCRIPTION: &'static str =
        "every member of the option's list is allowed, and the list is not empty";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        if with.allowed.is_empty() { vec!["`allowed` is empty".to_owned()] } else { Vec::new() }
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let expected = format!("{} only among {}", with.option, with.allowed.join(", "));
        let Some(config) = Config::read(root, &with.path)? else {
            return Ok(Conclusion::of(&[format!("`{}` is missing", with.path)], expected, "", &root.sha256));
        };
        let mut problems = Vec::new();
        let mut good = Vec::new();
        if !config.is_set(&with.option) {
            problems.push(format!("`{}` is not set, so that sshd's own list applies", with.option));
        }
        for setting in config.values(&with.option) {
            if setting.value.starts_with(['+', '-', '^']) {
                problems.push(format!("`{}` at {} changes sshd's own list", setting.value, setting.at));
                continue;
            }
            let members: Vec<&str> =
                setting.value.split([',', ' ', '\t']).filter(|m| !m.is_empty()).collect();
            if members.is_empty() {
                problems.push(format!("the list at {} is empty", setting.at));
            }
            for member in &members {
                if !with.allowed.iter().any(|allowed| allowed == member) {
                    problems.push(format!("`{member}` at {} is not allowed", setting.at));
                }
            }
            good.push(format!("{} ({})", members.join(","), setting.at));
        }
        Ok(Conclusion::of(&problems, expected, good.join("; "), &root.sha256))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn check(text: &str) -> Result<crate::Conclusion, crate::Unable> {
        run(
            "sshd-lists",
            json!({"path": "/etc/ssh/sshd_config", "option": "Ciphers", "allowed": ["aes256-gcm@openssh.com"]}),
            Tree::base().file("/etc/ssh/sshd_config", 0o600, text).root(),
        )
    }

    #[test]
    fn pass() {
        passes(check("Ciphers aes256-gcm@openssh.com\n"));
    }

    #[test]
    fn fail() {
        fails(
            check("Ciphers aes256-gcm@openssh.com,3des-cbc\n"),
            "`3des-cbc` at /etc/ssh/sshd_config:1 is not allowed",
        );
        fails(check("Port 22\n"), "sshd's own list applies");
        fails(check("Ciphers +aes256-gcm@openssh.com\n"), "changes sshd's own list");
        fails(
            check("Ciphers aes256-gcm@openssh.com\nMatch User x\nCiphers none\n"),
            "`none` at /etc/ssh/sshd_config:3 is not allowed",
        );
    }
}
