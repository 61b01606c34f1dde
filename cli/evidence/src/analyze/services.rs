//! What is started and listens, and how it is configured. Read from units, inittab, inetd and start scripts; what a
//! running device listens on is shown by running it only.

use super::known::{known, named};
use super::model::Service;
use super::rules::Found;
use super::ssh;
use crate::facts::services::{inittab, listening, settings, started};
use crate::kinds::console_login;
use crate::root::Root;
use crate::starts::{Command, everything, is_shell, on_terminal};

/// The services of a root, and whether anything is known to start what it has.
pub fn look(root: &Root, label: &str, found: &mut Found) -> (Vec<Service>, bool) {
    let mut services = Vec::new();
    let mut is_known = false;
    match everything(root) {
        Ok(starts) => {
            is_known = starts.known;
            for command in &starts.commands {
                one(root, label, command, &mut services, found);
            }
            if let Some(why) = starts.limit {
                found.add("limit", format!("{label}/etc"), why);
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
    (services, is_known)
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
    let how = || command.words.join(" ");
    let rule = if named(&known().clear_text, name) {
        Some("service-clear-text")
    } else if named(&known().debug, name) {
        Some("service-debug")
    } else if named(&known().network, name) || command.network && !is_shell(name) {
        Some("service-network")
    } else {
        None
    };
    if let Some(rule) = rule {
        services.push(Service { name: name.to_owned(), at: at.clone(), how: how() });
        found.add(rule, &at, how());
    }
    if gives_shell(name, command) {
        found.add("service-shell", &at, how());
    }
    match name {
        "getty" if short('n') && command.words.iter().any(|word| word.contains('/') && is_shell(word)) => {
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
        "sshd" => ssh::sshd(root, label, command, found),
        "dropbear" => ssh::dropbear(&at, short('s'), short('w') || short('g'), short('B'), found),
        "snmpd" => snmp(root, label, &command.words, found),
        "mosquitto" => mosquitto(root, label, &command.words, found),
        _ => {}
    }
}

/// Whether a command gives a shell to whoever reaches it on the network, without a login. Source: telnetd of BusyBox, utelnetd,
/// nc(1), ncat(1), socat(1).
fn gives_shell(name: &str, command: &Command) -> bool {
    let words = &command.words[1..];
    // The value of an option, as the next word or in the same.
    let value = |option: &str| {
        words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(option) {
            Some("") => words.get(at + 1).map(String::as_str),
            Some(rest) => Some(rest.trim_start_matches('=')),
            None => None,
        })
    };
    let shell_by = |option: &str| {
        value(option).is_some_and(|value| is_shell(value.split(' ').next().unwrap_or_default()))
    };
    let letter = |letter: char| {
        words
            .iter()
            .any(|word| word.starts_with('-') && !word.starts_with("--") && word[1..].contains(letter))
    };
    match name {
        "telnetd" | "in.telnetd" | "utelnetd" => shell_by("-l"),
        "nc" | "ncat" | "netcat" | "nc.traditional" => {
            (letter('l') || words.iter().any(|word| word == "--listen"))
                && (["-e", "-c", "--exec", "--sh-exec"].iter().any(|option| shell_by(option))
                    || words.iter().any(|word| word.starts_with("-l") && word.ends_with('e'))
                        && words.iter().any(|word| is_shell(word)))
        }
        "socat" => {
            let all: Vec<String> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
            let opens = all.iter().any(|word| word.split(':').next().unwrap_or_default().contains("LISTEN"));
            let runs = words.iter().any(|word| {
                let Some((kind, rest)) = word.split_once(':') else { return false };
                let program = rest.split([',', ' ']).next().unwrap_or_default();
                ["EXEC", "SYSTEM", "SHELL"].contains(&kind.to_ascii_uppercase().as_str()) && is_shell(program)
            });
            opens && runs
        }
        _ => {
            command.network
                && is_shell(name)
                && words.iter().all(|word| word.starts_with('-') && word != "-c")
        }
    }
}

/// Source: snmpd.conf(5).
fn snmp(root: &Root, label: &str, words: &[String], found: &mut Found) {
    // snmpd(8): files of `-c`, between commas.
    let named_files = words.iter().position(|word| word == "-c").and_then(|at| words.get(at + 1));
    let own = named_files.map(String::as_str).unwrap_or_default().split(',').filter(|path| !path.is_empty());
    for path in ["/etc/snmp/snmpd.conf", "/etc/snmpd.conf"].into_iter().chain(own) {
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
            if community.is_some_and(|name| named(&known().communities, name)) {
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
        let shell = is_shell(program);
        let alone = arguments.iter().all(|word| word.starts_with('-') && *word != "-c");
        if ["respawn", "askfirst", "askconsole", "once"].contains(&action) && shell && alone {
            found.add("shell-without-login", format!("{label}/etc/inittab"), &line);
        }
    }
    let init = ["/sbin/init", "/init"].into_iter().find_map(|path| root.resolve(path));
    if root.entry("/etc/inittab").is_none() && init.is_some_and(|(real, _)| is_busybox(&real)) {
        let why = "not there: BusyBox's init then gives a shell on the console, and on tty2 to tty4";
        found.add("shell-without-login", format!("{label}/etc/inittab"), why);
    }
    // The whole start of a small system, or what an initial RAM disk ends in.
    let text = root.read_text("/init").ok().flatten().filter(|text| text.starts_with("#!"));
    for (number, line) in (1..).zip(text.iter().flat_map(|text| text.lines())) {
        if ends_in_shell(line) {
            found.add(
                "shell-without-login",
                format!("{label}/init"),
                format!("line {number}: {}", line.trim()),
            );
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

fn is_busybox(real: &str) -> bool {
    real.rsplit('/').next().is_some_and(|name| name.starts_with("busybox"))
}

/// Whether a line of a start script is a shell that reads the terminal: one without a script.
fn ends_in_shell(line: &str) -> bool {
    // Also the first line, which names the shell that reads the script.
    if line.trim_start().starts_with('#') {
        return false;
    }
    // Settings in front of it, whose values may be quoted and have spaces.
    let mut open = None;
    let before = |word: &&str| {
        if let Some(quote) = open {
            if word.ends_with(quote) {
                open = None;
            }
            return true;
        }
        let Some((name, value)) = word.split_once('=') else { return *word == "exec" };
        let quote = value.chars().next().filter(|first| ['\'', '"'].contains(first));
        open = quote.filter(|quote| value.len() == 1 || !value.ends_with(*quote));
        is_name(name)
    };
    let words: Vec<&str> = line.split_whitespace().skip_while(before).collect();
    let [program, arguments @ ..] = on_terminal(&words) else { return false };
    // Redirections are no arguments; whatever is behind the command is another one.
    let own = arguments.iter().take_while(|word| !word.starts_with([';', '|', '&', '}', ')', '#']));
    is_shell(program.trim_end_matches([';', '}']))
        && own.into_iter().all(|word| {
            (word.starts_with('-') && *word != "-c") || word.contains(['<', '>']) || word.starts_with("/dev/")
        })
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
#[path = "services_tests.rs"]
mod tests;
