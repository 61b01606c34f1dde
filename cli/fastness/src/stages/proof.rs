//! image → boot and attacks, in QEMU.
//!
//! Results say for which disk image they are; those of another image are not used.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use qemu::attack::{Progress, library, select};
use qemu::events::Login;
use qemu::pattern::Pattern;
use qemu::{AttackRun, run_attacks};
use record::{
    AttackResult, BootRecord, EventClass, TrafficRecord, TrafficVerdict, read_json, read_regular,
    write_json_atomic,
};
use serde::Serialize;

use super::{disk_sha256, first_sha256, write_atomic};
use crate::places::Built;
use crate::progress::Steps;

/// A boot takes some 25 s under emulation; a busy host may be ten times slower.
const BOOT_LIMIT: Duration = Duration::from_secs(300);

/// Where the summary of the traffic begins to speak of events.
const OF_EVENTS: &str = "; of the security events, ";

/// An attack in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttackSummary {
    /// Its id: the file's stem.
    pub attack: String,
    /// One line.
    pub title: String,
    /// Who must refuse it.
    pub stage: String,
    /// Requirement ids that its refusal serves.
    pub requirements: Vec<String>,
}

/// The attacks that would be run, of the program and of the product: all, if none is named.
///
/// # Errors
/// A definition is wrong, or there is no attack of that name.
pub fn attacks(product_folder: Option<&Path>, names: &[String]) -> Outcome<Vec<AttackSummary>> {
    let summary = |attack: qemu::Attack| AttackSummary {
        attack: attack.name,
        title: attack.title,
        stage: attack.expect.stage.name().to_owned(),
        requirements: attack.requirements,
    };
    Ok(select(library(product_folder)?, names)?.into_iter().map(summary).collect())
}

/// Boots the untouched image and writes `boot.json`.
///
/// # Errors
/// When QEMU is missing or cannot be driven. An image that does not boot is a result, no error.
pub fn boot(built: &Built, steps: &Steps) -> Outcome<BootRecord> {
    let log = built.folder.join(qemu::CONSOLE_LOG);
    steps.step("boot", Some(&log), || {
        let mut boot = qemu::boot(&built.plan, &built.image, &built.folder, BOOT_LIMIT)?;
        boot.others = others(built)?;
        write_json_atomic(&built.folder.join("boot.json"), &boot)?;
        Ok((boot, false))
    })
}

/// Most other devices whose own things a record keeps.
const MAX_OTHERS: usize = 4;

/// What was told by devices that earlier boots started for the first time with this image: each boot is of a fresh copy.
fn others(built: &Built) -> Outcome<Vec<BTreeMap<String, String>>> {
    let Some(before) = known_boot(built)? else { return Ok(Vec::new()) };
    let all = std::iter::once(before.identity).chain(before.others);
    Ok(all.filter(|identity| !identity.is_empty()).take(MAX_OTHERS).collect())
}

/// Where no other device was started with this image yet, one is: only two show that they share nothing.
fn second_device(built: &Built, boot: &mut BootRecord, steps: &Steps) -> Outcome<()> {
    if !boot.others.is_empty() || boot.identity.is_empty() {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|e| Failure::io("make", &std::env::temp_dir(), &e))?;
    steps.step("start a second device", None, || {
        let second = qemu::boot_device(&built.plan, &built.image, &built.folder, folder.path(), BOOT_LIMIT)?;
        boot.others = vec![second.identity];
        write_json_atomic(&built.folder.join("boot.json"), boot)?;
        Ok(((), false))
    })
}

/// Boots the image's boot loader on the device in a folder, which keeps what it writes; no proof of the image. With updates,
/// which it finds in its own folder, also what it said of them.
///
/// # Errors
/// As [`boot`], and when the folder cannot be written.
pub fn boot_device(
    built: &Built,
    device: &Path,
    updates: &[PathBuf],
    steps: &Steps,
) -> Outcome<(BootRecord, Vec<String>)> {
    let log = device.join("console.log");
    steps.step("boot", Some(&log), || {
        let (plan, image, folder) = (&built.plan, &built.image, &built.folder);
        let booted = match updates {
            [] => (qemu::boot_device(plan, image, folder, device, BOOT_LIMIT)?, Vec::new()),
            updates => qemu::boot_with_updates(plan, image, folder, device, updates, BOOT_LIMIT)?,
        };
        Ok((booted, false))
    })
}

/// [`boot_device`], which runs on until its console has a line for each pattern; also the patterns that none had.
///
/// # Errors
/// As [`boot_device`].
pub fn boot_until(
    built: &Built,
    device: &Path,
    until: &[String],
    steps: &Steps,
) -> Outcome<(BootRecord, Vec<String>)> {
    let log = device.join("console.log");
    let patterns = Pattern::all(until.iter().map(String::as_str));
    steps.step("boot", Some(&log), || {
        let (plan, image, folder) = (&built.plan, &built.image, &built.folder);
        Ok((qemu::boot_until(plan, image, folder, device, &patterns, BOOT_LIMIT)?, false))
    })
}

/// Boots the untouched image with probes on every wire; writes `boot.json` and `traffic.json`.
///
/// # Errors
/// As [`boot`]. An answer that the plan does not allow is a result, no error.
pub fn boot_network(
    built: &Built,
    login: Option<&Login>,
    steps: &Steps,
    stress: bool,
) -> Outcome<(BootRecord, TrafficRecord)> {
    let log = built.folder.join(qemu::CONSOLE_LOG);
    steps
        .step("boot and probe", Some(&log), || {
            let (mut boot, traffic) =
                qemu::boot_on_wires(&built.plan, &built.image, &built.folder, BOOT_LIMIT)?;
            boot.others = others(built)?;
            write_json_atomic(&built.folder.join("boot.json"), &boot)?;
            write_json_atomic(&built.folder.join("traffic.json"), &traffic)?;
            Ok(((boot, traffic), false))
        })
        .and_then(|(mut boot, traffic)| {
            second_device(built, &mut boot, steps)?;
            let traffic = with_machines(built, traffic, steps, stress)?;
            Ok((boot, with_events(built, traffic, login, steps)?))
        })
}

/// Provokes the security events of a product with a collector.
///
/// # Errors
/// As [`boot`], and that the product names no collector.
fn prove_events(built: &Built, login: Option<&Login>, steps: &Steps) -> Outcome<Vec<EventClass>> {
    let Some(facts) = &built.plan.network.collector else {
        let message =
            format!("`{}` names no collector, so that there is none to prove", built.plan.product.name);
        return Err(Failure::error(diag::ExitStatus::Input, "no-collector", message)
            .hint("name it below `logging` in the product file"));
    };
    let log = built.folder.join("boot/events/console.log");
    steps.step("prove the events", Some(&log), || {
        let folder = tempfile::tempdir().map_err(|e| Failure::io("make", &std::env::temp_dir(), &e))?;
        let identities = super::events::identities(built, facts, folder.path(), super::now())?;
        let classes =
            qemu::events::prove(&built.plan, &built.image, &built.folder, &identities, login, BOOT_LIMIT)?;
        Ok((classes, false))
    })
}

/// The same for `boot --events`: what was shown goes into `traffic.json`, beside what is there of this image.
///
/// # Errors
/// As [`prove_events`].
pub fn boot_events(built: &Built, login: Option<&Login>, steps: &Steps) -> Outcome<Vec<EventClass>> {
    let traffic = known_traffic(built)?.unwrap_or_else(|| TrafficRecord {
        schema_version: 1,
        disk_sha256: disk_sha256(&built.image),
        passed: true,
        summary: "no wire was probed".to_owned(),
        interfaces: Vec::new(),
        tunnels: Vec::new(),
        firewall: Vec::new(),
        events: Vec::new(),
    });
    Ok(with_events(built, traffic, login, steps)?.events)
}

/// What the events of a product with a collector showed, added to `traffic.json`.
fn with_events(
    built: &Built,
    mut traffic: TrafficRecord,
    login: Option<&Login>,
    steps: &Steps,
) -> Outcome<TrafficRecord> {
    if built.plan.network.collector.is_none() {
        return Ok(traffic);
    }
    let events = prove_events(built, login, steps)?;
    // A second run takes the place of the first, also where that one failed.
    if std::mem::replace(&mut traffic.events, events).iter().any(|class| is_bad(class.verdict)) {
        let classes = traffic.interfaces.iter().flat_map(|interface| &interface.classes);
        let verdicts =
            classes.map(|class| class.verdict).chain(traffic.tunnels.iter().map(|class| class.verdict));
        let mut verdicts = verdicts.chain(traffic.firewall.iter().map(|class| class.verdict));
        traffic.passed = !verdicts.any(is_bad) && traffic.interfaces.iter().all(|one| one.unasked.is_empty());
    }
    let count = |verdict| traffic.events.iter().filter(|class| class.verdict == verdict).count();
    let (pass, fail, open) =
        (count(TrafficVerdict::Pass), count(TrafficVerdict::Fail), count(TrafficVerdict::NotShown));
    traffic.passed &= fail == 0 && count(TrafficVerdict::NotRun) == 0;
    let before = traffic.summary.find(OF_EVENTS).unwrap_or(traffic.summary.len());
    traffic.summary.truncate(before);
    traffic.summary += &format!("{OF_EVENTS}{pass} pass, {fail} fail, {open} have no test here");
    write_json_atomic(&built.folder.join("traffic.json"), &traffic)?;
    Ok(traffic)
}

fn is_bad(verdict: TrafficVerdict) -> bool {
    matches!(verdict, TrafficVerdict::Fail | TrafficVerdict::NotRun)
}

/// What peer machines at the other end of the tunnels show, and unless left out the firewall under stress, added to
/// `traffic.json`. Both run at the same time: most of either is waiting.
fn with_machines(
    built: &Built,
    mut traffic: TrafficRecord,
    steps: &Steps,
    stress: bool,
) -> Outcome<TrafficRecord> {
    if built.plan.network.tunnels.is_empty() && !stress {
        return Ok(traffic);
    }
    let log = built.folder.join("boot/device/console.log");
    let title = if stress { "prove the tunnels and the firewall" } else { "prove the tunnels" };
    steps.step(title, Some(&log), || {
        let (tunnels, firewall) = std::thread::scope(|scope| {
            // Machines that boot at the same time starve each other: the second ones wait for the first.
            let (booted, first) = std::sync::mpsc::channel();
            let firewall = stress.then(|| {
                scope.spawn(move || {
                    let _ = first.recv();
                    qemu::prove_firewall(&built.plan, &built.image, &built.folder, BOOT_LIMIT)
                })
            });
            let tunnels = tunnels(built, &|| {
                let _ = booted.send(());
            });
            drop(booted);
            let panicked = || {
                let message = "the proof of the firewall ended with a panic".to_owned();
                Failure::error(diag::ExitStatus::Internal, "panic", message).hint("tell this to the project")
            };
            let firewall = firewall.map(|thread| thread.join().unwrap_or_else(|_| Err(panicked())));
            Ok::<_, Failure>((tunnels?, firewall.transpose()?.unwrap_or_default()))
        })?;
        traffic.tunnels = tunnels;
        traffic.firewall = firewall;
        let of_tunnels: Vec<_> = traffic.tunnels.iter().map(|class| class.verdict).collect();
        let of_firewall: Vec<_> = traffic.firewall.iter().map(|class| class.verdict).collect();
        for (what, verdicts) in [("of the tunnels", of_tunnels), ("of the firewall under stress", of_firewall)] {
            let count = |verdict| verdicts.iter().filter(|found| **found == verdict).count();
            let (fail, not_run) = (count(TrafficVerdict::Fail), count(TrafficVerdict::NotRun));
            traffic.passed &= fail == 0 && not_run == 0;
            let (pass, open) = (count(TrafficVerdict::Pass), count(TrafficVerdict::NotShown));
            if !verdicts.is_empty() {
                traffic.summary += &format!(
                    "; {what}, {pass} classes pass, {fail} fail, {not_run} could not run, {open} have no test yet"
                );
            }
        }
        write_json_atomic(&built.folder.join("traffic.json"), &traffic)?;
        Ok((traffic, false))
    })
}

/// How much gets through the tunnels, and through the firewall with and without rules; writes `throughput.json`.
///
/// # Errors
/// As [`boot`]; when nothing was transferred.
pub fn throughput(built: &Built, steps: &Steps) -> Outcome<Vec<qemu::Throughput>> {
    steps.step("measure", None, || {
        let folder = tempfile::tempdir().map_err(|e| Failure::io("make", &std::env::temp_dir(), &e))?;
        let identities = super::tunnels::identities(built, folder.path(), super::now(), BOOT_LIMIT)?;
        let (plan, image) = (&built.plan, &built.image);
        let found = qemu::measure_throughput(plan, image, &built.folder, &identities, BOOT_LIMIT)?;
        write_json_atomic(&built.folder.join("throughput.json"), &found)?;
        Ok((found, false))
    })
}

/// What each tunnel's peer shows; `up` is told when the device has booted.
fn tunnels(built: &Built, up: &dyn Fn()) -> Outcome<Vec<record::TunnelClass>> {
    if built.plan.network.tunnels.is_empty() {
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir().map_err(|e| Failure::io("make", &std::env::temp_dir(), &e))?;
    let identities = super::tunnels::identities(built, folder.path(), super::now(), BOOT_LIMIT)?;
    qemu::prove_tunnels(&built.plan, &built.image, &built.folder, &identities, BOOT_LIMIT, up)
}

/// Runs attacks (all, if none is named) and writes `attacks.json`.
///
/// # Errors
/// When QEMU is missing, or there is no attack of that name. An attack that gets through is a result.
pub fn attack(built: &Built, names: &[String], jobs: usize, steps: &Steps) -> Outcome<Vec<AttackResult>> {
    let mut chosen = select(library(built.product_folder.as_deref())?, names)?;
    // One that is named in full is tried, and says why it cannot be.
    chosen.retain(|attack| {
        names.contains(&attack.name) || attack.needs.iter().all(|need| need.is_met(&built.plan))
    });
    if chosen.is_empty() {
        let message = format!(
            "expected attacks on what this image has, found none by the names `{}`",
            names.join("`, `")
        );
        return Err(Failure::error(ExitStatus::Usage, "no-attack", message)
            .hint("`fastness attack --list` names those that would be run; one that is named in full is always tried"));
    }
    let results = steps.step("attack", Some(&built.folder.join("attacks")), || {
        let run = AttackRun {
            plan: &built.plan,
            record: &built.image,
            folder: &built.folder,
            attacks: &chosen,
            jobs,
        };
        let done = AtomicUsize::new(0);
        let results = run_attacks(&run, &|progress| {
            if let Progress::Finished(result) = progress {
                let count = done.fetch_add(1, Ordering::Relaxed) + 1;
                let word = result.outcome.words();
                steps.detail(&format!("{count} of {}, {}: {word}", chosen.len(), result.attack));
            }
        })?;
        Ok((results, false))
    })?;
    // A run of some attacks replaces their results and keeps the others' of the same image.
    let mut all = known_attacks(built)?;
    all.retain(|old| results.iter().all(|new| new.attack != old.attack));
    all.extend(results.iter().cloned());
    all.sort_by(|a, b| a.attack.cmp(&b.attack));
    let mark = mark(built);
    // In this order: results without their mark are not used.
    match fs::remove_file(&mark) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Failure::io("remove", &mark, &e)),
        _ => {}
    }
    write_json_atomic(&built.folder.join("attacks.json"), &all)?;
    write_atomic(&mark, attacked(&built.image).as_bytes())?;
    Ok(results)
}

/// `boot.json`, if it is of this image.
///
/// # Errors
/// When it is there and is no record of a boot.
pub fn known_boot(built: &Built) -> Outcome<Option<BootRecord>> {
    let path = built.folder.join("boot.json");
    if !path.is_file() {
        return Ok(None);
    }
    let boot: BootRecord = read_json(&path)?;
    let same =
        boot.disk_sha256 == disk_sha256(&built.image) && boot.uboot_sha256 == first_sha256(&built.image);
    Ok(same.then_some(boot))
}

/// `traffic.json`, if it is of this image.
///
/// # Errors
/// When it is there and is no record of traffic.
pub fn known_traffic(built: &Built) -> Outcome<Option<TrafficRecord>> {
    let path = built.folder.join("traffic.json");
    if !path.is_file() {
        return Ok(None);
    }
    let traffic: TrafficRecord = read_json(&path)?;
    Ok((traffic.disk_sha256 == disk_sha256(&built.image)).then_some(traffic))
}

/// `attacks.json`, if it is of this image; otherwise nothing.
///
/// # Errors
/// When it is there and is no list of attacks.
pub fn known_attacks(built: &Built) -> Outcome<Vec<AttackResult>> {
    let path = built.folder.join("attacks.json");
    if marked(built) != attacked(&built.image) || !path.is_file() {
        return Ok(Vec::new());
    }
    read_json(&path)
}

/// The records of the folder that are of another image.
///
/// # Errors
/// When one is there and is no such record.
pub fn of_other_images(built: &Built) -> Outcome<Vec<String>> {
    let there = |name: &str| built.folder.join(name).is_file();
    let mut others = Vec::new();
    if there("boot.json") && known_boot(built)?.is_none() {
        others.push("boot.json".to_owned());
    }
    if there("traffic.json") && known_traffic(built)?.is_none() {
        others.push("traffic.json".to_owned());
    }
    if there("attacks.json") && marked(built) != attacked(&built.image) {
        others.push("attacks.json".to_owned());
    }
    Ok(others)
}

/// What was attacked: the disk image, and the first program of the boot chain, which need not lie on it.
fn attacked(image: &record::ImageRecord) -> String {
    format!("{} {}", disk_sha256(image), first_sha256(image))
}

/// What `attacks.json` is of; empty where nothing says it.
fn marked(built: &Built) -> String {
    let bytes = read_regular(&mark(built)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The file that says what `attacks.json` is of.
fn mark(built: &Built) -> PathBuf {
    built.folder.join("attacks/disk.sha256")
}
