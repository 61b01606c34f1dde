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
    /// Whether a value that protects more than the expected one will do, too.
    #[serde(default)]
    or_stricter: bool,
}

/// Values of keys from the weakest to the strictest; keys with dots, `*` for any text.
///
/// Source: Linux, Documentation/admin-guide/sysctl/{fs,kernel,net,vm}.rst, LSM/Yama.rst and
/// networking/ip-sysctl.rst. `suid_dumpable` 2 dumps to a pipe or an absolute path only; `rp_filter` 2 is the loose mode;
/// `unprivileged_bpf_disabled` 2 may be taken back, 1 may not.
const STRICTER: [(&str, &[&str]); 25] = [
    ("dev.tty.ldisc_autoload", &["1", "0"]),
    ("fs.protected_fifos", &["0", "1", "2"]),
    ("fs.protected_hardlinks", &["0", "1"]),
    ("fs.protected_regular", &["0", "1", "2"]),
    ("fs.protected_symlinks", &["0", "1"]),
    ("fs.suid_dumpable", &["1", "2", "0"]),
    ("kernel.dmesg_restrict", &["0", "1"]),
    ("kernel.io_uring_disabled", &["0", "1", "2"]),
    ("kernel.kexec_load_disabled", &["0", "1"]),
    ("kernel.kptr_restrict", &["0", "1", "2"]),
    ("kernel.modules_disabled", &["0", "1"]),
    ("kernel.perf_event_paranoid", &["-1", "0", "1", "2", "3", "4"]),
    ("kernel.randomize_va_space", &["0", "1", "2"]),
    ("kernel.unprivileged_bpf_disabled", &["0", "2", "1"]),
    ("kernel.yama.ptrace_scope", &["0", "1", "2", "3"]),
    ("net.core.bpf_jit_harden", &["0", "1", "2"]),
    ("net.ipv4.conf.*.accept_redirects", &["1", "0"]),
    ("net.ipv4.conf.*.accept_source_route", &["1", "0"]),
    ("net.ipv4.conf.*.rp_filter", &["0", "2", "1"]),
    ("net.ipv4.conf.*.secure_redirects", &["1", "0"]),
    ("net.ipv4.conf.*.send_redirects", &["1", "0"]),
    ("net.ipv6.conf.*.accept_redirects", &["1", "0"]),
    ("net.ipv6.conf.*.accept_source_route", &["1", "0", "-1"]),
    ("user.max_user_namespaces", &["1", "0"]),
    ("vm.unprivileged_userfaultfd", &["1", "0"]),
];

/// Whether a value of a key (with dots) protects more than another one, as far as it is known.
fn is_stricter(key: &str, value: &str, than: &str) -> bool {
    let order = STRICTER.iter().find(|(pattern, _)| glob::part_matches(pattern, key)).map(|(_, order)| order);
    let place = |value: &str| order?.iter().position(|known| *known == value);
    place(value).zip(place(than)).is_some_and(|(value, than)| value > than)
}

const FOLDERS: [&str; 4] = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"];

impl Kind for Sysctl {
    const NAME: &'static str = "sysctl";
    const DESCRIPTION: &'static str = "the keys have these values after all of sysctl.d, in order; with `or_stricter`, ones that protect more will do";
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
                Some(setting)
                    if with.or_stricter
                        && is_stricter(&dotted(&normalised(key)), &setting.value, &squeezed(wanted)) => {}
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

    #[test]
    fn a_stricter_value_is_enough_where_it_may_be_and_a_weaker_one_never() {
        let check = |key: &str, value: &str, asked: &str, or_stricter: bool| {
            let tree = Tree::base().file("/etc/sysctl.d/x.conf", 0o644, format!("{key} = {value}\n"));
            run("sysctl", json!({"expect": {key: asked}, "or_stricter": or_stricter}), tree.root())
        };
        for (key, value, asked) in [
            ("kernel.kptr_restrict", "2", "1"),
            ("net.ipv4.conf.all.rp_filter", "1", "2"),
            ("fs.suid_dumpable", "0", "2"),
            ("kernel.unprivileged_bpf_disabled", "1", "2"),
            ("net/ipv4/conf/eth0.5/send_redirects", "0", "1"),
        ] {
            passes(check(key, value, asked, true));
            let told = format!("`{key}` is `{value}`");
            fails(check(key, value, asked, false), &told);
            fails(check(key, asked, value, true), &format!("`{key}` is `{asked}`"));
        }
        fails(check("kernel.kptr_restrict", "3", "1", true), "is `3`");
        fails(check("kernel.sysrq", "1", "0", true), "is `1`");
    }
}
