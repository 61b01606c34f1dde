//! The readers of small things on bytes alone, so that a fuzzer reaches them without an image around (`cli/fuzz`).

use std::collections::BTreeMap;

use super::rules::Found;
use super::{accounts, crypt, keys, services, ssh, units};
use crate::root::{Node, NodeKind, Root};
use spec::known_keys::KnownKeys;

/// Names under which bytes are read as keys.
const KEYS: [&str; 4] = ["/etc/x", "/etc/x.pub", "/home/x/.ssh/authorized_keys", "/etc/dropbear/x_host_key"];
/// Files of a root that are read as what they are.
const FILES: [&str; 13] = [
    "/etc/passwd",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/inittab",
    "/etc/inetd.conf",
    "/etc/init.d/S50x",
    "/etc/xinetd.d/x",
    "/etc/ssh/sshd_config",
    "/etc/snmp/snmpd.conf",
    "/init",
    "/usr/lib/systemd/system/x.service",
    "/usr/lib/systemd/system/x.timer",
    "/usr/lib/systemd/system/x.socket",
];
/// What starts the units.
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";

/// Keys and certificates in a file; gives how many.
#[must_use]
pub fn keys_in(bytes: &[u8]) -> usize {
    let mut all = keys::pem(bytes);
    for path in KEYS {
        all.extend(keys::by_name(path, bytes));
    }
    let mut found = Found::default();
    keys::judge("/etc/x", &all, false, KnownKeys::built_in(), Some(0), &mut found).len()
}

/// A field of a password: read, and tried where that is cheap; whether it is a hash.
#[must_use]
pub fn password(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let hash = crypt::Hash::read(text.trim_end());
    let words = [String::from("root")];
    let mut little = crypt::Budget::little();
    let tried = crypt::try_all(&hash, words.iter(), &mut little);
    !matches!(tried, crypt::Tried::Unable(_)) || matches!(hash, crypt::Hash::Other(kind) if kind != "unknown")
}

/// Accounts, start scripts, units and settings of services, each with the same content; gives how many findings.
#[must_use]
pub fn files_of_a_root(bytes: &[u8]) -> usize {
    let node = |kind| Node { kind, mode: 0o755, uid: 0, gid: 0, capabilities: false };
    let mut nodes = BTreeMap::new();
    let mut contents = BTreeMap::new();
    let mut add = |path: &str, kind: NodeKind| {
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            nodes.entry(path[..at].to_owned()).or_insert_with(|| node(NodeKind::Directory));
        }
        nodes.insert(path.to_owned(), node(kind));
    };
    for path in FILES {
        add(path, NodeKind::File(bytes.len() as u64));
        contents.insert(path.to_owned(), bytes.to_vec());
    }
    for unit in ["x.service", "x.timer", "x.socket"] {
        add(&format!("{WANTS}/{unit}"), NodeKind::Symlink(format!("/usr/lib/systemd/system/{unit}")));
    }
    let root = Root::new(nodes, Box::new(contents), String::new());
    let mut found = Found::default();
    let mut little = crypt::Budget::little();
    let mut judge = accounts::Judge { list: &[], budget: &mut little, found: &mut found };
    accounts::look(&root, "", &mut judge);
    services::look(&root, "", &mut found);
    units::look(&root, "", &mut found);
    ssh::authorized(&root, "", &mut found);
    found.issues().iter().map(|issue| issue.places.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reader_is_reached() {
        assert_eq!(keys_in(include_bytes!("testdata/one-day.crt")), 1);
        assert!(password(b"$1$abcdefgh$rV6RhG4no19bGJfmub3Ui1\n") && !password(b"$what$is$this"));
        assert!(
            files_of_a_root(b"root::0:0::/:/bin/sh\n::respawn:/bin/sh\n[Service]\nExecStart=/bin/telnetd\n")
                > 3
        );
    }
}
