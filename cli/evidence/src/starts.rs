//! The commands that a system starts by itself: of units, of inittab, of inetd, of start scripts.
//!
//! Source: systemd.service(5), systemd.unit(5), inittab(5), start-stop-daemon(8), inetd.conf(5). Start
//! scripts are shell programs: nothing here runs them. Only assignments, files of assignments that they read in, and
//! the variables of the lines are followed, in the order of the text; a variable that is not known is empty, so
//! that an option nobody has seen is never said to be given.

use std::collections::{BTreeMap, BTreeSet};

use crate::Unable;
use crate::facts::services::{inittab, settings, start_scripts, started};
use crate::kinds::unit_state::unit_file;
use crate::root::Root;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The file or unit that starts it.
    pub at: String,
    /// Program and arguments, variables expanded.
    pub words: Vec<String>,
}

impl Command {
    /// The program's name without its folder.
    pub fn name(&self) -> &str {
        self.words[0].rsplit('/').next().unwrap_or_default()
    }
}

type Variables = BTreeMap<String, String>;

/// Files of assignments inside each other that are followed.
const DEPTH: usize = 4;
/// Bytes that a variable may grow to: scripts under inspection are hostile.
const VARIABLE_LIMIT: usize = 64 << 10;

/// Everything that is started.
pub(crate) fn commands(root: &Root) -> Result<Vec<Command>, Unable> {
    let mut found = Vec::new();
    for unit in reached(root)?.iter().filter(|unit| unit.ends_with(".service")) {
        service(root, unit, &mut found)?;
    }
    for line in inittab(root)? {
        let process = line.splitn(4, ':').nth(3).unwrap_or_default();
        let mut script =
            Script { root, at: "/etc/inittab".to_owned(), variables: Variables::new(), found: &mut found };
        script.line(process, 0)?;
    }
    for line in root.read_text("/etc/inetd.conf")?.unwrap_or_default().lines() {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        // service, socket, protocol, wait, user, program, its own name and arguments.
        if !line.trim_start().starts_with('#') && words.len() > 6 {
            let words = [&words[5..6], &words[7..]].concat();
            found.push(Command { at: "/etc/inetd.conf".to_owned(), words });
        }
    }
    for path in start_scripts(root).into_iter().chain(["/etc/rc.local".to_owned()]) {
        let Some(text) = root.read_text(&path)? else { continue };
        let mut script = Script { root, at: path, variables: Variables::new(), found: &mut found };
        script.text(&text, 0)?;
    }
    Ok(found)
}

/// Units that links start, and those that these pull in.
pub(crate) fn reached(root: &Root) -> Result<BTreeSet<String>, Unable> {
    let mut reached = BTreeSet::new();
    let mut pending: Vec<String> = started(root).into_iter().collect();
    while let Some(unit) = pending.pop() {
        if !reached.insert(unit.clone()) {
            continue;
        }
        let mut names: Vec<String> = Vec::new();
        let in_unit = settings(root, &unit, "Unit")?;
        for pulling in ["Wants", "Requires", "BindsTo", "Upholds"] {
            let values = in_unit.get(pulling).into_iter().flatten();
            names.extend(values.flat_map(|value| value.split_whitespace()).map(str::to_owned));
        }
        if let Some(stem) = unit.strip_suffix(".socket") {
            let own = settings(root, &unit, "Socket")?.remove("Service").unwrap_or_default();
            names.extend(own);
            names.extend([format!("{stem}.service"), format!("{stem}@.service")]);
        }
        pending.extend(names.into_iter().filter(|name| unit_file(root, name).is_some()));
    }
    Ok(reached)
}

/// The `Exec…=` lines of a service; its variables are those of `Environment=` and of its files.
fn service(root: &Root, unit: &str, found: &mut Vec<Command>) -> Result<(), Unable> {
    let settings = settings(root, unit, "Service")?;
    let all = |name: &str| settings.get(name).into_iter().flatten();
    let mut script = Script { root, at: unit.to_owned(), variables: Variables::new(), found };
    for word in all("Environment").flat_map(|value| value.split_whitespace()) {
        script.assign(word.trim_start_matches(['"', '\'']));
    }
    for file in all("EnvironmentFile") {
        script.read_in(file.trim_start_matches('-'), 0)?;
    }
    for (_, lines) in settings.iter().filter(|(name, _)| name.starts_with("ExecStart")) {
        for line in lines {
            script.line(line.trim_start_matches(['-', '@', '+', '!', ':', '|']), 0)?;
        }
    }
    Ok(())
}

struct Script<'a> {
    root: &'a Root,
    at: String,
    variables: Variables,
    found: &'a mut Vec<Command>,
}

impl Script<'_> {
    fn text(&mut self, text: &str, depth: usize) -> Result<(), Unable> {
        for line in text.replace("\\\n", " ").lines().map(str::trim) {
            if !line.starts_with('#') {
                self.line(line, depth)?;
            }
        }
        Ok(())
    }

    /// One line: its commands one after the other.
    fn line(&mut self, line: &str, depth: usize) -> Result<(), Unable> {
        for part in line.split([';', '&', '|']).map(str::trim).filter(|part| !part.is_empty()) {
            let part = part.strip_prefix("export ").unwrap_or(part);
            if self.assign(part) {
                continue;
            }
            let expanded = self.expand(part);
            let words: Vec<String> = expanded
                .split_whitespace()
                .map(|word| word.trim_matches(['"', '\'']).to_owned())
                .filter(|word| !word.is_empty())
                .take_while(|word| !word.starts_with('#'))
                .collect();
            match words.as_slice() {
                [read_in, file, ..] if read_in == "." || read_in == "source" => self.read_in(file, depth)?,
                _ => self.found.extend(program(&words).map(|words| Command { at: self.at.clone(), words })),
            }
        }
        Ok(())
    }

    fn read_in(&mut self, path: &str, depth: usize) -> Result<(), Unable> {
        if depth >= DEPTH || !path.starts_with('/') {
            return Ok(());
        }
        match self.root.read_text(path)? {
            Some(text) => self.text(&text, depth + 1),
            None => Ok(()),
        }
    }

    /// Takes `NAME=value` alone on its place; `false` when it is something else.
    fn assign(&mut self, part: &str) -> bool {
        let Some((name, value)) = part.split_once('=') else { return false };
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit());
        let quoted = value.starts_with(['"', '\'']);
        // `NAME=value command` sets it for that command alone.
        if !is_name || (!quoted && value.split_whitespace().count() > 1) {
            return false;
        }
        let value = match value.as_bytes().first() {
            Some(b'\'') => value.trim_matches('\'').to_owned(),
            _ => self.expand(value.trim_matches('"')),
        };
        self.variables.insert(name.to_owned(), value);
        true
    }

    /// `$NAME`, `${NAME}` and `${NAME:-value}` replaced by what is known.
    fn expand(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let (name, default, after) = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}'))
            {
                Some((inner, after)) => match inner.split_once('-') {
                    Some((name, default)) => (name.trim_end_matches(':'), default, after),
                    None => (inner, "", after),
                },
                None => {
                    let end =
                        rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                    (&rest[..end], "", &rest[end..])
                }
            };
            out.push_str(self.variables.get(name).map_or(default, String::as_str));
            rest = after;
            if out.len() > VARIABLE_LIMIT {
                return String::new();
            }
        }
        out + rest
    }
}

/// The program that a simple command starts, with its arguments: behind shell words, `sh -c`, `dropbearmulti` and
/// `start-stop-daemon`. None where nothing is started.
fn program(words: &[String]) -> Option<Vec<String>> {
    const BEFORE: [&str; 12] =
        ["exec", "nohup", "if", "then", "else", "do", "!", "{", "(", "setsid", "busybox", "/bin/busybox"];
    let skipped = words.iter().take_while(|word| BEFORE.contains(&word.as_str()) || is_setting(word)).count();
    let words = &words[skipped..];
    let name = words.first()?.rsplit('/').next().unwrap_or_default();
    match name {
        "sh" | "bash" if words.get(1).is_some_and(|word| word == "-c") => program(&words[2..]),
        "ttyrun" | "cttyhack" => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let rest: Vec<String> = on_terminal(&words).iter().map(|word| (*word).to_owned()).collect();
            program(&rest)
        }
        "dropbearmulti" => Some(words[1..].to_vec()).filter(|words| !words.is_empty()),
        "start-stop-daemon" => {
            if words.iter().any(|word| ["-K", "--stop", "-T", "--status"].contains(&word.as_str())) {
                return None;
            }
            let at = words.iter().position(|w| ["-x", "--exec", "-a", "--startas"].contains(&w.as_str()))?;
            let program = words.get(at + 1)?;
            let arguments = words.iter().position(|word| word == "--").map_or(&[][..], |at| &words[at + 1..]);
            Some([std::slice::from_ref(program), arguments].concat())
        }
        _ => Some(words.to_vec()),
    }
}

/// What runs behind programs that only prepare a terminal for it: `ttyrun TTY PROGRAM`, by which OpenEmbedded's
/// inittabs (`sysvinit-inittab`, `busybox-inittab`) start the login of each serial console, `setsid`, BusyBox's `cttyhack`,
/// and BusyBox itself, whose first argument is the applet (`busybox.nosuid` and `busybox.suid` are OpenEmbedded's two).
pub(crate) fn on_terminal<'a>(mut words: &'a [&'a str]) -> &'a [&'a str] {
    while let [first, rest @ ..] = words {
        words = match first.trim_start_matches('-').rsplit('/').next() {
            Some("ttyrun") => {
                // `-e STATUS`, by s390-tools' ttyrun(8).
                let options = match rest {
                    ["-e" | "--exitstatus", _, ..] => 2,
                    [option, ..] if option.starts_with('-') => 1,
                    _ => 0,
                };
                rest.get(options + 1..).unwrap_or_default()
            }
            Some("busybox" | "busybox.nosuid" | "busybox.suid") => rest,
            Some("setsid" | "cttyhack") => {
                let options = rest.iter().take_while(|word| word.starts_with('-')).count();
                &rest[options..]
            }
            _ => break,
        };
    }
    words
}

fn is_setting(word: &str) -> bool {
    let name = word.split_once('=').map(|(name, _)| name).unwrap_or_default();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Tree;

    fn of(tree: Tree, name: &str) -> Vec<String> {
        let all = commands(&tree.root()).unwrap();
        let found = all.iter().filter(|command| command.name() == name);
        found.map(|command| format!("{}: {}", command.at, command.words.join(" "))).collect()
    }

    #[test]
    fn a_start_script_is_followed_through_its_variables_and_files() {
        let script = "#!/bin/sh\nDAEMON=\"server\"\nARGS=\n[ -r \"/etc/default/$DAEMON\" ] && . \"/etc/default/$DAEMON\"\n\
            start() {\n\tARGS=\"$ARGS -R\"\n\tprintf 'Starting server: '\n\
            \tstart-stop-daemon -S -q \\\n\t\t--exec \"/usr/sbin/$DAEMON\" -- $ARGS ${MORE:--m}\n}\n\
            stop() {\n\tstart-stop-daemon -K -x /usr/sbin/server\n}\n";
        let tree = || Tree::base().file("/etc/init.d/S50server", 0o755, script);
        assert_eq!(of(tree(), "server"), ["/etc/init.d/S50server: /usr/sbin/server -R -m"]);
        let with = tree().file("/etc/default/server", 0o644, "# ARGS=-x\nARGS='-s -w'\nMORE=no\n");
        assert_eq!(of(with, "server"), ["/etc/init.d/S50server: /usr/sbin/server -s -w -R no"]);
        // What is not executable is not started.
        assert!(of(Tree::base().file("/etc/init.d/S50server", 0o644, script), "server").is_empty());
    }

    #[test]
    fn units_sockets_inittab_and_inetd() {
        let unit =
            "[Service]\nEnvironment=A=-a\nEnvironmentFile=-/etc/default/x\nExecStart=-/usr/bin/x $A $B\n";
        let tree = Tree::base()
            .file("/etc/default/x", 0o644, "B=-b\n")
            .file("/usr/lib/systemd/system/x@.service", 0o644, unit)
            .file("/usr/lib/systemd/system/x.socket", 0o644, "[Socket]\nListenStream=22\n")
            .file("/etc/inittab", 0o644, "::respawn:/usr/bin/x -i\n")
            .file(
                "/etc/inetd.conf",
                0o644,
                "ssh stream tcp nowait root /usr/bin/x x -n\n#a b c d e /usr/bin/x x -o\n",
            )
            .link("/etc/systemd/system/sockets.target.wants/x.socket", "/usr/lib/systemd/system/x.socket");
        let expected =
            ["x@.service: /usr/bin/x -a -b", "/etc/inittab: /usr/bin/x -i", "/etc/inetd.conf: /usr/bin/x -n"];
        assert_eq!(of(tree, "x"), expected);
    }

    #[test]
    fn what_prepares_a_terminal_is_not_what_runs_on_it() {
        for (line, expected) in [
            ("/usr/sbin/ttyrun ttyS0 /sbin/getty 115200 ttyS0", "/sbin/getty 115200 ttyS0"),
            ("ttyrun -e 0 ttyS0 /bin/start_getty 115200", "/bin/start_getty 115200"),
            ("setsid -c cttyhack sh", "sh"),
            ("-/bin/sh -x", "-/bin/sh -x"),
            ("/bin/busybox hostname -F /etc/hostname", "hostname -F /etc/hostname"),
            ("busybox.nosuid setsid busybox sh", "sh"),
            ("busybox", ""),
            ("ttyrun", ""),
            ("", ""),
        ] {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(on_terminal(&words).join(" "), expected, "{line}");
        }
    }

    #[test]
    fn what_reads_itself_or_grows_for_ever_ends() {
        let doubling = format!("A=xxxxxxxx\n{}x $A\n. /etc/init.d/S1x\n", "A=$A$A$A$A\n".repeat(40));
        assert_eq!(of(Tree::base().file("/etc/init.d/S1x", 0o755, doubling), "x").len(), DEPTH + 1);
    }
}
