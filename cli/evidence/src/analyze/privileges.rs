//! Files with rights of their own, and what everybody may change.

use image::tree::{Entry, FileTree, Kind, RootKind};

use super::model::Privileged;
use super::rules::Found;
use crate::root::Root;

/// Names of capabilities by their number. Source: Linux, `include/uapi/linux/capability.h`.
pub const CAPABILITIES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// What `security.capability` permits. Source: Linux, `struct vfs_cap_data`: a word of revision, then pairs of
/// permitted and inheritable words.
fn capabilities(value: &[u8]) -> Vec<String> {
    let word = |at: usize| {
        let bytes = value.get(at..at + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map(u32::from_le_bytes).unwrap_or_default()
    };
    let second = if word(0) >> 24 == 1 { 0 } else { word(12) };
    let bits = u64::from(word(4)) | u64::from(second) << 32;
    let name =
        |bit: usize| CAPABILITIES.get(bit).map_or_else(|| format!("cap_{bit}"), |name| (*name).to_owned());
    (0..64).filter(|bit| bits >> bit & 1 == 1).map(name).collect()
}

/// The entry as a row, where it has rights of its own; and what there is to say of any entry.
pub fn look(path: &str, shown: &str, entry: &Entry, script: bool, found: &mut Found) -> Option<Privileged> {
    let file = matches!(entry.kind, Kind::File { .. });
    writable(path, shown, entry, found);
    let set_id = file && entry.mode & 0o6000 != 0;
    let caps = entry.xattrs.get("security.capability").map(|value| capabilities(value)).unwrap_or_default();
    if !set_id && caps.is_empty() {
        return None;
    }
    let seen = format!("mode {:04o}, owner {}:{}", entry.mode, entry.uid, entry.gid);
    if set_id && script {
        found.add("set-id-script", shown, &seen);
    }
    if entry.mode & 0o4000 != 0 {
        found.add("setuid", shown, &seen);
    } else if set_id && entry.mode & 0o010 != 0 {
        // Without the group's x bit it means mandatory locking, not rights.
        found.add("setgid", shown, &seen);
    }
    if entry.mode & 0o002 != 0 {
        found.add("set-id-writable", shown, &seen);
    }
    if !caps.is_empty() {
        found.add("capabilities", shown, caps.join(" "));
    }
    Some(Privileged {
        path: shown.to_owned(),
        mode: format!("{:04o}", entry.mode),
        owner: format!("{}:{}", entry.uid, entry.gid),
        capabilities: caps,
    })
}

/// What everybody may change. Devices are the kernel's business, and sockets are made anew at each start.
fn writable(path: &str, shown: &str, entry: &Entry, found: &mut Found) {
    if entry.mode & 0o002 == 0 {
        return;
    }
    match entry.kind {
        Kind::File { .. } => found.add("world-writable", shown, format!("mode {:04o}", entry.mode)),
        Kind::Directory if entry.mode & 0o1000 == 0 && path != "/" => {
            found.add("world-writable-folder", shown, format!("mode {:04o}", entry.mode));
        }
        Kind::Directory if path == "/" => found.add("world-writable-folder", shown, "the root itself"),
        _ => {}
    }
}

/// What cannot be seen in this kind of input.
pub fn unseen(root: &Root, files: &FileTree, label: &str, found: &mut Found) {
    // A tar has extended attributes only where whoever made it asked for them.
    let none = files.kind() == RootKind::Tar && files.entries().values().all(|entry| entry.xattrs.is_empty());
    if !root.capabilities_known || none {
        found.add("capabilities-unknown", format!("{label}/"), "no extended attributes in it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(mode: u32, kind: Kind, script: bool, capability: Option<&[u8]>) -> Vec<String> {
        // Entries are made by readers alone: a small archive gives one to change.
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), "x").unwrap();
        let tree = image::tree::open_rootfs(folder.path()).unwrap();
        let mut entry = tree.get("/x").unwrap().clone();
        (entry.mode, entry.kind) = (mode, kind);
        if let Some(value) = capability {
            entry.xattrs.insert("security.capability".into(), value.to_vec());
        }
        let mut found = Found::default();
        look("/x", "/x", &entry, script, &mut found);
        found.issues().into_iter().map(|issue| issue.rule).collect()
    }

    #[test]
    fn rights_are_found_and_ordinary_files_are_not() {
        let file = || Kind::File { size: 1 };
        assert!(rules(0o755, file(), false, None).is_empty());
        assert_eq!(rules(0o4755, file(), false, None), ["setuid"]);
        assert_eq!(rules(0o2755, file(), false, None), ["setgid"]);
        assert!(rules(0o2644, file(), false, None).is_empty());
        assert_eq!(rules(0o4757, file(), false, None), ["set-id-writable", "world-writable", "setuid"]);
        assert_eq!(rules(0o4755, file(), true, None), ["set-id-script", "setuid"]);
        assert_eq!(rules(0o666, file(), false, None), ["world-writable"]);
        assert_eq!(rules(0o777, Kind::Directory, false, None), ["world-writable-folder"]);
        assert!(rules(0o1777, Kind::Directory, false, None).is_empty());
        let ping = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(rules(0o755, file(), false, Some(&ping)), ["capabilities"]);
        assert_eq!(capabilities(&ping), ["cap_net_raw"]);
        assert!(capabilities(&[1]).is_empty());
    }
}
