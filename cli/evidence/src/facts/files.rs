//! Facts of the root file system: accounts, privileges, modes, owners, mounts and programs.

use std::collections::BTreeMap;

use image::elf::ElfType;

use super::Values;
use crate::Unable;
use crate::elf::Property;
use crate::root::{NodeKind, Root};

/// What only some may read or write, or what decides who may do what.
const SENSITIVE: [&str; 34] = [
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/securetty",
    "/etc/sudoers",
    "/etc/sudoers.d/**",
    "/etc/doas.conf",
    "/etc/pam.d/**",
    "/etc/security/**",
    "/etc/login.defs",
    "/etc/ssh/**",
    "/etc/dropbear/**",
    "/etc/nftables.conf",
    "/etc/audit/**",
    "/etc/swanctl/**",
    "/etc/strongswan.conf",
    "/etc/strongswan.d/**",
    "/etc/ipsec.secrets",
    "/etc/openvpn/**",
    "/etc/ssl/private/**",
    "/etc/chrony/**",
    "/etc/chrony.conf",
    "/etc/sysctl.d/**",
    "/etc/systemd/system/*",
    "/etc/init.d/*",
    "/etc/inittab",
    "/etc/machine-id",
    "/root",
    "/root/.ssh/**",
    "/tmp",
    "/var/**/*key*",
];

/// Rows of a table such as `/etc/passwd` with at least that many fields.
fn table(root: &Root, path: &str, least: usize) -> Result<Vec<Vec<String>>, Unable> {
    let text = root.read_text(path)?.ok_or_else(|| Unable::broken(format!("the image has no `{path}`")))?;
    let rows: Vec<Vec<String>> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.trim_end().split(':').map(str::to_owned).collect())
        .collect();
    match rows.iter().position(|row| row.len() < least) {
        Some(at) => Err(Unable::broken(format!("`{path}`: entry {} has fewer than {least} fields", at + 1))),
        None => Ok(rows),
    }
}

/// Names of ids, as a table of the image has them.
fn names(root: &Root, path: &str) -> BTreeMap<u32, String> {
    let rows = table(root, path, 3).unwrap_or_default().into_iter();
    rows.rev().filter_map(|row| Some((row[2].parse().ok()?, row[0].clone()))).collect()
}

/// Users and groups; a password only as whether it lets anybody in.
pub fn accounts(root: &Root) -> Result<Values, Unable> {
    let passwd = table(root, "/etc/passwd", 7)?;
    let group = table(root, "/etc/group", 4)?;
    let shadow = match root.read_text("/etc/shadow")? {
        Some(_) => table(root, "/etc/shadow", 2)?,
        None => Vec::new(),
    };
    let group_names = names(root, "/etc/group");
    let mut values = Values::new();
    for row in &passwd {
        let hash = match row[1].as_str() {
            "x" => shadow.iter().find(|entry| entry[0] == row[0]).map(|entry| entry[1].as_str()),
            own => Some(own),
        };
        let password = match hash {
            None => "not in /etc/shadow",
            Some("") => "empty",
            Some(hash) if hash.starts_with(['!', '*']) => "locked",
            Some(_) => "usable",
        };
        let gid = row[3].parse().ok().and_then(|gid| group_names.get(&gid)).cloned();
        for (what, value) in [
            ("uid", row[2].clone()),
            ("group", gid.unwrap_or_else(|| row[3].clone())),
            ("home", row[5].clone()),
            ("shell", row[6].clone()),
            ("password", password.to_owned()),
        ] {
            insert_new(&mut values, format!("user {}: {what}", row[0]), value);
        }
    }
    for row in &group {
        let mut members: Vec<&str> = row[3].split(',').filter(|name| !name.is_empty()).collect();
        members.sort_unstable();
        insert_new(&mut values, format!("group {}: gid", row[0]), row[2].clone());
        insert_new(&mut values, format!("group {}: members", row[0]), none_or(&members));
    }
    Ok(values)
}

fn none_or(members: &[&str]) -> String {
    if members.is_empty() { "none".to_owned() } else { members.join(",") }
}

/// A name that is there twice keeps both values.
fn insert_new(values: &mut Values, name: String, value: String) {
    values.entry(name).and_modify(|all| *all += &format!("; also {value}")).or_insert(value);
}

/// What runs with more rights than its caller.
pub fn privileged(root: &Root) -> Result<Values, Unable> {
    let users = names(root, "/etc/passwd");
    let mut values = Values::new();
    for (path, node) in root.nodes() {
        if !matches!(node.kind, NodeKind::File(_)) || node.mode & 0o6000 == 0 && !node.capabilities {
            continue;
        }
        let mut value = format!("{:04o} {}", node.mode, name(&users, node.uid));
        if node.capabilities {
            value += " with capabilities";
        }
        values.insert(path.to_owned(), value);
    }
    if !root.capabilities_known {
        values.insert("(capabilities)".into(), "cannot be read from this kind of input".into());
    }
    Ok(values)
}

fn name(names: &BTreeMap<u32, String>, id: u32) -> String {
    names.get(&id).cloned().unwrap_or_else(|| id.to_string())
}

/// Modes of sensitive paths, and everything that everybody may write.
pub fn modes(root: &Root) -> Result<Values, Unable> {
    let mut values = Values::new();
    let mut add = |path: &str, kind: &NodeKind, mode: u32| {
        let kind = match kind {
            NodeKind::File(_) => "file",
            NodeKind::Directory => "folder",
            NodeKind::Symlink(target) => {
                values.insert(path.to_owned(), format!("link to {target}"));
                return;
            }
            NodeKind::CharDevice(..) | NodeKind::Special => "special",
        };
        values.insert(path.to_owned(), format!("{kind} {mode:04o}"));
    };
    for pattern in SENSITIVE {
        for (path, node) in root.find(pattern) {
            add(path, &node.kind, node.mode);
        }
    }
    for (path, node) in root.nodes() {
        let written = node.mode & 0o002 != 0 && !matches!(node.kind, NodeKind::Symlink(_));
        let special = matches!(node.kind, NodeKind::CharDevice(..) | NodeKind::Special);
        // Static nodes that every system has: devtmpfs makes the same ones.
        if (written || special) && !(node.is_free_device(path) && node.mode == 0o666) {
            add(path, &node.kind, node.mode);
        }
    }
    Ok(values)
}

/// What does not belong to root and its group.
pub fn owners(root: &Root) -> Result<Values, Unable> {
    if !root.owners_known {
        return Err(Unable::broken(
            "the folder was unpacked by an ordinary user, so its owners are not the device's",
        ));
    }
    let (users, groups) = (names(root, "/etc/passwd"), names(root, "/etc/group"));
    let foreign = root.nodes().filter(|(_, node)| (node.uid, node.gid) != (0, 0));
    Ok(foreign
        .map(|(path, node)| {
            (path.to_owned(), format!("{}:{}", name(&users, node.uid), name(&groups, node.gid)))
        })
        .collect())
}

/// What fstab mounts, where and how.
pub fn mounts(root: &Root) -> Result<Values, Unable> {
    let text = root.read_text("/etc/fstab")?.unwrap_or_default();
    let mut values = Values::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [source, target, kind, options, ..] = fields.as_slice() else { continue };
        // Their order counts only between opposites, which a check of its own looks at.
        let mut options: Vec<&str> = options.split(',').collect();
        options.sort_unstable();
        insert_new(&mut values, format!("{target}: options"), options.join(","));
        insert_new(&mut values, format!("{target}: source"), (*source).to_owned());
        insert_new(&mut values, format!("{target}: type"), (*kind).to_owned());
    }
    Ok(values)
}

/// What each program and library has of the properties that checks know.
pub fn elf(root: &Root) -> Result<Values, Unable> {
    let mut values = Values::new();
    for (path, node) in root.nodes() {
        if !matches!(node.kind, NodeKind::File(4..)) {
            continue;
        }
        let bytes = root.read(path)?.unwrap_or_default();
        if !image::elf::is_elf(&bytes) {
            continue;
        }
        let facts = match image::elf::facts(&bytes) {
            Ok(facts) => facts,
            Err(error) => {
                values.insert(path.to_owned(), format!("broken: {error}"));
                continue;
            }
        };
        let kind = match facts.kind {
            ElfType::SharedLibrary => "library",
            _ if facts.loadable() && facts.static_linked => "static program",
            _ if facts.loadable() => "program",
            _ => "object",
        };
        let had: Vec<&str> = Property::ALL.iter().filter(|p| p.had(&facts)).map(|p| p.name()).collect();
        // A library's name is its soname: what follows it is the version.
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let named = facts.soname.filter(|name| kind == "library" && !name.contains('/'));
        let key = named.map(|name| format!("{folder}/{name}")).filter(|key| !values.contains_key(key));
        values.insert(key.unwrap_or_else(|| path.to_owned()), format!("{kind}: {}", had.join(" ")));
    }
    Ok(values)
}
