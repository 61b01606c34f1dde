//! What the two kinds of checks on services look at: each service that is started, with its settings.

use std::collections::{BTreeMap, BTreeSet};

use crate::Unable;
use crate::analyze::exposure::{Settings, assess};
use crate::facts::services::settings;
use crate::kinds::unit_state::unit_file;
use crate::root::Root;
use crate::starts;

/// A service that some link or another unit starts.
pub(super) struct Service {
    /// The unit's name.
    pub name: String,
    /// Its `[Service]` section over all drop-ins; a setting that was set to nothing is there without a value.
    pub settings: Settings,
    /// Its exposure in tenths, as `systemd-analyze security` counts it.
    pub exposure: u32,
    /// Whether a path or a timer starts it, as often as that likes.
    pub asked: bool,
}

impl Service {
    /// The last value of a setting; empty where it has none.
    pub fn last(&self, name: &str) -> &str {
        self.settings.get(name).and_then(|all| all.last()).map_or("", String::as_str)
    }

    /// Whether it goes on running once it was started.
    pub fn long_running(&self) -> bool {
        self.last("Type") != "oneshot"
    }
}

/// Every service that systemd starts. Where there is none, the commands of another system's start: they have no sandbox
/// and no user of their own, and are told one by one.
///
/// # Errors
/// When a unit cannot be read, or nothing is found that starts anything.
pub(super) fn started(root: &Root) -> Result<(Vec<Service>, Vec<String>), Unable> {
    let mut services = Vec::new();
    let mut names = starts::reached(root)?;
    let mut on_demand = BTreeSet::new();
    // What a path or a timer starts is started, too.
    for unit in names.clone() {
        let Some((stem, section)) = [(".path", "Path"), (".timer", "Timer")]
            .into_iter()
            .find_map(|(suffix, section)| Some((unit.strip_suffix(suffix)?.to_owned(), section)))
        else {
            continue;
        };
        let own = self::settings(root, &unit, section)?.remove("Unit").unwrap_or_default();
        let started = own.into_iter().next_back().unwrap_or_else(|| format!("{stem}.service"));
        on_demand.insert(started.clone());
        names.insert(started);
    }
    for name in names {
        // A unit that is pulled in without a file, and an instance whose name only a running manager knows.
        if !name.ends_with(".service") || name.contains('%') || unit_file(root, &name).is_none() {
            continue;
        }
        let settings = settings(root, &name, "Service")?;
        let unit = self::settings(root, &name, "Unit")?;
        let early = unit.get("DefaultDependencies").and_then(|all| all.last());
        let late = !early.is_some_and(|value| ["no", "false", "0", "off"].contains(&value.as_str()));
        let exposure = assess(&settings, late).tenths();
        let asked = on_demand.contains(&name);
        services.push(Service { name, settings, exposure, asked });
    }
    let other: Vec<String> = if services.is_empty() {
        let commands = starts::commands(root)?.into_iter();
        commands.map(|command| format!("`{}` of `{}`", command.words[0], command.at)).collect()
    } else {
        Vec::new()
    };
    if services.is_empty() && other.is_empty() {
        return Err(Unable::broken(
            "no unit, start script or inittab starts anything; expected the services of a whole root file system",
        ));
    }
    Ok((services, other))
}

/// What is wrong with the settings that a check requires and with its exceptions: a setting that is none of `known`, and an
/// exception without a reason.
pub(super) fn mistakes<'a>(
    settings: impl Iterator<Item = &'a String>,
    known: &[&str],
    reasons: impl Iterator<Item = (&'a String, &'a String)>,
) -> Vec<String> {
    let unknown = settings
        .filter(|setting| !known.contains(&setting.as_str()))
        .map(|setting| format!("`{setting}` is none of {}", known.join(", ")));
    let silent = reasons
        .filter(|(_, reason)| reason.trim().is_empty())
        .map(|(name, _)| format!("`exceptions`: `{name}` has no reason"));
    unknown.chain(silent).collect()
}

/// What a map by patterns of names says of one.
pub(super) fn named<'a, T>(map: &'a BTreeMap<String, T>, name: &str) -> Option<&'a T> {
    map.iter().find(|(pattern, _)| crate::glob::part_matches(pattern, name)).map(|(_, value)| value)
}
