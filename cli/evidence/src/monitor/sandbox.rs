//! The sandbox of a service, from what its programs import: settings that nothing in them needs to be without.
//!
//! A setting that the unit already has is its maker's and stays. What cannot be told is not set, and said.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::binaries::{Binaries, Closure};
use super::table::{OfImage, Setting, Table};
use crate::Unable;
use crate::analyze::exposure::{self, Settings};
use crate::facts::services::settings;
use crate::root::Root;

/// Settings that are lists, whose every part would have to be known to add to them.
const LISTS: [&str; 3] = ["CapabilityBoundingSet", "RestrictAddressFamilies", "SystemCallFilter"];

/// A setting, and why it may be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Given {
    /// As it stands in the drop-in.
    pub line: String,
    /// Why.
    pub why: String,
}

/// A setting that is not given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotGiven {
    /// As it would stand there.
    pub line: String,
    /// What needs to be without it.
    pub why: String,
}

/// What was made of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sandbox {
    /// The unit.
    pub unit: String,
    /// Programs that it starts.
    pub programs: Vec<String>,
    /// Files whose imports were looked at: those programs, libraries, what they start.
    pub files: usize,
    /// Exposure before, in tenths, as `systemd-analyze security` counts it.
    pub before: u32,
    /// Exposure with the drop-in.
    pub after: u32,
    /// Settings that are given.
    pub given: Vec<Given>,
    /// Settings that are not.
    pub not_given: Vec<NotGiven>,
    /// Why nothing is given; empty where something was looked at.
    pub left_alone: String,
}

/// What of the image decides about settings.
#[derive(Clone, Copy, Debug)]
pub struct OfRoot {
    /// No file gives rights to who starts it.
    pub no_privileged_files: bool,
    /// Every program is for one machine.
    pub one_machine: bool,
}

/// Looks at one service.
///
/// # Errors
/// When its unit cannot be read.
pub fn of(
    root: &Root,
    binaries: &Binaries,
    table: &Table,
    of_root: OfRoot,
    unit: &str,
) -> Result<Sandbox, Unable> {
    let service = settings(root, unit, "Service")?;
    let in_unit = settings(root, unit, "Unit")?;
    let last =
        |all: &Settings, key: &str| all.get(key).and_then(|all| all.last()).cloned().unwrap_or_default();
    let late = !matches!(last(&in_unit, "DefaultDependencies").as_str(), "no" | "false" | "0" | "off");
    let before = exposure::assess(&service, late).tenths();
    let mut made = Sandbox {
        unit: unit.to_owned(),
        programs: Vec::new(),
        files: 0,
        before,
        after: before,
        given: Vec::new(),
        not_given: Vec::new(),
        left_alone: String::new(),
    };
    let programs = programs(root, &service);
    made.programs = programs.clone();
    if programs.is_empty() {
        made.left_alone = "it starts nothing".to_owned();
        return Ok(made);
    }
    if let Some(script) = programs.iter().find(|path| binaries.scripts.contains(*path)) {
        made.left_alone = format!("`{script}` is a script: what it starts is not followed");
        return Ok(made);
    }
    let closure = match binaries.closure(root, table, &programs) {
        Ok(mut closure) => {
            // What the unit itself names is used, too.
            let own = service.values().chain(in_unit.values()).flatten();
            closure.texts.extend(own.flat_map(|line| super::binaries::paths(line).collect::<Vec<_>>()));
            closure
        }
        Err(why) => {
            made.left_alone = why;
            return Ok(made);
        }
    };
    made.files = closure.files.len();
    let mut look = Look { table, closure: &closure, service: &service, of_root, late, made };
    for setting in &table.settings {
        look.switch(setting);
    }
    look.paths();
    look.capabilities();
    look.families();
    look.calls();
    let mut made = look.made;
    let mut with = service;
    for given in &made.given {
        if let Some((name, value)) = given.line.split_once('=') {
            with.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    made.after = exposure::assess(&with, late).tenths();
    Ok(made)
}

/// The programs of the `Exec…=` lines, links followed.
fn programs(root: &Root, service: &Settings) -> Vec<String> {
    let lines = service.iter().filter(|(name, _)| name.starts_with("Exec") && *name != "ExecPaths");
    let words = lines.flat_map(|(_, all)| all).filter_map(|line| line.split_whitespace().next());
    let paths = words.map(|word| word.trim_start_matches(['-', '@', ':', '+', '!', '|']));
    // Without a folder it is searched where programs are (systemd.service(5)).
    let found = paths.map(|path| {
        let places = if path.starts_with('/') {
            vec![path.to_owned()]
        } else {
            ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"]
                .map(|at| format!("{at}/{path}"))
                .to_vec()
        };
        places.iter().find_map(|place| root.resolve(place)).map_or(path.to_owned(), |(real, _)| real)
    });
    found.collect::<BTreeSet<_>>().into_iter().collect()
}

struct Look<'a> {
    table: &'a Table,
    closure: &'a Closure,
    service: &'a BTreeMap<String, Vec<String>>,
    of_root: OfRoot,
    late: bool,
    made: Sandbox,
}

impl Look<'_> {
    fn has(&self, name: &str) -> bool {
        self.service.contains_key(name)
    }

    fn give(&mut self, line: String, why: impl Into<String>) {
        self.made.given.push(Given { line, why: why.into() });
    }

    fn leave(&mut self, line: String, why: impl Into<String>) {
        self.made.not_given.push(NotGiven { line, why: why.into() });
    }

    /// What imports or texts are in the way.
    fn against(&self, kinds: &[String], strings: &[String], but: &[String]) -> Option<String> {
        let imports = self.table.of_kinds(kinds, &self.closure.imports);
        if !imports.is_empty() {
            return Some(format!("imports {}", first(&imports)));
        }
        let begins = |text: &str, all: &[String]| all.iter().any(|start| text.starts_with(start.as_str()));
        let texts = self.closure.texts.iter().map(String::as_str);
        let texts: Vec<&str> = texts.filter(|text| begins(text, strings) && !begins(text, but)).collect();
        (!texts.is_empty()).then(|| format!("names {}", first(&texts)))
    }

    fn switch(&mut self, setting: &Setting) {
        let Some((name, _)) = setting.set.split_once('=') else { return };
        if self.has(name) {
            return;
        }
        let line = setting.set.clone();
        if setting.late && !self.late {
            return self.leave(line, "it starts before the units that this needs");
        }
        match setting.image {
            Some(OfImage::NoPrivilegedFiles) if !self.of_root.no_privileged_files => {
                return self.leave(line, "the image has files that give rights to who starts them");
            }
            Some(OfImage::OneMachine) if !self.of_root.one_machine => {
                return self.leave(line, "the image has programs for several machines");
            }
            _ => {}
        }
        // A device that the unit allows is one that it needs.
        if name == "PrivateDevices" && (self.has("DeviceAllow") || self.has("DevicePolicy")) {
            return self.leave(line, "the unit says itself which devices it needs");
        }
        match self.against(&setting.unless, &setting.strings, &setting.but) {
            Some(why) => self.leave(line, why),
            None => self.give(line, "nothing that it needs to be without"),
        }
    }

    /// The root is read-only already: what can be written is `/run` and what is below `/var`.
    fn paths(&mut self) {
        if self.has("ProtectSystem") || self.has("ReadWritePaths") {
            return;
        }
        let mut writable = BTreeSet::new();
        for text in &self.closure.texts {
            if text.starts_with("/run") || text.starts_with("/var/run") {
                writable.insert("-/run");
            } else if text.starts_with("/var") {
                writable.insert("-/var");
            }
        }
        self.give(
            "ProtectSystem=strict".to_owned(),
            "the root is read-only anyway; this holds for what is mounted on it, too",
        );
        if !writable.is_empty() {
            let paths: Vec<&str> = writable.into_iter().collect();
            self.give(format!("ReadWritePaths={}", paths.join(" ")), "it names paths there");
        }
    }

    fn capabilities(&mut self) {
        if self.has(LISTS[0]) {
            return;
        }
        let user = self.service.get("User").and_then(|all| all.last());
        if user.is_some_and(|user| user != "root") && !self.has("AmbientCapabilities") {
            return self.give(format!("{}=", LISTS[0]), "it does not run as root and asks for none");
        }
        let mut taken = Vec::new();
        let mut kept = Vec::new();
        for capability in &self.table.capabilities {
            match self.against(&capability.unless, &capability.strings, &[]) {
                Some(why) => kept.push(format!("{}: {why}", capability.name)),
                None => taken.push(capability.name.as_str()),
            }
        }
        let line = format!("{}=~{}", LISTS[0], taken.join(" "));
        self.give(line, "what it imports needs none of these");
        if !kept.is_empty() {
            self.leave(format!("{}=~…", LISTS[0]), kept.join("; "));
        }
    }

    fn families(&mut self) {
        if self.has(LISTS[1]) {
            return;
        }
        let families = &self.table.families;
        let mut may: BTreeSet<&str> = BTreeSet::new();
        let mut why = Vec::new();
        for (path, imports) in &self.closure.by_file {
            let file = path.rsplit('/').next().unwrap_or_default();
            let known = families.libraries.iter().find(|library| file.starts_with(library.name.as_str()));
            let imports_of = |list: &[String]| list.iter().any(|name| imports.contains(name));
            if let Some(known) = known {
                may.extend(known.families.iter().map(String::as_str));
            } else if imports_of(&families.open) || imports_of(&families.names) {
                may.extend(families.any.iter().map(String::as_str));
                why.push(file);
            } else if imports_of(&families.local) {
                may.insert("AF_UNIX");
            }
        }
        let line = match may.is_empty() {
            true => format!("{}=none", LISTS[1]),
            false => format!("{}={}", LISTS[1], may.iter().copied().collect::<Vec<_>>().join(" ")),
        };
        let why = match why.as_slice() {
            [] => "nothing of it opens other sockets".to_owned(),
            files => format!("{} open sockets of a family that cannot be told", first(files)),
        };
        self.give(line, why);
        if !self.has("IPAddressDeny") && !may.contains("AF_INET") {
            self.give("IPAddressDeny=any".to_owned(), "it speaks no IP");
        }
    }

    fn calls(&mut self) {
        if self.has(LISTS[2]) {
            return;
        }
        let mut words = vec!["@system-service"];
        let mut why = Vec::new();
        for filter in &self.table.filters {
            let imports = self.table.of_kinds(&filter.when, &self.closure.imports);
            if !imports.is_empty() {
                words.push(&filter.add);
                why.push(format!("{}: imports {}", filter.add, first(&imports)));
            }
        }
        let line = format!("{}={}", LISTS[2], words.join(" "));
        let why = if why.is_empty() { "it imports no other".to_owned() } else { why.join("; ") };
        self.give(line, why);
        if !self.has("SystemCallErrorNumber") {
            self.give(
                "SystemCallErrorNumber=EPERM".to_owned(),
                "a refused call is told to the program and does not end it",
            );
        }
    }
}

fn first(all: &[&str]) -> String {
    match all {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [one, two] => format!("`{one}` and `{two}`"),
        [one, two, rest @ ..] => format!("`{one}`, `{two}` and {} more", rest.len()),
    }
}
