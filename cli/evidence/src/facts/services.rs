//! Facts of what is started: units or start scripts, what confines services, what they listen on.
//!
//! Source: systemd.unit(5), systemd.exec(5), systemd.socket(5); BusyBox's inittab and Buildroot's
//! `/etc/init.d/rcS`, which starts each `S??*`. What a running device listens on is shown by a boot only.

use std::collections::{BTreeMap, BTreeSet};

use super::Values;
use super::policy::SSHD_CONFIG;
use crate::Unable;
use crate::kinds::unit_state::{FOLDERS, masked, pulls, unit_file};
use crate::root::{NodeKind, Root};
use crate::sshd::Config;

/// Settings of a service that confine it, or say as whom and what it runs; `*` stands for any ending.
const CONFINING: [&str; 33] = [
    "AmbientCapabilities",
    "BindPaths",
    "BindReadOnlyPaths",
    "CapabilityBoundingSet",
    "DeviceAllow",
    "DevicePolicy",
    "DynamicUser",
    "ExecPaths",
    "ExecStart*",
    "Group",
    "IPAddress*",
    "InaccessiblePaths",
    "KeyringMode",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoExecPaths",
    "NoNewPrivileges",
    "PermissionsStartOnly",
    "Private*",
    "ProcSubset",
    "Protect*",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "RemoveIPC",
    "Restrict*",
    "RootDirectory",
    "SecureBits",
    "SocketBind*",
    "SupplementaryGroups",
    "SystemCall*",
    "TemporaryFileSystem",
    "UMask",
    "User",
];

/// What starts each unit; masked units; for other systems the lines of inittab and the start scripts.
pub fn units(root: &Root) -> Result<Values, Unable> {
    let mut by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (unit, link) in pulls(root) {
        // `…/multi-user.target.wants/ssh.service`: where packages put their links is not the point.
        let folder = link.rsplit('/').nth(1).unwrap_or_default();
        by.entry(unit).or_default().insert(folder.to_owned());
    }
    let mut values = Values::new();
    for (unit, folders) in by {
        values.insert(unit, format!("started by {}", folders.into_iter().collect::<Vec<_>>().join(" ")));
    }
    for folder in FOLDERS {
        for unit in root.list(folder).into_iter().filter(|unit| masked(root, unit)) {
            values.insert(unit, "masked".to_owned());
        }
    }
    if let Some(unit) = unit_file(root, "default.target") {
        let name = unit.rsplit('/').next().unwrap_or_default().to_owned();
        values.insert("default.target".into(), format!("is {name}"));
    }
    for line in inittab(root)? {
        values.insert(format!("inittab {line}"), "is there".to_owned());
    }
    for script in start_scripts(root) {
        values.insert(format!("script {script}"), "is started".to_owned());
    }
    Ok(values)
}

/// Lines of `/etc/inittab` without comments.
pub(crate) fn inittab(root: &Root) -> Result<Vec<String>, Unable> {
    let text = root.read_text("/etc/inittab")?.unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// What `/etc/init.d/rcS` starts: executable `S` and a number; the links of runlevels.
pub(crate) fn start_scripts(root: &Root) -> Vec<String> {
    let started = |name: &str| {
        name.strip_prefix('S').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut found = Vec::new();
    for folder in ["/etc/init.d", "/etc/rcS.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rc5.d"] {
        for name in root.list(folder).into_iter().filter(|name| started(name)) {
            let path = format!("{folder}/{name}");
            if root
                .resolve(&path)
                .is_some_and(|(_, node)| matches!(node.kind, NodeKind::File(_)) && node.mode & 0o111 != 0)
            {
                found.push(path);
            }
        }
    }
    found
}

/// Confining settings of each service that is started, over its drop-ins.
pub fn confinement(root: &Root) -> Result<Values, Unable> {
    let mut values = Values::new();
    for unit in started(root).into_iter().filter(|unit| unit.ends_with(".service")) {
        for (name, all) in settings(root, &unit, "Service")? {
            let confines = CONFINING.iter().any(|known| crate::glob::part_matches(known, &name));
            if confines && !all.is_empty() {
                values.insert(format!("{unit}: {name}"), all.join(" ; "));
            }
        }
    }
    Ok(values)
}

/// Units that some link starts and that are not masked.
pub(crate) fn started(root: &Root) -> BTreeSet<String> {
    pulls(root).into_iter().map(|(unit, _)| unit).filter(|unit| !masked(root, unit)).collect()
}

/// The settings of one section of a unit and its drop-ins; an empty value takes earlier ones back.
pub(crate) fn settings(
    root: &Root,
    unit: &str,
    section: &str,
) -> Result<BTreeMap<String, Vec<String>>, Unable> {
    let mut files: Vec<String> = unit_file(root, unit).into_iter().collect();
    let mut names = vec![unit.to_owned()];
    // `getty@tty1.service` also has the drop-ins of `getty@.service`; each of a kind those of `service.d`.
    if let (Some(at), Some(dot)) = (unit.find('@'), unit.rfind('.'))
        && at < dot
    {
        names.push(format!("{}{}", &unit[..=at], &unit[dot..]));
    }
    // `foo-bar.service` also has those of `foo-.service.d` (systemd.unit(5)).
    if let Some((stem, kind)) = unit.rsplit_once('.') {
        names.extend(stem.match_indices('-').take(16).map(|(at, _)| format!("{}.{kind}", &stem[..=at])));
    }
    names.extend(unit.rsplit('.').next().map(str::to_owned));
    let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
    for folder in FOLDERS {
        for name in &names {
            let folder = format!("{folder}/{name}.d");
            for file in root.list(&folder).into_iter().filter(|file| file.ends_with(".conf")) {
                drop_ins.entry(file.clone()).or_insert(format!("{folder}/{file}"));
            }
        }
    }
    files.extend(drop_ins.into_values());
    over(root, files, section)
}

/// Where the service manager looks for its own settings, in the order of precedence (systemd-system.conf(5)).
const MANAGER: [&str; 4] = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];

/// The settings of the service manager itself: `system.conf` and its drop-ins.
pub(crate) fn manager(root: &Root) -> Result<BTreeMap<String, Vec<String>>, Unable> {
    let file = MANAGER.iter().map(|folder| format!("{folder}/system.conf"));
    let file = file.into_iter().find(|file| root.resolve(file).is_some());
    let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
    for folder in MANAGER.map(|folder| format!("{folder}/system.conf.d")) {
        for name in root.list(&folder).into_iter().filter(|name| name.ends_with(".conf")) {
            drop_ins.entry(name.clone()).or_insert(format!("{folder}/{name}"));
        }
    }
    over(root, file.into_iter().chain(drop_ins.into_values()), "Manager")
}

/// The settings of one section over several files, the later ones last.
fn over(
    root: &Root,
    files: impl IntoIterator<Item = String>,
    section: &str,
) -> Result<BTreeMap<String, Vec<String>>, Unable> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        let null = root.entry(&file).is_some_and(
            |(_, node)| matches!(&node.kind, NodeKind::Symlink(target) if target == "/dev/null"),
        );
        if null {
            continue;
        }
        let text = root.read_text(&file)?.unwrap_or_default().replace("\\\n", " ");
        let mut inside = false;
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[') {
                inside = name.strip_suffix(']') == Some(section);
            } else if inside
                && !line.starts_with(['#', ';'])
                && let Some((name, value)) = line.split_once('=')
            {
                let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
                let all = values.entry(name.trim().to_owned()).or_default();
                if value.is_empty() { all.clear() } else { all.push(value) }
            }
        }
    }
    Ok(values)
}

/// What configuration says is listened on: sockets of units, sshd, and servers that need no word for it.
pub fn listening(root: &Root) -> Result<Values, Unable> {
    let mut values = Values::new();
    for unit in started(root).into_iter().filter(|unit| unit.ends_with(".socket")) {
        for (name, all) in settings(root, &unit, "Socket")? {
            for address in all.iter().filter(|_| name.starts_with("Listen")) {
                // A path, an abstract name and the kernel's own messages are of this machine only.
                if name != "ListenNetlink" && !address.starts_with(['/', '@', '%']) {
                    values.insert(format!("{unit}: {name} {address}"), "open".to_owned());
                }
            }
        }
    }
    if let Some(config) = Config::read(root, SSHD_CONFIG)? {
        let port = config.values("Port").first().map_or("22".to_owned(), |port| port.value.clone());
        let addresses = config.all("ListenAddress");
        values.insert("sshd: Port".into(), port);
        values.insert(
            "sshd: ListenAddress".into(),
            if addresses.is_empty() { "every address".to_owned() } else { addresses.join(" ") },
        );
    }
    for path in ["/etc/inetd.conf", "/etc/xinetd.conf"] {
        let text = root.read_text(path)?.unwrap_or_default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            values.insert(format!("{path}: {line}"), "open".to_owned());
        }
    }
    for path in
        root.find("/etc/openvpn/**").into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".conf"))
    {
        for line in root.read_text(path)?.unwrap_or_default().lines().map(str::trim) {
            if ["port ", "lport ", "proto ", "local ", "nobind", "management "]
                .iter()
                .any(|word| line.starts_with(word))
            {
                values.insert(format!("{path}: {line}"), "set".to_owned());
            }
        }
    }
    for path in ["/etc/chrony.conf", "/etc/chrony/chrony.conf"] {
        for line in root.read_text(path)?.unwrap_or_default().lines().map(str::trim) {
            if ["port ", "cmdport ", "allow", "bindaddress ", "bindcmdaddress "]
                .iter()
                .any(|word| line.starts_with(word))
            {
                values.insert(format!("chrony: {line}"), "set".to_owned());
            }
        }
    }
    Ok(values)
}
