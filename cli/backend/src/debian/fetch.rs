//! From what the plan asks to files in the cache: pinned, fetched, verified.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use diag::{ExitStatus, Failure, Outcome};
use exec::FolderLock;
use spec::plan::Plan;

use super::apt::{Apt, Remote, pin_gone, verify};
use crate::cache::wait_for_lock;
use crate::lock::{Lock, Pin, Target};
use crate::{BuildOptions, Cache};

/// The files of a target, by package name and by source package.
#[derive(Debug)]
pub struct Fetched {
    /// The pins.
    pub target: Target,
    /// `.deb` files by package name (those of the device, without the kernel's source).
    pub packages: BTreeMap<String, PathBuf>,
    /// U-Boot's tarballs.
    pub uboot: Vec<PathBuf>,
    /// The package that holds the kernel's source.
    pub linux: PathBuf,
    /// The package that holds what runs before U-Boot, where the board has one.
    pub first_stage: Option<PathBuf>,
    /// Pins of those sources, by their files.
    sources: BTreeMap<PathBuf, Pin>,
    /// Whether nothing had to be resolved or fetched.
    pub cached: bool,
}

/// Pins (from the lock, or anew) and fetches everything.
///
/// # Errors
/// When something has gone, does not verify, or `offline` and not in the cache.
pub fn fetch_all(plan: &Plan, options: &BuildOptions, cache: &Cache, log: &Path) -> Outcome<Fetched> {
    let target_name = format!("{}/{}", plan.debian.suite, plan.board.architecture);
    let mut lock = Lock::read(&options.lock)?;
    let mut asked: Vec<String> = plan.packages.keys().cloned().collect();
    asked.push(plan.debian.linux_source.clone());
    asked.extend(first_stage(plan).map(str::to_owned));
    asked.push(format!("source:{}", plan.debian.uboot_source));
    asked.sort();
    let archive = LazyApt { plan, options, cache, log, apt: OnceCell::new(), lock: OnceCell::new() };
    let mut cached = true;
    let pinned = lock.targets.get(&target_name).filter(|t| t.asked == asked && !options.update_lock).cloned();
    let target = match pinned {
        Some(target) => target,
        None => {
            cached = false;
            let target = pin_anew(plan, archive.get()?, asked)?;
            lock.targets.insert(target_name, target.clone());
            lock.write(&options.lock)?;
            target
        }
    };
    let downloads = cache.folder("downloads")?;
    let mut missing = Vec::new();
    for (name, pin) in &target.packages {
        if !is_there(&downloads, pin) {
            missing.push((name.clone(), pin.clone()));
        }
    }
    if !missing.is_empty() {
        cached = false;
        let wanted = missing.iter().map(|(name, pin)| (name.clone(), pin.version.clone())).collect();
        let located = archive.get()?.locate(&wanted)?;
        for (name, pin) in &missing {
            let remote = located.get(name).ok_or_else(|| pin_gone(name, &pin.version))?;
            fetch_pin(archive.get()?, remote, pin, &downloads)?;
        }
    }
    for (package, pins) in &target.sources {
        for pin in pins.iter().filter(|pin| !is_there(&downloads, pin)) {
            cached = false;
            let remotes = archive.get()?.source(package)?;
            let remote = remotes
                .iter()
                .find(|r| r.sha256 == pin.sha256)
                .ok_or_else(|| pin_gone(package, &pin.file))?;
            fetch_pin(archive.get()?, remote, pin, &downloads)?;
        }
    }
    let mut packages: BTreeMap<String, PathBuf> =
        target.packages.iter().map(|(name, pin)| (name.clone(), stored(&downloads, pin))).collect();
    let (linux_name, uboot_name) = (&plan.debian.linux_source, &plan.debian.uboot_source);
    let unpinned = |name: &str| pin_gone(name, "(no version in the lock)");
    let linux = packages.remove(linux_name).ok_or_else(|| unpinned(linux_name))?;
    let first_stage = match first_stage(plan) {
        // A device that has it installed, too, keeps it.
        Some(name) if plan.packages.contains_key(name) => packages.get(name).cloned(),
        Some(name) => Some(packages.remove(name).ok_or_else(|| unpinned(name))?),
        None => None,
    };
    let tarballs = target.sources.get(uboot_name).ok_or_else(|| unpinned(uboot_name))?;
    let uboot = tarballs.iter().map(|pin| stored(&downloads, pin)).collect();
    let of_first_stage = self::first_stage(plan).and_then(|name| target.packages.get(name));
    let pins = tarballs.iter().chain(target.packages.get(linux_name)).chain(of_first_stage);
    let sources = pins.map(|pin| (stored(&downloads, pin), pin.clone())).collect();
    Ok(Fetched { target, packages, uboot, linux, first_stage, sources, cached })
}

/// Package of what runs before U-Boot.
fn first_stage(plan: &Plan) -> Option<&str> {
    let boot = &plan.board.boot;
    let spl =
        boot.spl.as_ref().and_then(|spl| spl.monitor.as_ref()).and_then(|monitor| monitor.package.as_deref());
    boot.first_stage.as_ref().map(|stage| stage.package.as_str()).or(spl)
}

impl Fetched {
    /// The files that U-Boot and Linux are built from, for the record of what went into the image.
    pub fn sources(&self) -> impl Iterator<Item = (String, String)> {
        self.sources.values().map(|pin| (format!("source {}", pin.file), format!("sha256 {}", pin.sha256)))
    }

    /// Compares U-Boot's and Linux's files with their pins once more, before they are unpacked.
    ///
    /// # Errors
    /// When one differs; it is removed then.
    pub fn verify_sources(&self, files: &[PathBuf]) -> Outcome<()> {
        let pinned = files.iter().filter_map(|file| Some((file, self.sources.get(file)?)));
        pinned.into_iter().try_for_each(|(file, pin)| verify_cached(file, pin))
    }
}

/// apt is opened (and its indexes fetched) only when something is not in the cache.
struct LazyApt<'a> {
    plan: &'a Plan,
    options: &'a BuildOptions,
    cache: &'a Cache,
    log: &'a Path,
    apt: OnceCell<Apt>,
    /// apt and the downloads of a cache are for one run at a time; another waits.
    lock: OnceCell<FolderLock>,
}

impl LazyApt<'_> {
    fn get(&self) -> Outcome<&Apt> {
        if let Some(apt) = self.apt.get() {
            return Ok(apt);
        }
        if self.options.offline {
            return Err(Failure::error(
                ExitStatus::Environment,
                "offline",
                "`--offline` was given, but the cache does not hold everything that this build needs",
            )
            .hint("run once without `--offline`, with the same `--cache` folder"));
        }
        if self.lock.get().is_none() {
            let lock = wait_for_lock(&self.cache.folder("locks")?.join("archive"))?;
            self.lock.get_or_init(|| lock);
        }
        let facts = &self.plan.debian;
        let folder = self.cache.folder(&format!("apt/{}-{}", facts.suite, self.plan.board.architecture))?;
        let apt = Apt::open(&folder, facts, &self.plan.board.architecture, self.log)?;
        Ok(self.apt.get_or_init(|| apt))
    }
}

fn pin_anew(plan: &Plan, apt: &Apt, asked: Vec<String>) -> Outcome<Target> {
    let names: Vec<&str> = plan.packages.keys().map(String::as_str).collect();
    let mut versions = apt.resolve(&names)?;
    for name in &names {
        if !versions.contains_key(*name) {
            return Err(Failure::error(
                ExitStatus::Build,
                "unknown-package",
                format!("the suite `{}` has no package `{name}`", plan.debian.suite),
            )
            .hint(format!("`fastness explain {name}` says which layer asks for it")));
        }
    }
    // The kernel's source depends on build tools that the device must not get: alone, without its closure.
    for alone in std::iter::once(plan.debian.linux_source.as_str()).chain(first_stage(plan)) {
        let with_tools = apt.resolve(&[alone])?;
        let version = with_tools.get(alone).ok_or_else(|| pin_gone(alone, "(newest)"))?;
        versions.insert(alone.to_owned(), version.clone());
    }
    let located = apt.locate(&versions)?;
    let packages = versions
        .into_iter()
        .filter_map(|(name, version)| {
            let remote = located.get(&name)?;
            Some((name, pin_of(remote, version)))
        })
        .collect();
    let uboot = apt.source(&plan.debian.uboot_source)?;
    let sources = BTreeMap::from([(
        plan.debian.uboot_source.clone(),
        uboot.iter().map(|remote| pin_of(remote, String::new())).collect(),
    )]);
    Ok(Target { asked, packages, sources })
}

fn pin_of(remote: &Remote, version: String) -> Pin {
    Pin { version, file: remote.name.clone(), bytes: remote.bytes, sha256: remote.sha256.clone() }
}

fn stored(downloads: &Path, pin: &Pin) -> PathBuf {
    downloads.join(format!("{}-{}", &pin.sha256[..16.min(pin.sha256.len())], pin.file.replace('%', "_")))
}

/// A file lands under its name only after it was verified; its size tells of later damage,
/// and the hash is compared again whenever it is unpacked.
fn is_there(downloads: &Path, pin: &Pin) -> bool {
    fs::metadata(stored(downloads, pin)).is_ok_and(|meta| meta.len() == pin.bytes)
}

fn fetch_pin(apt: &Apt, remote: &Remote, pin: &Pin, downloads: &Path) -> Outcome<()> {
    if remote.sha256 != pin.sha256 {
        return Err(Failure::error(
            ExitStatus::Build,
            "pin-differs",
            format!(
                "the archive's `{}` has SHA-256 {}, but the lock pins {}",
                pin.file, remote.sha256, pin.sha256
            ),
        )
        .hint("somebody changed the lock or the archive; look into it before `--update-lock`"));
    }
    exec::check_interrupt()?;
    // Another run may have fetched it while this one waited.
    if is_there(downloads, pin) {
        return Ok(());
    }
    apt.fetch(remote, &stored(downloads, pin))
}

/// Compares a cached file with its pin once more, before it is used.
///
/// # Errors
/// When it differs; it is removed then.
pub fn verify_cached(path: &Path, pin: &Pin) -> Outcome<()> {
    verify(
        path,
        &Remote { uri: String::new(), name: pin.file.clone(), bytes: pin.bytes, sha256: pin.sha256.clone() },
    )
}
