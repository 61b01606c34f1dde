//! `sysctl`: the values that systemd-sysctl sets at boot.
//!
//! Source: sysctl.d(5). A file in `/etc` hides one of the same name in `/run` or `/usr`;
//! files apply in the order of their names; a later setting wins; an explicit key wins over a
//! pattern; `/etc/sysctl.conf` is read only where there is no systemd-sysctl.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Kind;
use crate::glob;
use crate::root::{NodeKind, Root};
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct Sysctl;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    expect: BTreeMap<String, String>,
}

const FOLDERS: [&str; 4] = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"];

impl Kind for Sysctl {
    const NAME: &'static str = "sysctl";
    const DESCRIPTION: &'static str = "the keys have these values after all of sysctl.d, in order";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        if with.expect.is_empty() { vec!["`expect` is empty".to_owned()] } else { Vec::new() }
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let settings = read(root)?;
        let mut problems = Vec::new();
        for (key, wanted) in &with.expect {
            match effective(&settings, &normalised(key)) {
                Some(setting) if setting.value == squeezed(wanted) => {}
                Some(setting) => problems.push(format!("`{key}` is `{}` by {}", setting.value, setting.at)),
                None => problems.push(format!("`{key}` is not set")),
            }
        }
        let expected =
            with.expect.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ");
        Ok(Conclusion::of(
            &problems,
            expected,
            format!("all {} as expected", with.expect.len()),
            &root.sha256,
        ))
    }
}

/// One line of sysctl.d.
pub(crate) struct Setting {
    pub(crate) key: String,
    /// `None` for `-key`, which takes a key out of earlier patterns.
    pub(crate) value: String,
    excluded: bool,
    at: String,
}

/// Every setting, in the order in which they apply.
pub(crate) fn read(root: &Root) -> Result<Vec<Setting>, Unable> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for folder in FOLDERS {
        for name in root.list(folder).into_iter().filter(|name| name.ends_with(".conf")) {
            files.entry(name.clone()).or_insert(format!("{folder}/{name}"));
        }
    }
    // Where systemd-sysctl does not run, start scripts load this file last.
    let mut files: Vec<String> = files.into_values().collect();
    if root.resolve("/usr/lib/systemd/systemd-sysctl").is_none() {
        files.push("/etc/sysctl.conf".to_owned());
    }
    let mut settings = Vec::new();
    for path in &files {
        let hidden = root.entry(path).is_some_and(
            |(_, node)| matches!(&node.kind, NodeKind::Symlink(target) if target == "/dev/null"),
        );
        if hidden {
            continue;
        }
        let Some(text) = root.read_text(path)? else { continue };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            let at = format!("{path}:{}", index + 1);
            let quiet = line.strip_prefix('-');
            match (quiet.unwrap_or(line).split_once('='), quiet) {
                (Some((key, value)), _) => settings.push(Setting {
                    key: normalised(key.trim()),
                    value: squeezed(value),
                    excluded: false,
                    at,
                }),
                (None, Some(key)) => settings.push(Setting {
                    key: normalised(key.trim()),
                    value: String::new(),
                    excluded: true,
                    at,
                }),
                (None, None) => {
                    return Err(Unable::broken(format!("{at}: expected `key = value`, found `{line}`")));
                }
            }
        }
    }
    Ok(settings)
}

/// The setting that counts, for a key as [`normalised`] gives it.
pub(crate) fn effective<'a>(settings: &'a [Setting], key: &str) -> Option<&'a Setting> {
    if let Some(explicit) = settings.iter().rev().find(|setting| setting.key == key) {
        return (!explicit.excluded).then_some(explicit);
    }
    settings.iter().rev().find(|setting| {
        !setting.excluded && glob::is_pattern(&setting.key) && glob::matches(&setting.key, key)
    })
}

/// A key as a path: with `/` if its first separator is one, else dots and slashes swapped.
pub(crate) fn normalised(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key[at..].starts_with('.') => key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
        _ => key.to_owned(),
    }
}

/// A normalised key as `sysctl -a` prints it: the other way round.
pub(crate) fn dotted(key: &str) -> String {
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    key.chars().map(swap).collect()
}

fn squeezed(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::*;

    fn tree() -> Tree {
        Tree::base()
            .file("/etc/sysctl.d/60-hardening.conf", 0o644, "# x\nkernel.sysrq = 0\nnet/ipv4/ip_forward=0\n")
            .file("/usr/lib/sysctl.d/60-hardening.conf", 0o644, "kernel.sysrq=1\n")
            .file(
                "/usr/lib/sysctl.d/50-default.conf",
                0o644,
                "net.ipv4.conf.*.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\n",
            )
    }

    #[test]
    fn pass() {
        passes(run(
            "sysctl",
            json!({"expect": {"kernel.sysrq": "0", "net.ipv4.ip_forward": "0", "net.ipv4.conf.default.rp_filter": "2"}}),
            tree().root(),
        ));
    }

    #[test]
    fn fail() {
        let late = tree().file("/usr/lib/sysctl.d/99-late.conf", 0o644, "kernel.sysrq = 438\n");
        fails(
            run("sysctl", json!({"expect": {"kernel.sysrq": "0"}}), late.root()),
            "`kernel.sysrq` is `438` by /usr/lib/sysctl.d/99-late.conf:1",
        );
        let masked = tree().link("/etc/sysctl.d/60-hardening.conf", "/dev/null");
        fails(
            run("sysctl", json!({"expect": {"kernel.sysrq": "0"}}), masked.root()),
            "`kernel.sysrq` is not set",
        );
        fails(
            run("sysctl", json!({"expect": {"net.ipv4.conf.all.rp_filter": "2"}}), tree().root()),
            "`net.ipv4.conf.all.rp_filter` is not set",
        );
    }
}
