//! `remote-login`: whoever logs in over the network has a key, and is not root.
//!
//! Source: sshd_config(5) of OpenSSH 10 with its defaults, dropbear(8).

use super::{Kind, NoParameters};
use crate::facts::services::inittab;
use crate::glob;
use crate::root::{NodeKind, Root};
use crate::sshd::Config;
use crate::starts::{self, Command};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct RemoteLogin;

const CONFIG: &str = "/etc/ssh/sshd_config";
/// Servers that take passwords or commands in clear text.
const CLEAR_TEXT: [&str; 8] =
    ["*telnetd", "*rshd", "*rlogind", "*rexecd", "*ftpd", "*fingerd", "vsftpd", "*tftpd"];
/// Keyword, value that is asked for, and what sshd does without it.
const ASKED: [(&str, &str, &str); 4] = [
    ("PermitRootLogin", "no", "prohibit-password"),
    ("PasswordAuthentication", "no", "yes"),
    ("KbdInteractiveAuthentication", "no", "yes"),
    ("PermitEmptyPasswords", "no", "no"),
];

impl Kind for RemoteLogin {
    const NAME: &'static str = "remote-login";
    const DESCRIPTION: &'static str =
        "sshd and dropbear take keys only and not root's, and no server takes passwords in clear text";
    type With = NoParameters;

    fn run(_with: NoParameters, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let mut problems = Vec::new();
        let mut looked = Vec::new();
        for (path, node) in root.nodes() {
            let Some((folder, name)) = path.rsplit_once('/') else { continue };
            let runs = matches!(node.kind, NodeKind::File(_) | NodeKind::Symlink(_));
            if !runs || !(folder.ends_with("bin") || folder.contains("/libexec")) {
                continue;
            }
            if CLEAR_TEXT.iter().any(|pattern| glob::part_matches(pattern, name)) {
                problems.push(format!("`{path}` serves in clear text"));
            }
            match name {
                "sshd" => looked.push(path),
                "dropbear" => looked.push(path),
                _ => {}
            }
        }
        // An applet needs no link of its own.
        for line in inittab(root)? {
            let process = line.splitn(4, ':').nth(3).unwrap_or_default();
            let applet = |word: &str| {
                let name = word.rsplit('/').next().unwrap_or_default();
                CLEAR_TEXT.iter().any(|pattern| glob::part_matches(pattern, name))
            };
            if process.split_whitespace().take_while(|word| !word.starts_with('#')).any(applet) {
                problems.push(format!("/etc/inittab: `{line}` serves in clear text"));
            }
        }
        if looked.iter().any(|path| path.ends_with("/sshd")) {
            sshd(root, &mut problems)?;
        }
        if looked.iter().any(|path| path.ends_with("/dropbear")) {
            dropbear(root, &mut problems)?;
        }
        let good = if looked.is_empty() { "no server for logins".to_owned() } else { looked.join(", ") };
        Ok(Conclusion::of(&problems, "logins by key only, and not as root", good, &root.sha256))
    }
}

fn sshd(root: &Root, problems: &mut Vec<String>) -> Result<(), Unable> {
    let config = Config::read(root, CONFIG)?.unwrap_or_default();
    for (keyword, asked, default) in ASKED {
        if !config.is_set(keyword) && asked != default {
            problems.push(format!("sshd: `{keyword}` is not set, which means `{default}`"));
        }
        for setting in config.values(keyword).into_iter().filter(|s| !s.value.eq_ignore_ascii_case(asked)) {
            problems.push(format!("sshd: `{keyword}` is `{}` at {}", setting.value, setting.at));
        }
    }
    Ok(())
}

/// Its options are in whatever starts it: units, start scripts, inittab, inetd, over the variables that these read
/// from `/etc/default/dropbear`. Of a server that nothing starts, as far as was seen, nothing is known.
fn dropbear(root: &Root, problems: &mut Vec<String>) -> Result<(), Unable> {
    let starts: Vec<Command> =
        starts::commands(root)?.into_iter().filter(|command| command.name() == "dropbear").collect();
    if starts.is_empty() {
        problems.push(
            "dropbear is there, and no unit, script or table was found that starts it with `-s -w`".into(),
        );
    }
    for command in starts {
        let options = letters(&command.words[1..]);
        for (letter, what) in [('s', "takes passwords"), ('w', "lets root log in")] {
            if !options.contains(letter) {
                problems.push(format!("dropbear {what}: {} does not give it `-{letter}`", command.at));
            }
        }
    }
    Ok(())
}

/// The letters of the options; the value of one that takes a value is none.
fn letters(words: &[String]) -> String {
    const WITH_VALUE: &str = "bcDGIKPprTVWzMA";
    let mut letters = String::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(options) = word.strip_prefix('-') else { continue };
        for (at, letter) in options.char_indices() {
            letters.push(letter);
            if WITH_VALUE.contains(letter) {
                if at + letter.len_utf8() == options.len() {
                    words.next();
                }
                break;
            }
        }
    }
    letters
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    const GOOD: &str = "PermitRootLogin no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n";

    fn sshd(config: &str) -> crate::root::Root {
        Tree::base().file("/usr/sbin/sshd", 0o755, "x").file("/etc/ssh/sshd_config", 0o600, config).root()
    }

    fn dropbear(arguments: &str) -> crate::root::Root {
        dropbear_of("/etc/init.d/S50dropbear", SCRIPT).file("/etc/default/dropbear", 0o644, arguments).root()
    }

    const SCRIPT: &str = "test -r /etc/default/dropbear && . /etc/default/dropbear\n\
        start-stop-daemon -S -p /run/x --exec /usr/sbin/dropbear -- $DROPBEAR_ARGS\n";

    fn dropbear_of(path: &str, text: &str) -> Tree {
        Tree::base().link("/usr/sbin/dropbear", "../bin/dropbearmulti").file(path, 0o755, text)
    }

    fn dropbear_unit(arguments: &str) -> crate::root::Root {
        let unit = format!(
            "[Service]\nEnvironmentFile=-/etc/default/dropbear\nExecStart=/usr/sbin/dropbear {arguments}\n"
        );
        let link = "/etc/systemd/system/multi-user.target.wants/dropbear.service";
        let tree = dropbear_of("/usr/lib/systemd/system/dropbear.service", &unit);
        tree.link(link, "/usr/lib/systemd/system/dropbear.service").root()
    }

    #[test]
    fn the_options_of_dropbear_are_those_of_whatever_starts_it() {
        let check = |root| run("remote-login", json!({}), root);
        passes(check(dropbear_unit("-F -R -sw")));
        passes(check(dropbear_unit("-p 22 -s -w $DROPBEAR_ARGS")));
        fails(check(dropbear_unit("-F -R $DROPBEAR_ARGS")), "dropbear takes passwords: dropbear.service");
        // The value of an option is no option.
        fails(check(dropbear_unit("-F -w -r -s")), "dropbear takes passwords: dropbear.service");
        passes(check(dropbear_of("/etc/inittab", "::respawn:/usr/sbin/dropbear -F -s -w\n").root()));
        let inittab = dropbear_of("/etc/inittab", "::respawn:/usr/sbin/dropbear -F -w\n");
        fails(check(inittab.root()), "dropbear takes passwords: /etc/inittab");
        // Of two starts each counts; the defaults of a file that nothing reads do not.
        let second = dropbear_of("/etc/init.d/S50dropbear", SCRIPT).file(
            "/etc/default/dropbear",
            0o644,
            "DROPBEAR_ARGS=-sw\n",
        );
        let second = second.file("/etc/init.d/S99more", 0o755, "dropbear -p 2222 -w\n");
        fails(check(second.root()), "dropbear takes passwords: /etc/init.d/S99more");
        let unused = dropbear_of("/etc/default/dropbear", "DROPBEAR_ARGS='-s -w'\n");
        fails(check(unused.root()), "no unit, script or table was found that starts it");
    }

    #[test]
    fn pass() {
        assert_eq!(passes(run("remote-login", json!({}), Tree::base().root())), "no server for logins");
        assert_eq!(passes(run("remote-login", json!({}), sshd(GOOD))), "/usr/sbin/sshd");
        passes(run("remote-login", json!({}), dropbear("DROPBEAR_ARGS=\"-s -w\"\n")));
    }

    #[test]
    fn fail() {
        fails(
            run("remote-login", json!({}), sshd("")),
            "`PasswordAuthentication` is not set, which means `yes`",
        );
        let config = format!("{GOOD}Match User a\nPasswordAuthentication yes\n");
        fails(
            run("remote-login", json!({}), sshd(&config)),
            "`PasswordAuthentication` is `yes` at /etc/ssh/",
        );
        fails(run("remote-login", json!({}), dropbear("DROPBEAR_ARGS=-w\n")), "dropbear takes passwords");
        fails(
            run("remote-login", json!({}), dropbear("# DROPBEAR_ARGS='-s -w'\n")),
            "dropbear lets root log in",
        );
        let line = "::respawn:/bin/busybox telnetd -F";
        let tree = Tree::base().file("/etc/inittab", 0o644, line);
        fails(run("remote-login", json!({}), tree.root()), line);
        let tree = Tree::base().link("/usr/sbin/telnetd", "../../bin/busybox");
        fails(run("remote-login", json!({}), tree.root()), "`/usr/sbin/telnetd` serves in clear text");
    }
}
