//! The commands that a system starts by itself: of units, of inittab, of super-servers, of start scripts.
//!
//! Source: systemd.service(5), systemd.unit(5), inittab(5), start-stop-daemon(8), inetd.conf(5), xinetd.conf(5),
//! openrc-run(8), OpenWrt's procd. Start scripts are shell programs: nothing here runs them. Only assignments, files of
//! assignments that they read in, and the variables of the lines are followed, in the order of the text; a variable that
//! is not known is empty, so that an option nobody has seen is never said to be given.

mod script;
mod servers;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::Unable;
use crate::facts::services::{inittab, settings, start_scripts, started};
use crate::kinds::unit_state::unit_file;
use crate::root::{NodeKind, Root};
use script::{Script, Walk};
pub(crate) use script::{is_shell, on_terminal};

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The file or unit that starts it.
    pub at: String,
    /// Program and arguments, variables expanded.
    pub words: Vec<String>,
    /// Whether its input is a connection from the network.
    pub network: bool,
    /// Whether it is found only by following what is started into the scripts that it runs.
    pub followed: bool,
}

impl Command {
    /// The program's name without its folder.
    pub fn name(&self) -> &str {
        self.words[0].rsplit('/').next().unwrap_or_default()
    }
}

/// Everything that is started, and how far that is known.
#[derive(Default)]
pub(crate) struct Starts {
    /// The commands.
    pub commands: Vec<Command>,
    /// Whether anything was found that starts things at all.
    pub known: bool,
    /// What was left out for a bound of ours.
    pub limit: Option<String>,
}

/// Scripts that start things by their place.
const SCRIPTS: [&str; 12] = [
    "/init",
    "/linuxrc",
    "/sbin/init",
    "/etc/preinit",
    "/etc/rc",
    "/etc/rcS",
    "/etc/init.d/rcS",
    "/etc/init.d/rc.local",
    "/etc/rc.d/rcS",
    "/etc/rc.d/rc.sysinit",
    "/etc/rc.d/rc.local",
    "/etc/rc.local",
];
/// Folders of scripts and links beside those of [`start_scripts`]: OpenWrt's, and older runlevels.
const FOLDERS: [&str; 5] =
    ["/etc/rc.d", "/etc/rc.d/rcS.d", "/etc/rc.d/rc2.d", "/etc/rc.d/rc3.d", "/etc/rc.d/rc5.d"];

/// What is started by units, inittab, super-servers and start scripts by their places.
///
/// # Errors
/// When a file cannot be read, or there is more than can be looked at.
pub(crate) fn commands(root: &Root) -> Result<Vec<Command>, Unable> {
    let starts = everything(root)?;
    match starts.limit {
        Some(why) => Err(Unable::broken(why)),
        None => Ok(starts.commands.into_iter().filter(|command| !command.followed).collect()),
    }
}

/// Everything that is started, with what the scripts do that it runs.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn everything(root: &Root) -> Result<Starts, Unable> {
    let mut walk = Walk::new(root);
    let mut units = reached(root)?;
    for unit in units.clone() {
        let Some((stem, section)) = [(".path", "Path"), (".timer", "Timer")]
            .into_iter()
            .find_map(|(suffix, section)| Some((unit.strip_suffix(suffix)?.to_owned(), section)))
        else {
            continue;
        };
        let own = settings(root, &unit, section)?.remove("Unit").unwrap_or_default();
        units.insert(own.into_iter().next_back().unwrap_or_else(|| format!("{stem}.service")));
    }
    let mut known = !units.is_empty() || unit_file(root, "default.target").is_some();
    for unit in units.iter().filter(|unit| unit.ends_with(".service")) {
        service(&mut walk, unit)?;
    }
    for line in inittab(root)? {
        known = true;
        let process = line.splitn(4, ':').nth(3).unwrap_or_default();
        Script::new(&mut walk, "/etc/inittab").line(process, 0)?;
    }
    servers::look(&mut walk)?;
    for path in start_scripts(root).into_iter().chain(["/etc/rc.local".to_owned()]) {
        let Some(text) = root.read_text(&path)? else { continue };
        known = true;
        let mut script = Script::new(&mut walk, &path);
        script.text(&text, 0)?;
    }
    // From here on what only the wider look follows.
    walk.followed = true;
    for folder in FOLDERS {
        for name in root.list(folder) {
            let number =
                name.strip_prefix('S').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if number && executable(root, &format!("{folder}/{name}")) {
                known |= walk.run(&format!("{folder}/{name}"))?;
            }
        }
    }
    for level in root.list("/etc/runlevels").into_iter().filter(|level| level != "shutdown") {
        for name in root.list(&format!("/etc/runlevels/{level}")) {
            known |= walk.run(&format!("/etc/runlevels/{level}/{name}"))?;
        }
    }
    for folder in ["/etc/service", "/service", "/var/service"] {
        for name in root.list(folder) {
            known |= walk.run(&format!("{folder}/{name}/run"))?;
        }
    }
    for path in SCRIPTS {
        known |= walk.run(path)?;
    }
    walk.follow()?;
    Ok(Starts { commands: walk.commands, known, limit: walk.limit })
}

fn executable(root: &Root, path: &str) -> bool {
    root.resolve(path)
        .is_some_and(|(_, node)| matches!(node.kind, NodeKind::File(_)) && node.mode & 0o111 != 0)
}

/// Units that links start, and those that these pull in.
pub(crate) fn reached(root: &Root) -> Result<BTreeSet<String>, Unable> {
    let mut reached = BTreeSet::new();
    let mut pending: Vec<String> = started(root).into_iter().collect();
    // Thousands of units may each name hundreds of others: each name is looked up once.
    let mut looked: BTreeSet<String> = pending.iter().cloned().collect();
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
        pending.extend(
            names.into_iter().filter(|name| looked.insert(name.clone()) && unit_file(root, name).is_some()),
        );
    }
    Ok(reached)
}

/// The `Exec…=` lines of a service; its variables are those of `Environment=` and of its files.
fn service(walk: &mut Walk<'_>, unit: &str) -> Result<(), Unable> {
    let settings = settings(walk.root, unit, "Service")?;
    let all = |name: &str| settings.get(name).into_iter().flatten();
    let mut script = Script::new(walk, unit);
    script.network = all("StandardInput").last().is_some_and(|value| value == "socket");
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
