//! Units that are started, and what confines them.

use super::exposure;
use super::model::Unit;
use super::rules::Found;
use crate::facts::services::settings;
use crate::kinds::unit_state::unit_file;
use crate::root::Root;

/// From this exposure, in tenths, a service counts as not confined.
const EXPOSED: u32 = 90;
/// Units of one root.
const MAX_UNITS: usize = 2000;

/// Every service that a link or another unit starts.
pub fn look(root: &Root, label: &str, found: &mut Found) -> Vec<Unit> {
    let reached = match crate::starts::reached(root) {
        Ok(reached) => reached,
        Err(why) => {
            found.add("unit-broken", format!("{label}/etc/systemd/system"), why.to_string());
            return Vec::new();
        }
    };
    let mut units = Vec::new();
    for (number, name) in reached.iter().filter(|name| name.ends_with(".service")).enumerate() {
        if number >= MAX_UNITS {
            let why = format!("more than {MAX_UNITS} services are started; `{name}` and more are left out");
            found.add("limit", format!("{label}/etc/systemd/system"), why);
            break;
        }
        // An instance whose name only a running manager knows.
        if unit_file(root, name).is_none() || name.contains('%') {
            continue;
        }
        let shown = format!("{label}{name}");
        let read = settings(root, name, "Service").and_then(|own| Ok((own, settings(root, name, "Unit")?)));
        let (service, unit) = match read {
            Ok(read) => read,
            Err(why) => {
                found.add("unit-broken", shown, why.to_string());
                continue;
            }
        };
        let last = |settings: &exposure::Settings, key: &str| {
            settings.get(key).and_then(|all| all.last()).cloned().unwrap_or_default()
        };
        let late = !matches!(last(&unit, "DefaultDependencies").as_str(), "no" | "false" | "0" | "off");
        let assessed = exposure::assess(&service, late);
        let tenths = assessed.tenths();
        let long_running = last(&service, "Type") != "oneshot";
        let missing: Vec<(String, u32)> = assessed.missing();
        if long_running && tenths >= EXPOSED {
            let most: Vec<&str> = missing.iter().take(3).map(|(id, _)| id.as_str()).collect();
            let seen = format!(
                "{}.{} {}; most by {}",
                tenths / 10,
                tenths % 10,
                exposure::word(tenths),
                most.join(", ")
            );
            found.add("unit-exposed", &shown, seen);
        }
        units.push(Unit {
            name: shown,
            exposure: tenths,
            word: exposure::word(tenths).to_owned(),
            long_running,
            missing,
        });
    }
    units
}
