//! Shell text: which programs it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;

use super::Command;
use crate::Unable;
use crate::root::{NodeKind, Root};

type Variables = BTreeMap<String, String>;

/// Files of assignments, and shell text as an argument, inside each other that are followed.
pub(super) const DEPTH: usize = 4;
/// Bytes that a variable may grow to: scripts under inspection are hostile.
const VARIABLE_LIMIT: usize = 64 << 10;
/// Bytes of a script that is followed.
const SCRIPT_LIMIT: u64 = 1 << 20;
/// Scripts that are followed.
const MAX_SCRIPTS: usize = 2000;
/// Bytes that all lines together may expand to.
const EXPANDED: usize = 32 << 20;

/// A program that runs another one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapper {
    name: String,
    /// Options with a value of their own.
    #[serde(default)]
    values: Vec<String>,
    /// Arguments before the program.
    #[serde(default)]
    skip: usize,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    shells: Vec<String>,
    words: Vec<String>,
    interpreters: Vec<String>,
    wrappers: Vec<Wrapper>,
}

/// `standards/analysis/starts.yaml`; a test proves that it is read.
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let text = include_str!("../../../../standards/analysis/starts.yaml");
        crate::yaml::load(text).ok().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
    })
}

/// Whether a program is a shell, by its name.
pub(crate) fn is_shell(program: &str) -> bool {
    let name = program.trim_start_matches('-').rsplit('/').next().unwrap_or_default();
    table().shells.iter().any(|shell| shell == name)
}

/// What was found so far, and what is still to be followed.
pub(super) struct Walk<'a> {
    pub root: &'a Root,
    pub commands: Vec<Command>,
    /// Whether what is found now is found by following.
    pub followed: bool,
    pub limit: Option<String>,
    /// Real paths of scripts that were looked at.
    seen: BTreeSet<String>,
    expanded: usize,
}

impl<'a> Walk<'a> {
    pub fn new(root: &'a Root) -> Self {
        Self { root, commands: Vec::new(), followed: false, limit: None, seen: BTreeSet::new(), expanded: 0 }
    }

    /// Counts bytes; false when no more are looked at.
    fn spend(&mut self, bytes: usize) -> bool {
        self.expanded = self.expanded.saturating_add(bytes);
        if self.expanded > EXPANDED {
            let why = format!(
                "what is started has more than {EXPANDED} bytes of commands; the others are left out"
            );
            self.limit.get_or_insert(why);
            return false;
        }
        true
    }

    /// Follows a script; false where there is none.
    pub fn run(&mut self, path: &str) -> Result<bool, Unable> {
        let root = self.root;
        let Some((real, node)) = root.resolve(path) else { return Ok(false) };
        let NodeKind::File(size) = node.kind else { return Ok(false) };
        // A program is not read whole to see that it is none.
        if size > SCRIPT_LIMIT || !self.seen.insert(real) {
            return Ok(size <= SCRIPT_LIMIT);
        }
        if self.seen.len() > MAX_SCRIPTS {
            self.limit.get_or_insert(format!(
                "more than {MAX_SCRIPTS} scripts are started; `{path}` and more are left out"
            ));
            return Ok(true);
        }
        let Some(bytes) = root.read(path)?.filter(|bytes| bytes.starts_with(b"#!")) else { return Ok(false) };
        let text = String::from_utf8_lossy(&bytes);
        let first: Vec<&str> = text.lines().next().unwrap_or_default()[2..].split_whitespace().collect();
        let names = first.iter().map(|word| word.rsplit('/').next().unwrap_or_default());
        let interpreter = names.clone().any(|name| table().interpreters.iter().any(|known| known == name));
        if !interpreter && !first.iter().any(|word| is_shell(word)) {
            return Ok(false);
        }
        let openrc = names.clone().any(|name| name == "openrc-run" || name == "runscript");
        let mut script = Script::new(self, path);
        if openrc {
            let name = path.rsplit('/').next().unwrap_or_default();
            script.read_in(&format!("/etc/conf.d/{name}"), 0)?;
        }
        script.text(&text, 0)?;
        if openrc {
            script.openrc();
        }
        Ok(true)
    }

    /// Follows every script that a command runs, and those that it runs.
    pub fn follow(&mut self) -> Result<(), Unable> {
        let mut at = 0;
        while at < self.commands.len() && self.limit.is_none() {
            let words = &self.commands[at].words;
            at += 1;
            // `sh FILE` runs the file.
            let file = match words.as_slice() {
                [shell, file, ..] if is_shell(shell) && !file.starts_with('-') => file.clone(),
                [program, ..] => program.clone(),
                [] => continue,
            };
            if file.len() > 4096 {
                continue;
            }
            if file.starts_with('/') {
                self.run(&file)?;
            } else if !file.contains('/') && !file.is_empty() {
                for folder in ["/sbin", "/usr/sbin", "/bin", "/usr/bin"] {
                    if self.root.resolve(&format!("{folder}/{file}")).is_some() {
                        self.run(&format!("{folder}/{file}"))?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// One text, or lines that share their variables.
pub(super) struct Script<'w, 'a> {
    walk: &'w mut Walk<'a>,
    at: String,
    variables: Variables,
    pub network: bool,
}

impl<'w, 'a> Script<'w, 'a> {
    pub fn new(walk: &'w mut Walk<'a>, at: &str) -> Self {
        Self { walk, at: at.to_owned(), variables: Variables::new(), network: false }
    }

    pub fn text(&mut self, text: &str, depth: usize) -> Result<(), Unable> {
        for line in text.replace("\\\n", " ").lines().map(str::trim) {
            if !line.starts_with('#') {
                self.line(line, depth)?;
            }
            if self.walk.limit.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// One line: its commands one after the other.
    pub fn line(&mut self, line: &str, depth: usize) -> Result<(), Unable> {
        for part in parts(line) {
            let part = part.strip_prefix("export ").unwrap_or(part);
            if self.assign(part) {
                continue;
            }
            let expanded = self.expand(part);
            if !self.walk.spend(expanded.len() + 8) {
                return Ok(());
            }
            let outer = self.network;
            let words: Vec<&str> = expanded
                .split_whitespace()
                .map(|word| word.trim_matches(['"', '\'']))
                .filter(|word| !word.is_empty())
                .take_while(|word| !word.starts_with('#'))
                .collect();
            match words.as_slice() {
                ["." | "source", file, ..] => self.read_in(file, depth)?,
                // OpenWrt's procd takes a command in pieces.
                ["procd_append_param", "command", more @ ..] => {
                    let own = self.walk.commands.last_mut().filter(|command| command.at == self.at);
                    if let Some(command) = own {
                        command.words.extend(more.iter().map(|word| (*word).to_owned()));
                    }
                }
                words => {
                    self.network |= words.iter().any(|word| matches!(base(word), "tcpsvd" | "udpsvd"));
                    let Some((words, is_text)) = program(words) else { continue };
                    let inner = (is_text && depth < DEPTH).then(|| words.join(" "));
                    match inner.filter(|text| parts(text).len() > 1) {
                        Some(text) => self.line(&text, depth + 1)?,
                        None => self.push(words),
                    }
                }
            }
            self.network = outer;
        }
        Ok(())
    }

    /// Keeps a command.
    pub fn push(&mut self, words: Vec<String>) {
        let (at, followed, network) = (self.at.clone(), self.walk.followed, self.network);
        if !words.is_empty() && self.walk.spend(at.len()) {
            self.walk.commands.push(Command { at, words, network, followed });
        }
    }

    /// What OpenRC starts by the variables of a script.
    fn openrc(&mut self) {
        let value = |name: &str| self.variables.get(name).cloned().unwrap_or_default();
        let all = [value("command"), value("command_args"), value("command_args_background")].join(" ");
        let words: Vec<String> = all.split_whitespace().map(str::to_owned).collect();
        if !value("command").is_empty() {
            self.push(words);
        }
    }

    pub fn read_in(&mut self, path: &str, depth: usize) -> Result<(), Unable> {
        if depth >= DEPTH || !path.starts_with('/') {
            return Ok(());
        }
        match self.walk.root.read_text(path)? {
            Some(text) => self.text(&text, depth + 1),
            None => Ok(()),
        }
    }

    /// Takes `NAME=value` alone on its place; `false` when it is something else.
    pub fn assign(&mut self, part: &str) -> bool {
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
        if self.walk.spend(value.len()) {
            self.variables.insert(name.to_owned(), value);
        }
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

/// The simple commands of a line: between `;`, `&`, `|`, parentheses and backticks that no quotes hold. Where quotes do not
/// end on the line, they hold nothing.
fn parts(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let (mut single, mut double) = (false, false);
    let bytes = line.as_bytes();
    let balanced = |quote: u8| bytes.iter().filter(|byte| **byte == quote).count() % 2 == 0;
    let (by_single, by_double) = (balanced(b'\''), balanced(b'"'));
    for (at, byte) in line.bytes().enumerate() {
        let before = at.checked_sub(1).map(|at| bytes[at]);
        match byte {
            b'\'' if by_single && !double => single = !single,
            b'"' if by_double && !single && before != Some(b'\\') => double = !double,
            b'#' if !single && !double && before.is_some_and(|byte| byte.is_ascii_whitespace()) => {
                found.push(&line[start..at]);
                start = line.len();
                break;
            }
            b';' | b'|' | b'(' | b')' | b'`' if !single && !double => {
                found.push(&line[start..at]);
                start = at + 1;
            }
            // `2>&1` and `&>file` send output somewhere.
            b'&' if !single && !double && before != Some(b'>') && bytes.get(at + 1) != Some(&b'>') => {
                found.push(&line[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&line[start..]);
    found.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

/// The program that a simple command starts, with its arguments: behind shell words, `sh -c`, `dropbearmulti`,
/// `start-stop-daemon` and programs that run another one, and whether it was an argument that is shell text itself. None where
/// nothing is started.
fn program(words: &[&str]) -> Option<(Vec<String>, bool)> {
    let mut words = words;
    let mut is_text = false;
    let owned = |words: &[&str]| -> Option<Vec<String>> {
        (!words.is_empty()).then(|| words.iter().map(|word| (*word).to_owned()).collect())
    };
    // Each round takes words away, so that shells inside shells end however many there are.
    loop {
        let skipped = words
            .iter()
            .take_while(|word| table().words.iter().any(|w| w == *word) || is_setting(word))
            .count();
        words = on_terminal(&words[skipped..]);
        let name = base(words.first()?);
        let text = |word: &&str| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c');
        if is_shell(name) && words.get(1).is_some_and(text) {
            (words, is_text) = (&words[2..], true);
        } else if name == "eval" {
            (words, is_text) = (&words[1..], true);
        } else if name == "su" && words.contains(&"-c") {
            let at = words.iter().position(|word| *word == "-c")?;
            (words, is_text) = (&words[at + 1..], true);
        } else if name == "procd_set_param" {
            words = words.get(1).filter(|word| **word == "command").map(|_| &words[2..])?;
        } else if name == "ip" && words.get(1..3).is_some_and(|words| words == ["netns", "exec"]) {
            words = words.get(4..).unwrap_or_default();
        } else if let Some(wrapper) = table().wrappers.iter().find(|wrapper| wrapper.name == name) {
            words = wrapped(wrapper, &words[1..]);
        } else if name == "dropbearmulti" {
            return Some((owned(&words[1..])?, false));
        } else if name == "start-stop-daemon" {
            return Some((daemon(words)?, false));
        } else {
            return Some((owned(words)?, is_text));
        }
    }
}

fn wrapped<'a>(wrapper: &Wrapper, mut words: &'a [&'a str]) -> &'a [&'a str] {
    while let [option, rest @ ..] = words {
        if !option.starts_with('-') {
            break;
        }
        let takes = wrapper.values.iter().any(|value| value == option);
        words = if takes { rest.get(1..).unwrap_or_default() } else { rest };
    }
    words.get(wrapper.skip..).unwrap_or_default()
}

fn daemon(words: &[&str]) -> Option<Vec<String>> {
    if words.iter().any(|word| ["-K", "--stop", "-T", "--status"].contains(word)) {
        return None;
    }
    let given = |names: [&str; 2]| {
        let next = words.iter().position(|word| names.contains(word)).and_then(|at| words.get(at + 1));
        let joined = || words.iter().find_map(|word| word.strip_prefix(names[1])?.strip_prefix('='));
        next.copied().or_else(joined)
    };
    let program = given(["-a", "--startas"]).or_else(|| given(["-x", "--exec"]))?;
    let arguments = words.iter().position(|word| *word == "--").map_or(&[][..], |at| &words[at + 1..]);
    let all = std::iter::once(&program).chain(arguments);
    Some(all.map(|word| (*word).to_owned()).collect())
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
#[test]
fn the_table_is_read() {
    assert!(table().shells.len() > 3 && table().wrappers.len() > 3);
}
