//! Command lines of the kernel: where an image keeps them, and words that switch a protection off or give a shell.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::open::Pieces;
use super::rules::{self, Found};
use crate::kinds::{kernel_parameter, kernel_words};
use crate::starts::is_shell;

/// Bytes of a file of a boot loader's settings.
const MAX_SETTINGS: u64 = 1 << 20;
/// Bytes of a line: no kernel takes a longer one (`COMMAND_LINE_SIZE`).
const MAX_LINE: usize = 4096;
/// Lines that one place gives.
const MAX_LINES: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    name: String,
    #[serde(default)]
    values: Vec<String>,
    #[serde(default)]
    shell: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    parameters: Vec<Parameter>,
}

/// The compiled-in table; a test proves that it is read.
fn parameters() -> &'static [Parameter] {
    static PARAMETERS: OnceLock<Vec<Parameter>> = OnceLock::new();
    PARAMETERS.get_or_init(|| {
        let file: Result<File, String> =
            rules::read(include_str!("../../../../standards/analysis/cmdline.yaml"));
        file.map(|file| file.parameters).unwrap_or_default()
    })
}

/// Whether one word of a command line is dangerous.
fn dangerous(word: &str) -> bool {
    let (name, value) = kernel_parameter(word);
    let value = value.unwrap_or_default();
    let same = |known: &str| known.replace('-', "_") == name.replace('-', "_");
    parameters().iter().filter(|known| same(&known.name)).any(|known| {
        if known.shell {
            return is_shell(&value);
        }
        // `mitigations=auto,nosmt`: one of several.
        known.values.is_empty() && value != "0"
            || value.split(',').any(|value| known.values.iter().any(|bad| bad == value))
    })
}

/// Command lines that the image's parts name, with where.
#[must_use]
pub fn lines(pieces: &Pieces) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for tree in &pieces.device_trees {
        let bytes = tree.read().unwrap_or_default();
        let text = fit::fdt::Tree::parse(&bytes).ok().and_then(|tree| {
            tree.root.at("/chosen").and_then(|node| node.text("bootargs")).map(str::to_owned)
        });
        lines.extend(text.map(|text| (tree.at.clone(), text)));
    }
    for (at, variables) in &pieces.environments {
        for variable in variables {
            lines.extend(of_variable(variable).map(|line| (at.clone(), line.to_owned())));
        }
    }
    for tree in &pieces.trees {
        // FAT knows no difference between small and capital letters.
        let any_case = tree.files.kind() == image::tree::RootKind::Fat;
        for path in tree.files.entries().keys() {
            let Some(starts) = keywords(path, any_case) else { continue };
            let Ok(bytes) = tree.files.read(path, MAX_SETTINGS) else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let found = text.lines().filter_map(|line| of_line(line, starts)).take(MAX_LINES + 1);
            lines.extend(found.map(|line| (format!("{}:{path}", tree.at), line.to_owned())));
        }
    }
    for blob in &pieces.boot_loaders {
        let bytes = blob.read().unwrap_or_default();
        lines.extend(of_boot_loader(&bytes).into_iter().map(|line| (blob.at.clone(), line)));
    }
    lines
}

/// Files of a boot loader's settings, and how lines begin in them that hold a command line; nothing where each does.
const SETTINGS: [(&str, &[&str]); 14] = [
    ("/extlinux/extlinux.conf", &["append"]),
    ("/syslinux/syslinux.cfg", &["append"]),
    ("/syslinux.cfg", &["append"]),
    ("/isolinux/isolinux.cfg", &["append"]),
    ("/cmdline.txt", &[]),
    ("/etc/kernel/cmdline", &[]),
    ("/grub/grub.cfg", GRUB),
    ("/grub2/grub.cfg", GRUB),
    ("/efi/EFI/BOOT/grub.cfg", GRUB),
    ("/EFI/BOOT/grub.cfg", GRUB),
    ("/uEnv.txt", VARIABLES),
    ("/uboot.env.txt", VARIABLES),
    ("/armbianEnv.txt", VARIABLES),
    ("/etc/default/grub", &["GRUB_CMDLINE_LINUX=", "GRUB_CMDLINE_LINUX_DEFAULT="]),
];
const GRUB: &[&str] = &["linux", "linux16", "linuxefi"];
const VARIABLES: &[&str] = &["bootargs=", "extraargs=", "optargs="];

/// How lines begin that hold a command line, where a file is of a boot loader's settings.
fn keywords(path: &str, any_case: bool) -> Option<&'static [&'static str]> {
    let same = |a: &str, b: &str| if any_case { a.eq_ignore_ascii_case(b) } else { a == b };
    let begins = |path: &'_ str, start: &str| path.get(..start.len()).is_some_and(|found| same(found, start));
    let in_boot = begins(path, "/boot/");
    let path = if in_boot { &path["/boot".len()..] } else { path };
    if let Some((_, starts)) = SETTINGS.iter().find(|(name, _)| same(name, path)) {
        return Some(*starts);
    }
    let entry = ["/loader/entries/", "/efi/loader/entries/"].iter().any(|folder| begins(path, folder));
    let ends = path.len().checked_sub(5).and_then(|at| path.get(at..)).is_some_and(|end| same(end, ".conf"));
    (entry && ends).then_some(&["options"][..])
}

/// What stands behind one of the words, which a blank or a tab ends; without words the whole line.
fn of_line<'a>(line: &'a str, starts: &[&str]) -> Option<&'a str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') || line.len() > MAX_LINE {
        return None;
    }
    if starts.is_empty() {
        return Some(line);
    }
    starts.iter().find_map(|start| {
        let rest = line.get(start.len()..)?;
        let is = line[..start.len()].eq_ignore_ascii_case(start);
        let ends = start.ends_with('=') || rest.starts_with(char::is_whitespace);
        (is && ends).then(|| rest.trim().trim_matches(['"', '\'']))
    })
}

/// The command line of a variable of U-Boot: `bootargs` itself, or what a command sets it to.
fn of_variable(variable: &str) -> Option<&str> {
    let (name, value) = variable.split_once('=')?;
    if name == "bootargs" {
        return Some(value);
    }
    let set = value.split_once("setenv bootargs ")?.1;
    set.split(';').next()
}

/// Those of a boot loader's own variables.
fn of_boot_loader(bytes: &[u8]) -> Vec<String> {
    let Ok(finder) = aho_corasick::AhoCorasick::new(["\0bootargs=", "setenv bootargs "]) else {
        return Vec::new();
    };
    let text = |end: usize| {
        let rest = &bytes[end..bytes.len().min(end + MAX_LINE)];
        let stop = rest.iter().position(|byte| matches!(byte, 0 | b';' | b'\n')).unwrap_or(rest.len());
        String::from_utf8_lossy(&rest[..stop]).into_owned()
    };
    let found = finder.find_iter(bytes).take(MAX_LINES + 1).map(|hit| text(hit.end()));
    found.filter(|line| line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')).collect()
}

/// The command line that a kernel's configuration puts in force whatever the boot loader says.
pub fn built_in(configuration: &str) -> Option<String> {
    let value = |name: &str| {
        configuration
            .lines()
            .find_map(|line| line.strip_prefix("CONFIG_")?.strip_prefix(name)?.strip_prefix('='))
    };
    const FORCING: [&str; 6] = [
        "CMDLINE_FORCE",
        "CMDLINE_OVERRIDE",
        "CMDLINE_EXTEND",
        "CMDLINE_FROM_BOOTLOADER_EXTEND",
        "MIPS_CMDLINE_BUILTIN_EXTEND",
        "MIPS_CMDLINE_DTB_EXTEND",
    ];
    let forced = FORCING.iter().any(|name| value(name) == Some("y"));
    value("CMDLINE").filter(|_| forced).map(|line| line.trim_matches('"').to_owned())
}

/// What is wrong with the command lines.
pub fn judge(lines: &[(String, String)], found: &mut Found) {
    let mut of_place: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, line) in lines {
        let number = of_place.entry(at).or_default();
        *number += 1;
        if *number > MAX_LINES {
            found.add("limit", at, format!("more than {MAX_LINES} command lines; the others are left out"));
            continue;
        }
        for word in kernel_words(line).iter().filter(|word| dangerous(word)) {
            found.add("cmdline-dangerous", at, format!("`{word}`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_parameters_are_told_from_others() {
        assert!(parameters().len() > 30);
        for word in [
            "init=/bin/sh",
            "init=/usr/bin/zsh",
            "rdinit=/bin/busybox.sh/../sh",
            "single",
            "1",
            "rescue",
            "systemd.unit=rescue.target",
            "mitigations=off",
            "mitigations=auto,off",
            "pti=off",
            "spectre_v2=off",
            "enforcing=0",
            "lockdown=none",
            "systemd.debug-shell=1",
            "systemd.debug_shell",
            "selinux=0",
        ] {
            assert!(dangerous(word), "{word}");
        }
        for word in [
            "init=/sbin/init",
            "mitigations=auto,nosmt",
            "ro",
            "selinux=1",
            "quiet",
            "maxcpus=1",
            "pti=on",
            "systemd.unit=multi-user.target",
        ] {
            assert!(!dangerous(word), "{word}");
        }
    }

    #[test]
    fn of_too_many_lines_is_said_that_there_are_more() {
        let of = |count: usize| {
            let mut found = Found::default();
            judge(&vec![("x:/boot/grub/grub.cfg".to_owned(), "quiet".to_owned()); count], &mut found);
            found.issues().into_iter().map(|issue| issue.rule).collect::<Vec<_>>()
        };
        assert!(of(MAX_LINES).is_empty());
        assert_eq!(of(MAX_LINES + 1), ["limit"]);
    }

    #[test]
    fn command_lines_are_found_wherever_a_boot_loader_keeps_them() {
        for (path, line) in [
            ("/boot/grub/grub.cfg", "\tlinux\t/vmlinuz root=/dev/sda1 init=/bin/sh"),
            ("/boot/grub/grub.cfg", "  linuxefi /vmlinuz init=/bin/sh"),
            ("/boot/loader/entries/a.conf", "options  root=x init=/bin/sh"),
            ("/loader/entries/a.conf", "options\tinit=/bin/sh"),
            ("/boot/extlinux/extlinux.conf", "  APPEND init=/bin/sh"),
            ("/boot/cmdline.txt", "root=x init=/bin/sh"),
            ("/uEnv.txt", "bootargs=init=/bin/sh"),
        ] {
            let found = of_line(line, keywords(path, false).unwrap()).unwrap();
            assert!(found.ends_with("init=/bin/sh"), "{path}: {found}");
        }
        assert!(keywords("/etc/x.conf", true).is_none() && keywords("/bootx/cmdline.txt", true).is_none());
        for path in ["/CMDLINE.TXT", "/LOADER/ENTRIES/A.CONF", "/efi/boot/grub.cfg"] {
            assert!(keywords(path, true).is_some() && keywords(path, false).is_none(), "{path}");
        }
        assert_eq!(of_line("# append x", &["append"]), None);
        assert_eq!(of_line("appended x", &["append"]), None);
        let loader = b"U-Boot 2020.01\0bootcmd=run a\0bootargs=console=x init=/bin/sh\0a=setenv bootargs rw single; b\0";
        assert_eq!(of_boot_loader(loader), ["console=x init=/bin/sh", "rw single"]);
        assert_eq!(of_variable("a=setenv bootargs quiet; boot"), Some("quiet"));
        let configuration = |more: &str| format!("CONFIG_CMDLINE=\"init=/bin/sh\"\n{more}\n");
        assert_eq!(built_in(&configuration("CONFIG_CMDLINE_FORCE=y")).unwrap(), "init=/bin/sh");
        assert_eq!(built_in(&configuration("# CONFIG_CMDLINE_FORCE is not set")), None);
    }
}
