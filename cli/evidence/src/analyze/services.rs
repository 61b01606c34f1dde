//! What is started and listens, and how it is configured. Read from units, inittab, inetd and start scripts; what a
//! running device listens on is shown by running it only.

use super::model::Service;
use super::rules::Found;
use crate::facts::services::{inittab, listening, settings, started};
use crate::kinds::console_login;
use crate::root::Root;
use crate::sshd::Config;
use crate::starts::{Command, commands, on_terminal};

/// Programs that send passwords or commands in the clear, by their names.
const CLEAR: [&str; 17] = [
    "telnetd",
    "in.telnetd",
    "utelnetd",
    "ftpd",
    "in.ftpd",
    "vsftpd",
    "proftpd",
    "pure-ftpd",
    "uftpd",
    "bftpd",
    "tftpd",
    "in.tftpd",
    "rshd",
    "in.rshd",
    "in.rlogind",
    "in.rexecd",
    "xinetd-telnet",
];
/// Programs that listen on the network.
const NETWORK: [&str; 27] = [
    "sshd",
    "dropbear",
    "snmpd",
    "mosquitto",
    "lighttpd",
    "nginx",
    "httpd",
    "uhttpd",
    "apache2",
    "dnsmasq",
    "named",
    "smbd",
    "nmbd",
    "rpcbind",
    "rpc.mountd",
    "rpc.nfsd",
    "avahi-daemon",
    "charon",
    "charon-systemd",
    "openvpn",
    "hostapd",
    "redis-server",
    "mysqld",
    "postgres",
    "minidlnad",
    "miniupnpd",
    "iperf3",
];
/// Shells.
const SHELLS: [&str; 5] = ["sh", "ash", "bash", "hush", "dash"];
const SSHD: &str = "/etc/ssh/sshd_config";

/// The services of a root.
pub fn look(root: &Root, label: &str, found: &mut Found) -> Vec<Service> {
    let mut services = Vec::new();
    match commands(root) {
        Ok(all) => {
            for command in &all {
                one(root, label, command, &mut services, found);
            }
            if all.iter().any(|command| command.name() == "sshd") {
                sshd(root, label, found);
            }
        }
        Err(why) => found.add("broken", format!("{label}/etc"), format!("what is started: {why}")),
    }
    match listening(root) {
        Ok(values) => {
            for (what, how) in values {
                let (name, rest) = what.split_once(": ").unwrap_or((&what, ""));
                services.push(Service {
                    name: name.to_owned(),
                    at: format!("{label}{name}"),
                    how: format!("{rest} {how}").trim().to_owned(),
                });
            }
        }
        Err(why) => found.add("broken", format!("{label}/etc"), format!("what listens: {why}")),
    }
    consoles(root, label, found);
    services.sort();
    services.dedup();
    services
}

fn one(root: &Root, label: &str, command: &Command, services: &mut Vec<Service>, found: &mut Found) {
    let name = command.name().trim_start_matches('-');
    let at = format!("{label}{}", command.at);
    let has = |option: &str| command.words.iter().any(|word| word == option);
    let short = |letter: char| {
        command.words[1..].iter().any(|word| {
            word.strip_prefix('-').is_some_and(|rest| {
                !rest.starts_with('-')
                    && rest.chars().all(|c| c.is_ascii_alphabetic())
                    && rest.contains(letter)
            })
        })
    };
    let clear = CLEAR.contains(&name);
    if clear || NETWORK.contains(&name) {
        let how = command.words.join(" ");
        services.push(Service { name: name.to_owned(), at: at.clone(), how: how.clone() });
        if clear {
            found.add("service-clear-text", &at, how);
        } else {
            found.add("service-network", &at, how);
        }
    }
    match name {
        "getty"
            if short('n')
                && command.words.iter().any(|word| {
                    let program = word.rsplit('/').next().unwrap_or_default();
                    word.contains('/') && SHELLS.contains(&program)
                }) =>
        {
            found.add("shell-without-login", &at, command.words.join(" "));
        }
        "agetty" if has("--autologin") || has("-a") => {
            found.add("shell-without-login", &at, command.words.join(" "));
        }
        // OpenEmbedded's script in front of getty: `serial-autologin-root` writes the option into it.
        "start_getty" => {
            let text = root.read_text(&command.words[0]).ok().flatten().unwrap_or_default();
            if text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains("--autologin")) {
                found.add("shell-without-login", &at, format!("{} has --autologin", command.words.join(" ")));
            }
        }
        "dropbear" => dropbear(&at, short('s'), short('w') || short('g'), short('B'), found),
        "snmpd" => snmp(root, label, found),
        "mosquitto" => mosquitto(root, label, &command.words, found),
        _ => {}
    }
}

/// Source: dropbear(8): `-s` no passwords, `-w` no root, `-g` no passwords for root, `-B` blank passwords.
fn dropbear(at: &str, no_passwords: bool, no_root: bool, blank: bool, found: &mut Found) {
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

/// Source: sshd_config(5); what is not set has OpenSSH's default.
fn sshd(root: &Root, label: &str, found: &mut Found) {
    let at = format!("{label}{SSHD}");
    let config = match Config::read(root, SSHD) {
        Ok(config) => config.unwrap_or_default(),
        Err(why) => return found.add("broken", at, why.to_string()),
    };
    // A `Match` block that opens what the global setting closes counts, too.
    let any =
        |keyword: &str, bad: &str| config.all(keyword).iter().any(|value| value.eq_ignore_ascii_case(bad));
    let passwords = config.all("PasswordAuthentication").is_empty() || any("PasswordAuthentication", "yes");
    if any("PermitEmptyPasswords", "yes") && passwords {
        found.add("ssh-empty-passwords", &at, "PermitEmptyPasswords yes");
    }
    if any("PermitRootLogin", "yes") && passwords {
        found.add("ssh-root-login", &at, "PermitRootLogin yes");
    }
    if passwords {
        found.add("ssh-password", &at, "PasswordAuthentication yes (OpenSSH's default)");
    }
}

/// Source: snmpd.conf(5).
fn snmp(root: &Root, label: &str, found: &mut Found) {
    for path in ["/etc/snmp/snmpd.conf", "/etc/snmpd.conf"] {
        let Ok(Some(text)) = root.read_text(path) else { continue };
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let community = match words.as_slice() {
                [kind, community, ..]
                    if ["rocommunity", "rwcommunity", "rocommunity6", "rwcommunity6"].contains(kind) =>
                {
                    Some(*community)
                }
                ["com2sec" | "com2sec6", rest @ ..] => rest.last().copied(),
                _ => None,
            };
            if community
                .is_some_and(|name| ["public", "private", "admin", "snmp", "community"].contains(&name))
            {
                found.add("snmp-community", format!("{label}{path}"), line);
            }
        }
    }
}

/// Source: mosquitto.conf(5): without `allow_anonymous` a broker of version 2 that has a listener lets nobody in.
fn mosquitto(root: &Root, label: &str, words: &[String], found: &mut Found) {
    let named = words.iter().position(|word| word == "-c").and_then(|at| words.get(at + 1));
    let main = named.map_or("/etc/mosquitto/mosquitto.conf", String::as_str);
    let more: Vec<String> =
        root.find("/etc/mosquitto/conf.d/*.conf").into_iter().map(|(path, _)| path.to_owned()).collect();
    for path in std::iter::once(main.to_owned()).chain(more) {
        let Ok(Some(text)) = root.read_text(&path) else { continue };
        if text.lines().any(|line| line.split_whitespace().eq(["allow_anonymous", "true"])) {
            found.add("mqtt-anonymous", format!("{label}{path}"), "allow_anonymous true");
        }
    }
}

/// Lines of inittab and units that give a shell to whoever has the console.
fn consoles(root: &Root, label: &str, found: &mut Found) {
    for line in inittab(root).unwrap_or_default() {
        let mut fields = line.splitn(4, ':').skip(2);
        let (Some(action), Some(process)) = (fields.next(), fields.next()) else { continue };
        let words: Vec<&str> = process.split_whitespace().collect();
        let [program, arguments @ ..] = on_terminal(&words) else { continue };
        let program = program.trim_start_matches('-');
        let shell = SHELLS.contains(&program.rsplit('/').next().unwrap_or_default());
        let alone = arguments.iter().all(|word| word.starts_with('-') && *word != "-c");
        if ["respawn", "askfirst", "once"].contains(&action) && shell && alone {
            found.add("shell-without-login", format!("{label}/etc/inittab"), &line);
        }
    }
    // No link pulls it in: a generator does, on each console.
    const SERIAL: &str = "serial-getty@.service";
    if console_login::generated(root) {
        let service = settings(root, SERIAL, "Service").unwrap_or_default();
        for line in service.get("ExecStart").into_iter().flatten().filter(|l| l.contains("--autologin")) {
            found.add("shell-without-login", format!("{label}{SERIAL}"), line);
        }
    }
    for unit in started(root).iter().filter(|unit| unit.as_str() == "debug-shell.service") {
        found.add("shell-without-login", format!("{label}{unit}"), "started: a root shell on tty9");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Tree;

    fn rules(tree: Tree) -> Vec<String> {
        let mut found = Found::default();
        look(&tree.root(), "", &mut found);
        found.issues().into_iter().map(|issue| issue.rule).collect()
    }

    fn inittab(line: &str) -> Tree {
        Tree::base().file("/etc/inittab", 0o644, format!("{line}\n"))
    }

    #[test]
    fn a_login_on_the_console_is_no_finding_and_a_shell_is() {
        assert!(rules(inittab("tty1::respawn:/sbin/getty -L tty1 115200 vt100")).is_empty());
        assert!(rules(inittab("::sysinit:/bin/sh /etc/rc")).is_empty());
        for line in [
            "::askfirst:-/bin/sh",
            "::respawn:/bin/ash",
            "ttyS0::respawn:/sbin/getty -nl /bin/sh ttyS0 115200",
            "ttyS0::respawn:/sbin/getty -n -l /bin/bash ttyS0 115200",
            "1:2345:respawn:/sbin/agetty --autologin root tty1",
            "S0:5:respawn:/usr/sbin/ttyrun ttyS0 /sbin/agetty --autologin root ttyS0",
            "::respawn:/bin/cttyhack /bin/sh",
            "::respawn:/bin/busybox ash",
        ] {
            assert_eq!(rules(inittab(line)), ["shell-without-login"], "{line}");
        }
    }

    #[test]
    fn a_login_by_itself_on_a_serial_console_of_openembedded_is_found() {
        let script = |options: &str| {
            inittab("S0:5:respawn:/usr/sbin/ttyrun ttyS0 /bin/start_getty 115200 ttyS0 vt102").file(
                "/bin/start_getty",
                0o755,
                format!(
                    "#!/bin/sh\n# --autologin\noptions=\"{options}\"\n/sbin/getty $options -L $1 $2 $3\n"
                ),
            )
        };
        assert!(rules(script("")).is_empty());
        assert_eq!(rules(script("--autologin root ")), ["shell-without-login"]);
        let unit = |options: &str| {
            Tree::base()
                .file("/usr/lib/systemd/system-generators/systemd-getty-generator", 0o755, "x")
                .file("/usr/sbin/agetty", 0o755, "x")
                .file(
                    "/usr/lib/systemd/system/serial-getty@.service",
                    0o644,
                    format!("[Service]\nExecStart=-/sbin/agetty {options}--keep-baud %I $TERM\n"),
                )
        };
        assert!(rules(unit("")).is_empty());
        assert_eq!(rules(unit("--autologin root ")), ["shell-without-login"]);
        let none = unit("--autologin root ").without("/usr/sbin/agetty");
        assert!(rules(none).is_empty());
    }

    #[test]
    fn clear_text_services_and_weak_settings_are_found() {
        assert_eq!(rules(inittab("::respawn:/usr/sbin/telnetd -F")), ["service-clear-text"]);
        assert_eq!(
            rules(inittab("::respawn:/usr/sbin/dropbear -F")),
            ["ssh-root-login", "ssh-password", "service-network"]
        );
        assert_eq!(rules(inittab("::respawn:/usr/sbin/dropbear -F -s")), ["service-network"]);
        assert_eq!(
            rules(inittab("::respawn:/usr/sbin/snmpd -f").file(
                "/etc/snmp/snmpd.conf",
                0o600,
                "rocommunity public\n"
            )),
            ["snmp-community", "service-network"]
        );
        let broker = |text: &str| {
            inittab("::respawn:/usr/sbin/mosquitto").file("/etc/mosquitto/mosquitto.conf", 0o600, text)
        };
        assert_eq!(rules(broker("allow_anonymous true\n")), ["mqtt-anonymous", "service-network"]);
        assert_eq!(rules(broker("#allow_anonymous true\nallow_anonymous false\n")), ["service-network"]);
    }

    #[test]
    fn sshd_is_judged_by_its_settings_and_defaults() {
        let with = |text: &str| inittab("::respawn:/usr/sbin/sshd -D").file(SSHD, 0o600, text);
        assert_eq!(rules(with("PasswordAuthentication no\nPermitRootLogin yes\n")), ["service-network"]);
        assert_eq!(rules(with("")), ["ssh-password", "service-network"]);
        assert_eq!(
            rules(with("PermitRootLogin yes\nPermitEmptyPasswords yes\n")),
            ["ssh-empty-passwords", "ssh-root-login", "ssh-password", "service-network"]
        );
    }
}
