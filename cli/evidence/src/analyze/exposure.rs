//! How exposed a service of systemd is by its own settings, as `systemd-analyze security --offline=true` counts it.
//!
//! The assessments, their weights and ranges are facts of systemd (`src/analyze/analyze-security.c`, version 252); the
//! evaluation is our own and is compared with the tool (`ci/peers/analyze`, and a test where the tool is installed).
//! It says what is not confined, not what is wrong: a service that needs a right is exposed by it.

use std::collections::{BTreeMap, BTreeSet};

use super::exposure_rows::{CALL_ROWS, CAPABILITY_ROWS, FAMILY_ROWS, NAMESPACE_ROWS};
use super::privileges::CAPABILITIES;

/// Settings of a unit by their names, as [`crate::facts::services::settings`] gives them: a name with no value was
/// set to nothing.
pub type Settings = BTreeMap<String, Vec<String>>;

/// One assessment's outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessed {
    /// The directive, as systemd names the row.
    pub id: &'static str,
    /// Its weight.
    pub weight: u64,
    /// From 0 (confined) to `range`; `None` where it does not apply.
    pub badness: Option<u64>,
    /// The worst.
    pub range: u64,
}

/// Everything that is assessed of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The rows.
    pub rows: Vec<Assessed>,
}

impl Exposure {
    fn weights(&self) -> u64 {
        self.rows.iter().filter(|row| row.badness.is_some()).map(|row| row.weight).sum::<u64>().max(1)
    }

    /// The whole, in tenths: 0 to 100.
    #[must_use]
    pub fn tenths(&self) -> u32 {
        let bad: u64 =
            self.rows.iter().filter_map(|row| Some((row.badness? * row.weight).div_ceil(row.range))).sum();
        u32::try_from((bad * 100).div_ceil(self.weights())).unwrap_or(100)
    }

    /// What each row that is not good adds, in tenths, the most first.
    #[must_use]
    pub fn missing(&self) -> Vec<(String, u32)> {
        let all = self.weights();
        let adds = |row: &Assessed| {
            let bad = row.badness.filter(|bad| *bad > 0)?;
            let tenths = (bad * row.weight * 100).div_ceil(row.range).div_ceil(all);
            Some((row.id.to_owned(), u32::try_from(tenths).unwrap_or(100)))
        };
        let mut found: Vec<(String, u32)> = self.rows.iter().filter_map(adds).collect();
        found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        found
    }
}

/// The word for an exposure in tenths.
#[must_use]
pub fn word(tenths: u32) -> &'static str {
    match tenths {
        100.. => "dangerous",
        90.. => "unsafe",
        75.. => "exposed",
        50.. => "medium",
        10.. => "ok",
        1.. => "safe",
        0 => "perfect",
    }
}

/// Settings with the defaults of the system's manager filled in, and what one setting implies of another.
struct Service<'a> {
    settings: &'a Settings,
    capabilities: u64,
    dynamic: bool,
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

impl<'a> Service<'a> {
    fn new(settings: &'a Settings) -> Self {
        let mut service = Self { settings, capabilities: u64::MAX, dynamic: false };
        service.dynamic = service.on("DynamicUser");
        service.capabilities = bounding_set(settings.get("CapabilityBoundingSet"));
        for (setting, taken) in [
            ("PrivateDevices", &["cap_mknod", "cap_sys_rawio"][..]),
            ("ProtectKernelModules", &["cap_sys_module"]),
            ("ProtectKernelLogs", &["cap_syslog"]),
            ("ProtectClock", &["cap_sys_time", "cap_wake_alarm"]),
        ] {
            if service.on(setting) {
                service.capabilities &= !mask(taken);
            }
        }
        service
    }

    fn last(&self, name: &str) -> &'a str {
        self.settings.get(name).and_then(|all| all.last()).map_or("", String::as_str)
    }

    fn words(&self, name: &str) -> Vec<&'a str> {
        self.settings.get(name).into_iter().flatten().flat_map(|value| value.split_whitespace()).collect()
    }

    /// Settings that were yes or no at first and have further words that all mean some of yes.
    fn on(&self, name: &str) -> bool {
        let value = self.last(name);
        truth(value).unwrap_or(!value.is_empty())
    }

    /// What `DynamicUser=` switches on, too.
    fn on_or_dynamic(&self, name: &str) -> bool {
        self.on(name) || self.dynamic
    }

    fn user(&self) -> u64 {
        match self.last("User") {
            "nobody" => 9,
            "" if self.dynamic => 0,
            "" | "0" | "root" => 10,
            _ => 0,
        }
    }

    fn privileged(&self) -> bool {
        self.user() == 10
    }

    fn home(&self) -> u64 {
        match self.last("ProtectHome") {
            "read-only" => 5,
            "tmpfs" => 1,
            other if truth(other) == Some(true) => 0,
            _ if self.dynamic => 5,
            _ => 10,
        }
    }

    fn system(&self) -> u64 {
        match self.last("ProtectSystem") {
            _ if self.dynamic => 0,
            "full" => 3,
            "strict" => 0,
            other if truth(other) == Some(true) => 5,
            _ => 10,
        }
    }

    fn umask(&self) -> u64 {
        let mask = u32::from_str_radix(self.last("UMask"), 8).unwrap_or(0o022);
        match mask {
            mask if mask & 0o002 == 0 => 10,
            mask if mask & 0o004 == 0 => 5,
            mask if mask & 0o020 == 0 => 2,
            mask if mask & 0o040 == 0 => 1,
            _ => 0,
        }
    }

    fn process(&self) -> u64 {
        match self.last("ProtectProc") {
            "noaccess" => 1,
            "invisible" | "ptraceable" => 0,
            _ => 3,
        }
    }

    fn architectures(&self) -> u64 {
        let words = self.words("SystemCallArchitectures");
        match words.as_slice() {
            [] => 10,
            all if all.iter().all(|word| *word == "native") => 0,
            _ => 8,
        }
    }

    fn addresses(&self) -> u64 {
        if !self.words("IPIngressFilterPath").is_empty() || !self.words("IPEgressFilterPath").is_empty() {
            return 0;
        }
        let denied = self.words("IPAddressDeny");
        let all = denied.contains(&"any") || (denied.contains(&"0.0.0.0/0") && denied.contains(&"::/0"));
        if !all {
            return 10;
        }
        let allowed = self.words("IPAddressAllow");
        let local = |word: &&str| {
            *word == "localhost" || word.starts_with("127.") || *word == "::1" || *word == "::1/128"
        };
        if allowed.is_empty() {
            0
        } else if allowed.iter().all(local) {
            2
        } else {
            5
        }
    }

    fn devices(&self) -> u64 {
        let policy = self.last("DevicePolicy");
        let closed = matches!(policy, "strict" | "closed")
            || matches!(policy, "" | "auto") && self.on("PrivateDevices");
        match (closed, !self.words("DeviceAllow").is_empty() || self.on("ProtectClock")) {
            (false, _) => 10,
            (true, true) => 5,
            (true, false) => 0,
        }
    }

    /// Whether namespaces of a kind may be made.
    fn namespace(&self, kind: &str) -> u64 {
        let Some(values) = self.settings.get("RestrictNamespaces").filter(|all| !all.is_empty()) else {
            return 1;
        };
        let mut allowed: Option<BTreeSet<&str>> = None;
        const KINDS: [&str; 7] = ["cgroup", "ipc", "net", "mnt", "pid", "user", "uts"];
        for value in values {
            let (inverted, list) =
                value.strip_prefix('~').map_or((false, value.as_str()), |list| (true, list));
            let named: BTreeSet<&str> = match truth(list) {
                Some(restricted) if restricted != inverted => BTreeSet::new(),
                Some(_) => KINDS.into_iter().collect(),
                None => list.split_whitespace().collect(),
            };
            let named: BTreeSet<&str> = if inverted && truth(list).is_none() {
                KINDS.into_iter().filter(|kind| !named.contains(kind)).collect()
            } else {
                named
            };
            allowed = Some(match allowed {
                None => named,
                Some(earlier) if inverted => earlier.intersection(&named).copied().collect(),
                Some(earlier) => earlier.union(&named).copied().collect(),
            });
        }
        u64::from(allowed.is_none_or(|allowed| allowed.contains(kind)))
    }

    /// Whether sockets of a family may be made; `other` stands for the ones that have no row.
    fn family(&self, names: &[&str]) -> u64 {
        const ROWS: [&str; 5] = ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"];
        let values = self.settings.get("RestrictAddressFamilies").filter(|all| !all.is_empty());
        let Some(values) = values else { return 1 };
        let (list, allow) = listed(values, |word| vec![word.to_owned()], &[]);
        let named: Vec<&String> = if names.is_empty() {
            list.iter().filter(|name| !ROWS.contains(&name.as_str()) && *name != "none").collect()
        } else {
            list.iter().filter(|name| names.contains(&name.as_str())).collect()
        };
        let restricted = if named.is_empty() { allow } else { !allow };
        u64::from(!restricted)
    }

    fn calls(&self, set: &str) -> u64 {
        let values = self.settings.get("SystemCallFilter").filter(|all| !all.is_empty());
        let Some(values) = values else { return 10 };
        let (list, allow) = listed(values, expanded, &["@default"]);
        let bad = expanded(set).iter().any(|call| list.contains(call) == allow);
        match (bad, allow) {
            (false, _) => 0,
            (true, true) => 9,
            (true, false) => 10,
        }
    }

    fn has(&self, names: &[&str]) -> u64 {
        u64::from(self.capabilities & mask(names) != 0)
    }
}

/// A list that begins as one of what is allowed or, with `~`, of what is denied; later lines of the other kind take
/// items out again. Gives the items, and whether they are what is allowed.
fn listed(
    values: &[String],
    expand: impl Fn(&str) -> Vec<String>,
    always: &[&str],
) -> (BTreeSet<String>, bool) {
    let mut list = BTreeSet::new();
    let mut allow = None;
    for value in values {
        let (inverted, words) =
            value.strip_prefix('~').map_or((false, value.as_str()), |words| (true, words));
        let first = allow.is_none();
        let allowing = *allow.get_or_insert(!inverted);
        if first && allowing {
            list.extend(always.iter().flat_map(|name| expand(name)));
        }
        for word in words.split_whitespace() {
            // `name:errno` says what a denied call answers.
            let items = expand(word.split(':').next().unwrap_or_default());
            for item in items {
                if inverted != allowing {
                    list.insert(item);
                } else {
                    list.remove(&item);
                }
            }
        }
    }
    (list, allow.unwrap_or(false))
}

/// The calls of a set, sets inside it opened; a single call is itself.
fn expanded(name: &str) -> Vec<String> {
    fn add(name: &str, depth: usize, out: &mut Vec<String>) {
        let Some(members) = sets().get(name).filter(|_| depth < 8) else {
            out.push(name.to_owned());
            return;
        };
        for member in members {
            add(member, depth + 1, out);
        }
    }
    let mut out = Vec::new();
    add(name, 0, &mut out);
    out
}

fn sets() -> &'static BTreeMap<&'static str, Vec<&'static str>> {
    static SETS: std::sync::OnceLock<BTreeMap<&'static str, Vec<&'static str>>> = std::sync::OnceLock::new();
    SETS.get_or_init(|| {
        let text = include_str!("../../../../standards/analysis/syscalls.txt");
        let lines = text.lines().filter_map(|line| line.strip_prefix('@').map(|_| line));
        lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, members)| (name, members.split(' ').collect()))
            .collect()
    })
}

fn mask(names: &[&str]) -> u64 {
    let bit = |name: &&str| CAPABILITIES.iter().position(|known| known == name);
    names.iter().filter_map(bit).fold(0, |mask, bit| mask | 1 << bit)
}

/// Source: systemd.exec(5), "CapabilityBoundingSet=": a first list replaces everything, `~` takes away, set to nothing
/// is nothing.
fn bounding_set(values: Option<&Vec<String>>) -> u64 {
    let Some(values) = values else { return u64::MAX };
    let mut set = None;
    for value in values {
        let (inverted, words) =
            value.strip_prefix('~').map_or((false, value.as_str()), |words| (true, words));
        let words: Vec<String> = words.split_whitespace().map(str::to_ascii_lowercase).collect();
        let named = mask(&words.iter().map(String::as_str).collect::<Vec<_>>());
        set = Some(match (set, inverted) {
            (None | Some(u64::MAX), true) => !named,
            (None | Some(u64::MAX), false) => named,
            (Some(earlier), true) => earlier & !named,
            (Some(earlier), false) => earlier | named,
        });
    }
    set.unwrap_or(0)
}

/// Assesses a service from its `[Service]` section; `default_dependencies` is that setting of `[Unit]`.
#[must_use]
pub fn assess(settings: &Settings, default_dependencies: bool) -> Exposure {
    let service = Service::new(settings);
    let mut rows = Vec::new();
    let mut row =
        |id, weight, range, badness: Option<u64>| rows.push(Assessed { id, weight, badness, range });
    let late = |badness: u64| default_dependencies.then_some(badness);
    let unprivileged = |badness: u64| (!service.privileged()).then_some(badness);
    let off = |name: &str| u64::from(!service.on(name));
    row("User=/DynamicUser=", 2000, 10, Some(service.user()));
    row(
        "SupplementaryGroups=",
        200,
        1,
        unprivileged(u64::from(!service.words("SupplementaryGroups").is_empty())),
    );
    row("PrivateTmp=", 1000, 1, late(u64::from(!service.on_or_dynamic("PrivateTmp"))));
    row("ProtectHome=", 1000, 10, late(service.home()));
    row("ProtectSystem=", 1000, 10, late(service.system()));
    let no_root = |name: &str| matches!(service.last(name), "" | "/");
    row(
        "RootDirectory=/RootImage=",
        200,
        1,
        late(u64::from(no_root("RootDirectory") && no_root("RootImage"))),
    );
    for (id, name, weight) in [
        ("PrivateDevices=", "PrivateDevices", 1000),
        ("PrivateMounts=", "PrivateMounts", 1000),
        ("PrivateNetwork=", "PrivateNetwork", 2500),
        ("PrivateUsers=", "PrivateUsers", 1000),
        ("ProtectControlGroups=", "ProtectControlGroups", 1000),
        ("ProtectKernelModules=", "ProtectKernelModules", 1000),
        ("ProtectKernelTunables=", "ProtectKernelTunables", 1000),
        ("ProtectKernelLogs=", "ProtectKernelLogs", 1000),
        ("ProtectClock=", "ProtectClock", 1000),
        ("ProtectHostname=", "ProtectHostname", 50),
        ("LockPersonality=", "LockPersonality", 100),
        ("MemoryDenyWriteExecute=", "MemoryDenyWriteExecute", 100),
        ("RestrictRealtime=", "RestrictRealtime", 500),
    ] {
        row(id, weight, 1, Some(off(name)));
    }
    row("NoNewPrivileges=", 1000, 1, Some(u64::from(!service.on_or_dynamic("NoNewPrivileges"))));
    row("RestrictSUIDSGID=", 1000, 1, Some(u64::from(!service.on_or_dynamic("RestrictSUIDSGID"))));
    for (id, weight, names) in CAPABILITY_ROWS {
        row(id, *weight, 1, Some(service.has(names)));
    }
    row("UMask=", 100, 10, Some(service.umask()));
    let shared = matches!(service.last("KeyringMode"), "inherit" | "shared");
    row("KeyringMode=", 1000, 1, Some(u64::from(shared)));
    row("ProtectProc=", 1000, 3, Some(service.process()));
    row("ProcSubset=", 10, 1, Some(u64::from(service.last("ProcSubset") != "pid")));
    row("NotifyAccess=", 1000, 1, Some(u64::from(service.last("NotifyAccess") == "all")));
    row("RemoveIPC=", 100, 1, unprivileged(u64::from(!service.on_or_dynamic("RemoveIPC"))));
    row("Delegate=", 100, 1, Some(u64::from(service.on("Delegate"))));
    for (id, weight, kind) in NAMESPACE_ROWS {
        row(id, *weight, 1, Some(service.namespace(kind)));
    }
    for (id, weight, names) in FAMILY_ROWS {
        row(id, *weight, 1, Some(service.family(names)));
    }
    row("SystemCallArchitectures=", 1000, 10, Some(service.architectures()));
    for (id, weight, set) in CALL_ROWS {
        row(id, *weight, 10, Some(service.calls(set)));
    }
    row("IPAddressDeny=", 1000, 10, Some(service.addresses()));
    row("DeviceAllow=", 1000, 10, Some(service.devices()));
    row("AmbientCapabilities=", 500, 1, Some(u64::from(!service.words("AmbientCapabilities").is_empty())));
    Exposure { rows }
}

#[cfg(test)]
#[path = "exposure_tests.rs"]
mod tests;
