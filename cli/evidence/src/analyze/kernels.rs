//! Kernels, what they were configured with, and their command lines; boot loaders and what they trust.

use std::collections::BTreeMap;

use spec::known_keys::KnownKeys;

use super::cmdline;
use super::model::{BootLoader, Kernel};
use super::open::{Blob, Pieces, Tree};
use super::pieces;
use super::rules::Found;
use crate::kernel_rows::{Facts, Place, Rows};
use crate::kinds::sysctl;
use crate::root::Root;

/// Every kernel with its configuration, from itself or from one of `files`.
pub fn look(
    pieces: &Pieces,
    mut files: Vec<(String, String)>,
    root: Option<&Root>,
    lines: &[(String, String)],
    found: &mut Found,
) -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for kernel in &pieces.kernels {
        if exec::interrupted() {
            break;
        }
        let whole = match kernel.read() {
            Ok(whole) => whole,
            Err(why) => {
                found.add("broken", &kernel.at, why.to_string());
                continue;
            }
        };
        // A kernel that unpacks itself does not show its own texts.
        let packed = version(&whole).is_none();
        let inner = packed.then(|| image::kconfig_embedded::payload(&whole)).flatten();
        let bytes = inner.as_deref().unwrap_or(&whole[..]);
        let version = version(bytes).unwrap_or_default();
        let (configuration, text) = match image::kconfig_embedded::extract(bytes) {
            Ok(Some(text)) => ("inside the kernel (CONFIG_IKCONFIG)".to_owned(), Some(text)),
            Ok(None) => {
                match files.iter().position(|(path, _)| !version.is_empty() && path.ends_with(&version)) {
                    Some(at) => {
                        let (path, text) = files.remove(at);
                        (path, Some(text))
                    }
                    None => (String::new(), None),
                }
            }
            Err(why) => {
                found.add("broken", &kernel.at, why.to_string());
                (String::new(), None)
            }
        };
        kernels.push(one(&kernel.at, version, configuration, text, root, lines, found));
    }
    // A configuration without its kernel is still what somebody meant to ship.
    for (path, text) in files {
        let version = path.rsplit("config-").next().unwrap_or_default().to_owned();
        kernels.push(one(&path.clone(), version, path, Some(text), root, lines, found));
    }
    kernels
}

fn one(
    at: &str,
    version: String,
    configuration: String,
    text: Option<String>,
    root: Option<&Root>,
    lines: &[(String, String)],
    found: &mut Found,
) -> Kernel {
    let cmdline = lines.first().map(|(_, line)| line.clone());
    let mut kernel = Kernel { at: at.to_owned(), version, configuration, cmdline, rows_held: 0, rows: 0 };
    let Some(text) = text else {
        found.add("kernel-unknown", at, "neither inside it nor in /boot");
        return kernel;
    };
    if let Some(line) = cmdline::built_in(&text) {
        cmdline::judge(&[(at.to_owned(), line.clone())], found);
        kernel.cmdline = Some(line);
    }
    if let Err(why) = rows(&mut kernel, &text, root, found) {
        found.add("kernel-unknown", at, why);
    }
    kernel
}

/// The rows of `standards/kernel-hardening.yaml`: those of the command line and of sysctl where these are known.
fn rows(kernel: &mut Kernel, text: &str, root: Option<&Root>, found: &mut Found) -> Result<(), String> {
    let all = Rows::built_in()?;
    let mut facts = Facts::read(text, kernel.cmdline.as_deref().unwrap_or_default())?;
    if kernel.version.is_empty() {
        kernel.version = facts.version.map(|number| number.to_string()).join(".");
    }
    let settings = root.and_then(|root| sysctl::read(root).ok());
    if let Some(settings) = &settings {
        let value = |key: &str| {
            let setting = sysctl::effective(settings, &sysctl::normalised(key))?;
            Some((key.to_owned(), setting.value.clone()))
        };
        facts.sysctl = all.sysctl_keys().filter_map(value).collect();
    }
    for row in all.for_kernel(&facts)? {
        let known = match row.place {
            Place::Config => true,
            Place::Cmdline => kernel.cmdline.is_some(),
            Place::Sysctl => settings.is_some(),
        };
        if !known {
            continue;
        }
        kernel.rows += 1;
        let (holds, seen) = row.judge(&facts);
        if holds {
            kernel.rows_held += 1;
        } else {
            let what = format!("{}: {} is {seen}, wanted {}", row.asked_by, row.id, row.expected());
            found.add("kernel-option", format!("{} {}", kernel.at, row.id), what);
        }
    }
    Ok(())
}

/// `/boot/config-*` of every tree.
pub fn configurations(trees: &[Tree]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for tree in trees {
        for path in tree.files.entries().keys() {
            let name = path.rsplit('/').next().unwrap_or_default();
            let place = path.starts_with("/boot/") || path.rfind('/') == Some(0);
            if !place || !name.starts_with("config-") || all.len() >= 16 {
                continue;
            }
            if let Ok(bytes) = tree.files.read(path, 4 << 20) {
                all.push((format!("{}:{path}", tree.at), String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    all
}

fn version(bytes: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"Linux version ";
    let finder = aho_corasick::AhoCorasick::new([MARK]).ok()?;
    finder.find_iter(bytes).take(64).find_map(|hit| super::components::version(&bytes[hit.end()..]))
}

/// Every boot loader, and the FITs held against the one that there is.
pub fn boot(pieces: &Pieces, known: &KnownKeys, found: &mut Found) -> Vec<BootLoader> {
    for fit in &pieces.fits {
        unsigned(fit, found);
    }
    let mut loaders = Vec::new();
    let one = is_one(&pieces.boot_loaders);
    for blob in &pieces.boot_loaders {
        let bytes = match blob.read() {
            Ok(bytes) => bytes,
            Err(why) => {
                found.add("broken", &blob.at, why.to_string());
                continue;
            }
        };
        let version = pieces::version(&bytes).unwrap_or_default();
        let mut loader =
            BootLoader { at: blob.at.clone(), version, keys: Vec::new(), settings: BTreeMap::new() };
        settings(pieces, blob, &bytes, &mut loader, found);
        keys(if one { &pieces.fits } else { &[] }, blob, bytes, known, &mut loader, found);
        loaders.push(loader);
    }
    for (at, variables) in &pieces.environments {
        let what = variables.iter().find(|variable| variable.starts_with("bootcmd="));
        found.add("boot-environment", at, what.map_or("a saved environment", String::as_str));
    }
    loaders
}

/// Whether there is one boot loader, wherever else the same bytes lie: in a boot partition and in a flash's image, say. Which of
/// several starts which FIT nobody knows.
fn is_one(loaders: &[Blob]) -> bool {
    let [first, others @ ..] = loaders else { return false };
    let same = |other: &Blob| {
        other.source.len() == first.source.len()
            && first.read().is_ok_and(|own| other.read().is_ok_and(|bytes| bytes == own))
    };
    others.iter().all(same)
}

fn unsigned(fit: &Blob, found: &mut Found) {
    let bytes = match fit.read() {
        Ok(bytes) => bytes,
        Err(why) => return found.add("broken", &fit.at, why.to_string()),
    };
    let Ok(tree) = fit::fdt::Tree::parse(&bytes) else { return };
    let configurations =
        tree.root.child("configurations").map(|node| node.children.as_slice()).unwrap_or_default();
    if configurations.is_empty() {
        found.add("boot-unsigned", &fit.at, "it has no configuration");
    }
    for configuration in configurations {
        if !configuration.children.iter().any(|child| child.name.starts_with("signature")) {
            found.add("boot-unsigned", &fit.at, format!("configuration `{}`", configuration.name));
        }
    }
}

fn keys(
    fits: &[Blob],
    blob: &Blob,
    bytes: Vec<u8>,
    known: &KnownKeys,
    loader: &mut BootLoader,
    found: &mut Found,
) {
    let facts = match crate::open::chain::uboot(bytes, String::new()) {
        Ok(facts) => facts,
        Err(why) => return found.add("broken", &blob.at, format!("its control device tree: {why}")),
    };
    for key in &facts.keys {
        let required = key.required.as_deref().unwrap_or("nothing");
        loader
            .keys
            .push(format!("{} {} for {required}, sha256:{}", key.name, key.algorithm, key.fingerprint));
        if required != "conf" {
            found.add("boot-key-optional", &blob.at, format!("`{}` is required for {required}", key.name));
        }
        if let Some(source) = known.source(&key.fingerprint) {
            found.add("known-key", &blob.at, format!("`{}`: {source}", key.name));
        }
        if !crate::kinds::control_fdt_key::large_enough(key.bits, &key.algorithm) {
            found.add("weak-key", &blob.at, format!("`{}` has {} bits", key.name, key.bits));
        }
    }
    if facts.required_mode == "any" && facts.keys.len() > 1 {
        found.add("boot-key-optional", &blob.at, "`required-mode` is `any`: one of the keys is enough");
    }
    if facts.keys.is_empty() {
        found.add(
            "boot-no-key",
            &blob.at,
            format!("{} device trees in it, none with a key", facts.control_fdts),
        );
    } else {
        for fit in fits {
            let verified = fit
                .read()
                .map_err(|e| e.to_string())
                .and_then(crate::open::chain::fit)
                .map_err(|why| vec![why]);
            if let Err(problems) = verified.and_then(|fit| crate::open::chain::verify(&fit, &facts)) {
                found.add("boot-not-verified", &fit.at, problems.join("; "));
            }
        }
    }
}

/// What the configuration says, where the build recorded one; else what the binary's own environment says.
fn settings(pieces: &Pieces, blob: &Blob, bytes: &[u8], loader: &mut BootLoader, found: &mut Found) {
    let recorded = pieces.boot_configs.first();
    if let Some((_, text)) = recorded {
        for line in text.lines() {
            let Some((name, value)) = line.strip_prefix("CONFIG_").and_then(|rest| rest.split_once('='))
            else {
                continue;
            };
            let kept = [
                "BOOTDELAY",
                "BOOTCOMMAND",
                "AUTOBOOT_KEYED",
                "LEGACY_IMAGE_FORMAT",
                "CMD_BOOTI",
                "CMD_BOOTZ",
            ];
            if kept.contains(&name) || name.starts_with("ENV_IS_") || name == "ENV_WRITEABLE_LIST" {
                loader.settings.insert(name.to_owned(), value.trim_matches('"').to_owned());
            }
        }
        let on = |name: &str| loader.settings.get(name).is_some_and(|value| value == "y");
        for name in ["LEGACY_IMAGE_FORMAT", "CMD_BOOTI", "CMD_BOOTZ"].into_iter().filter(|name| on(name)) {
            found.add("boot-legacy", &blob.at, format!("CONFIG_{name}=y"));
        }
        let stored = loader.settings.keys().any(|name| name.starts_with("ENV_IS_IN_"));
        if stored && !on("ENV_WRITEABLE_LIST") {
            found.add("boot-environment", &blob.at, "CONFIG_ENV_IS_IN_… without CONFIG_ENV_WRITEABLE_LIST");
        }
        let keyed = on("AUTOBOOT_KEYED");
        delay("BOOTDELAY", keyed, blob, loader, found);
        return;
    }
    for name in ["bootcmd=", "bootdelay=", "bootargs="] {
        let finder = aho_corasick::AhoCorasick::new([format!("\0{name}")]).ok();
        let Some(hit) = finder.and_then(|finder| finder.find(bytes)) else { continue };
        let rest = &bytes[hit.end()..bytes.len().min(hit.end() + 512)];
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        let name = name.trim_end_matches('=').to_owned();
        loader.settings.insert(name, String::from_utf8_lossy(&rest[..end]).into_owned());
    }
    delay("bootdelay", false, blob, loader, found);
}

/// Source: U-Boot, `doc/README.autoboot`: -2 cannot be stopped, -1 waits at the prompt.
fn delay(name: &str, keyed: bool, blob: &Blob, loader: &BootLoader, found: &mut Found) {
    let Some(delay) = loader.settings.get(name).and_then(|value| value.parse::<i64>().ok()) else { return };
    if delay != -2 && !keyed {
        found.add("boot-stop", &blob.at, format!("{name} is {delay}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_held_against_the_rows_and_none_is_said() {
        let mut found = Found::default();
        let text = "# Linux/arm64 6.12.30 Kernel Configuration\nCONFIG_ARM64=y\nCONFIG_DEVMEM=y\n".to_owned();
        let kernel = one("k", String::new(), "c".into(), Some(text), None, &[], &mut found);
        assert_eq!(kernel.version, "6.12.30");
        assert!(kernel.rows > 100 && kernel.rows_held < kernel.rows);
        one("empty", String::new(), String::new(), None, None, &[], &mut found);
        one("other", String::new(), "c".into(), Some("CONFIG_X=y\n".into()), None, &[], &mut found);
        let issues = found.issues();
        let of = |rule: &str| issues.iter().find(|issue| issue.rule == rule).unwrap();
        assert!(of("kernel-option").places.iter().any(|place| place.path == "k DEVMEM"));
        assert_eq!(of("kernel-unknown").places.len(), 2);
    }
}
