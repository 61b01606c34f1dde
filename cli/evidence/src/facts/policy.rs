//! Facts of files that decide: sshd, sysctl, the audit's rules, and others by digest.

use super::Values;
use crate::Unable;
use crate::kinds::{audit_rules, sysctl};
use crate::root::{NodeKind, Root};
use crate::sshd::Config;

/// Where OpenSSH has its configuration in every distribution looked at.
pub(crate) const SSHD_CONFIG: &str = "/etc/ssh/sshd_config";

/// Files that are compared whole, without comments and blank lines.
const POLICY: [&str; 43] = [
    "/etc/audit/auditd.conf",
    "/etc/bash.bashrc",
    "/etc/chrony.conf",
    "/etc/chrony/**",
    "/etc/cron*",
    "/etc/cron*/**",
    "/etc/default/dropbear",
    "/etc/dropbear/**",
    "/etc/fw_env.config",
    "/etc/hostname",
    "/etc/hosts.allow",
    "/etc/hosts.deny",
    "/etc/inetd.conf",
    "/etc/issue",
    "/etc/issue.net",
    "/etc/limits*",
    "/etc/login.defs",
    "/etc/machine-id",
    "/etc/modprobe.d/**",
    "/etc/modules-load.d/**",
    "/etc/motd",
    "/etc/nsswitch.conf",
    "/etc/openvpn/**",
    "/etc/pam.d/**",
    "/etc/profile",
    "/etc/profile.d/**",
    "/etc/securetty",
    "/etc/security/**",
    "/etc/shells",
    "/etc/ssh/*",
    "/etc/ssh/*/**",
    "/etc/ssl/**",
    "/etc/strongswan.conf",
    "/etc/strongswan.d/**",
    "/etc/sudoers",
    "/etc/sudoers.d/**",
    "/etc/swanctl/**",
    "/etc/systemd/*.conf",
    "/etc/systemd/*.conf.d/**",
    "/etc/systemd/network/**",
    "/etc/tmpfiles.d/**",
    "/etc/wireguard/**",
    "/usr/lib/fastness/**",
];

/// Each keyword's value, and what `Match` blocks put over it.
pub fn sshd(root: &Root) -> Result<Values, Unable> {
    let mut values = Values::new();
    let Some(config) = Config::read(root, SSHD_CONFIG)? else { return Ok(values) };
    for setting in config.keywords().into_iter().flat_map(|keyword| config.values(keyword)) {
        let name = match &setting.inside {
            Some(block) => format!("{} for Match {block}", setting.keyword),
            None => setting.keyword.clone(),
        };
        // Within one block, too, the first value is the one that counts.
        values.entry(name).or_insert_with(|| setting.value.clone());
    }
    Ok(values)
}

/// Each key with the value that is set last.
pub fn sysctl(root: &Root) -> Result<Values, Unable> {
    let settings = sysctl::read(root)?;
    let keys = settings.iter().map(|setting| setting.key.as_str());
    Ok(keys
        .filter_map(|key| {
            // A key as a path: with dots for people, as `sysctl -a` prints it.
            let value = sysctl::effective(&settings, key)?.value.clone();
            Some((sysctl::dotted(key), value))
        })
        .collect())
}

/// Each rule; of rules that exclude, how many stand before it.
pub fn audit(root: &Root) -> Result<Values, Unable> {
    let mut values = Values::new();
    let mut excluding = 0usize;
    let (lines, from) = audit_rules::loaded(root, audit_rules::RULES)?;
    if from == audit_rules::RULES && root.resolve(from).is_none() {
        for (_, line) in audit_rules::lines(root, audit_rules::PARTS)? {
            values.insert(line, "not loaded: nothing runs augenrules".to_owned());
        }
    }
    let last = lines.len().saturating_sub(1);
    for (index, (_, line)) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = words.join(" ");
        let (name, value) = match words.as_slice() {
            [option @ ("-e" | "-f" | "-b" | "-r" | "--backlog_wait_time"), value] => {
                let place = if *option == "-e" && index != last { ", before other lines" } else { "" };
                ((*option).to_owned(), format!("{value}{place}"))
            }
            _ if excluding == 0 => (line.clone(), "loaded".to_owned()),
            _ => (line.clone(), format!("loaded after {excluding} that exclude")),
        };
        values.insert(name, value);
        excluding += usize::from(line.contains("never") || line.contains("exclude"));
    }
    Ok(values)
}

/// Digests of other files that decide, and of trust anchors.
pub fn files(root: &Root) -> Result<Values, Unable> {
    let mut values = Values::new();
    for pattern in POLICY {
        for (path, node) in root.find(pattern) {
            let value = match &node.kind {
                NodeKind::File(0) => "empty".to_owned(),
                NodeKind::File(_) => digest(&root.read(path)?.unwrap_or_default()),
                NodeKind::Symlink(target) => format!("link to {target}"),
                NodeKind::Directory | NodeKind::CharDevice(..) | NodeKind::Special => continue,
            };
            values.insert(path.to_owned(), value);
        }
    }
    Ok(values)
}

/// Of a text without what changes nothing, of other bytes as they are.
fn digest(bytes: &[u8]) -> String {
    let hash = match std::str::from_utf8(bytes) {
        Ok(text) => {
            let lines = text.lines().map(str::trim_end);
            let lines = lines.filter(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
            record::sha256_hex(lines.collect::<Vec<_>>().join("\n").as_bytes())
        }
        Err(_) => record::sha256_hex(bytes),
    };
    format!("sha256:{hash}")
}
