//! Boots the untouched image and lets it prove itself.

use std::path::Path;
use std::time::{Duration, Instant};

use diag::{Failure, Outcome};
use record::{Artefact, BootRecord, ConsoleLine, ImageRecord, Milestone, Role};
use spec::plan::Plan;

use crate::console::Seen;
use crate::files::{clone_sparse, scratch_in, write_flash};
use crate::machine::{Machine, MachineSpec};
use crate::pattern::Pattern;
use crate::qmp::BY_WATCHDOG;
use crate::selfcheck::{self, Report};

/// Console log of a boot, relative to the output folder.
pub const CONSOLE_LOG: &str = "boot/console.log";
/// What ends a boot that does not succeed: a refusal, a panic, a prompt.
const ENDINGS: [&str; 5] =
    ["^resetting ...", "Kernel panic - not syncing", "^=> ", "reboot: ", "You are in emergency mode"];

/// The points of a boot, in order, with the lines that prove them.
#[must_use]
pub fn milestones(record: &ImageRecord) -> Vec<(&'static str, Vec<Pattern>)> {
    let signed = format!("Verifying Hash Integrity ... {}:{}+ OK", record.algorithm, record.key_name);
    let by_spl = format!("for config * {}:{}+ OK", record.algorithm, record.key_name);
    let spl = [("spl", Pattern::all([SPL])), ("u-boot-verified", Pattern::all([by_spl.as_str()]))];
    let spl = spl.into_iter().filter(|_| record.files.contains_key(&Role::Spl));
    let rest = [
        ("u-boot", Pattern::all([UBOOT])),
        ("fit-verified", Pattern::all([signed.as_str()])),
        ("kernel-started", Pattern::all(["^Starting kernel ..."])),
        ("kernel", Pattern::all(["Booting Linux on physical CPU", "Linux version ", "^[    "])),
        ("userspace", Pattern::all(USERSPACE)),
    ];
    spl.chain(rest).collect()
}

/// SPL's first line (U-Boot `common/spl/spl.c`, `preloader_console_init`).
pub(crate) const SPL: &str = "^U-Boot SPL 2";
/// U-Boot's first line.
pub(crate) const UBOOT: &str = "^U-Boot 2";

/// What is done when a device is ready, or is known not to become it: told which, with the machine.
pub(crate) type Ready<'r> = &'r mut dyn FnMut(bool, &mut Machine) -> Outcome<()>;

/// Lines that only user space writes.
pub(crate) const USERSPACE: [&str; 3] = ["systemd[1]: ", "Welcome to ", "Reached target "];

/// A record's file by role, as a path.
///
/// # Errors
/// When the record has no such file.
pub(crate) fn file(record: &ImageRecord, role: Role) -> Outcome<&Artefact> {
    record.files.get(&role).ok_or_else(|| {
        Failure::error(
            diag::ExitStatus::Input,
            "image-record",
            format!("the image record of `{}` names no {role:?} file", record.board),
        )
        .hint("assemble the image again with `fastness build`")
    })
}

/// Boots the image of a record in `folder` (the output folder) and waits for the end of its
/// self-check, at most `limit`.
///
/// Writes `boot/console.log`, `boot/selfcheck.log` and `boot/qemu.log`. The image is not changed.
///
/// # Errors
/// When the machine cannot be started or observed. A device that does not boot is no error but a
/// record that did not pass.
pub fn boot(plan: &Plan, record: &ImageRecord, folder: &Path, limit: Duration) -> Outcome<BootRecord> {
    let mut start = Machine::start;
    boot_with(plan, record, folder, limit, &mut |_| {}, &mut start, &mut |_, _| Ok(()))
}

/// Boots the image's boot loader on a device that lasts from one start to the next: the folder `device` holds its
/// `disk.img` (at the first start a copy of the image's) and the memory of its TPM, and gets the logs.
///
/// # Errors
/// As [`boot`], and when the folder cannot be written.
pub fn boot_device(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    device: &Path,
    limit: Duration,
) -> Outcome<BootRecord> {
    on_device(plan, record, folder, device, limit, &mut |_| Ok(()), &mut |_, _| Ok(()))
}

/// [`boot_device`] with something to do to its disk before, and when it is ready.
pub(crate) fn on_device(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    device: &Path,
    limit: Duration,
    before: &mut dyn FnMut(&Path) -> Outcome<()>,
    ready: Ready<'_>,
) -> Outcome<BootRecord> {
    let device = absolute(device)?;
    let (disk, tpm) = (device.join("disk.img"), device.join("tpm"));
    std::fs::create_dir_all(&tpm).map_err(|e| Failure::io("make", &tpm, &e))?;
    if !disk.exists() {
        // Under its own name only when it is whole.
        let part = device.join("disk.part");
        clone_sparse(&folder.join(&file(record, Role::Disk)?.path), &part)?;
        std::fs::rename(&part, &disk).map_err(|e| Failure::io("write", &disk, &e))?;
    }
    before(&disk)?;
    let mut change = |spec: &mut MachineSpec<'_>| {
        spec.disk.clone_from(&disk);
        spec.snapshot = false;
        spec.tpm_state = Some(tpm.clone());
        spec.logs.clone_from(&device);
    };
    let mut start = Machine::start;
    let mut boot = boot_with(plan, record, folder, limit, &mut change, &mut start, ready)?;
    boot.console_log = device.join("console.log").to_string_lossy().into_owned();
    Ok(boot)
}

/// [`boot`] with a changed machine, a start of its own, and something to do when the device is ready.
pub(crate) fn boot_with(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    limit: Duration,
    change: &mut dyn FnMut(&mut MachineSpec<'_>),
    start: &mut dyn FnMut(&MachineSpec<'_>) -> Outcome<Machine>,
    ready: Ready<'_>,
) -> Outcome<BootRecord> {
    // First: nothing is written for a board that cannot be started here.
    crate::machine::facts(plan)?;
    let logs = folder.join("boot");
    std::fs::create_dir_all(&logs).map_err(|e| Failure::io("make", &logs, &e))?;
    let scratch = scratch_in(&logs)?;
    let first = if record.files.contains_key(&Role::Spl) { Role::Spl } else { Role::Uboot };
    let (disk, uboot) = (file(record, Role::Disk)?, file(record, first)?);
    let flash = scratch.path().join("flash.img");
    let uboot_path = folder.join(&uboot.path);
    let code = std::fs::read(&uboot_path).map_err(|e| Failure::io("read", &uboot_path, &e))?;
    write_flash(&flash, &code, plan.board.boot.flash_bytes)?;
    let disk_path = absolute(&folder.join(&disk.path))?;
    let mut spec = MachineSpec::new(plan, &absolute(&flash)?, &disk_path, &logs)?;
    change(&mut spec);
    let mut machine = start(&spec)?;
    let ending = watch(&mut machine, machine_deadline(limit))?;
    let ms = machine.ms();
    ready(came_to_end(&ending), &mut machine)?;
    let reset = machine.end();
    let console = machine.console.lines();
    let report = report(&machine);
    let timeline = timeline(record, &console, &report, &machine.port.lines());
    let problem = judge(plan, record, &timeline, &report, &ending, reset.as_deref(), limit);
    Ok(BootRecord {
        schema_version: 1,
        disk_sha256: disk.sha256.clone(),
        uboot_sha256: uboot.sha256.clone(),
        passed: problem.is_none(),
        summary: problem.unwrap_or_else(|| {
            let (seconds, tenths) = (ms / 1000, ms % 1000 / 100);
            format!("booted, and all {} self-checks passed after {seconds}.{tenths} s", report.events.len())
        }),
        timeline,
        identity: report.identity,
        others: Vec::new(),
        selfcheck: report.events.into_iter().chain(report.end).collect(),
        console_log: CONSOLE_LOG.to_owned(),
        ms,
    })
}

fn machine_deadline(limit: Duration) -> Instant {
    Instant::now() + limit
}

pub(crate) fn absolute(path: &Path) -> Outcome<std::path::PathBuf> {
    std::path::absolute(path).map_err(|e| Failure::io("find", path, &e))
}

/// The report from the port; from the console when the port stayed silent.
pub(crate) fn report(machine: &Machine) -> Report {
    let report = Report::from_lines(&machine.port.lines());
    if report.events.is_empty() && report.end.is_none() {
        return Report::from_lines(&machine.console.lines());
    }
    report
}

/// Waits for the self-check's end on the port, or for the console to show that it will not come.
pub(crate) fn watch(machine: &mut Machine, deadline: Instant) -> Outcome<Seen> {
    let end = Pattern::all([selfcheck::ENDED]);
    let endings = Pattern::all(ENDINGS.into_iter().chain([selfcheck::ENDED]));
    loop {
        // The two lines are watched in turn; each look lasts until something new comes, at most 50 ms.
        let slice = |ms| (Instant::now() + Duration::from_millis(ms)).min(deadline);
        if let seen @ Seen::Line { .. } = machine.port.wait_for(&end, slice(50))? {
            return Ok(seen);
        }
        match machine.console.wait_for(&endings, slice(1))? {
            Seen::TimedOut if Instant::now() < deadline => {}
            other => return Ok(other),
        }
    }
}

/// Whether what [`watch`] saw is the self-check's whole last line.
pub(crate) fn came_to_end(seen: &Seen) -> bool {
    matches!(seen, Seen::Line { line, .. } if Pattern::new(selfcheck::ENDED).matches(&line.text))
}

fn timeline(
    record: &ImageRecord,
    console: &[ConsoleLine],
    report: &Report,
    port: &[ConsoleLine],
) -> Vec<Milestone> {
    let mut from = 0;
    let mut out = Vec::new();
    for (name, patterns) in milestones(record) {
        // Each point must come after the one before it.
        let found = console[from..].iter().position(|l| patterns.iter().any(|p| p.matches(&l.text)));
        if let Some(at) = found {
            from += at;
            out.push(Milestone { name: name.to_owned(), line: console[from].clone() });
        }
    }
    if report.end.is_some() {
        let end = Pattern::new(selfcheck::ENDED);
        if let Some(line) = port.iter().chain(console).find(|line| end.matches(&line.text)) {
            out.push(Milestone { name: "selfcheck".to_owned(), line: line.clone() });
        }
    }
    out
}

/// Why the boot did not pass, or nothing.
fn judge(
    plan: &Plan,
    record: &ImageRecord,
    timeline: &[Milestone],
    report: &Report,
    ending: &Seen,
    reset: Option<&str>,
    limit: Duration,
) -> Option<String> {
    let reached = |name: &str| timeline.iter().any(|milestone| milestone.name == name);
    let last = timeline.last().map_or("nothing", |milestone| milestone.name.as_str());
    if report.end.is_none() {
        return Some(match ending {
            Seen::Line { line, .. } => {
                format!("it got as far as `{last}`, then the console says `{}`", line.text)
            }
            Seen::Closed if reset == Some(BY_WATCHDOG) => {
                let watchdog = plan.board.watchdog.as_ref();
                let driver = watchdog.map_or("which the board does not name", |watchdog| &watchdog.driver);
                format!(
                    "it got as far as `{last}`, then its watchdog ({driver}) reset it: nothing on it had given a \
                     sign of life in time. The watchdog counts this computer's seconds: where something else \
                     keeps the computer busy, start it again with nothing beside it"
                )
            }
            Seen::Closed => format!(
                "it got as far as `{last}`, then the machine ended ({})",
                reset.unwrap_or("QEMU gave no reason")
            ),
            Seen::TimedOut => {
                format!("it got as far as `{last}` and did not finish within {} s", limit.as_secs())
            }
        });
    }
    // A boot without the proof of verification proves nothing about the chain.
    if !reached("fit-verified") {
        return Some(format!(
            "it booted, but U-Boot never said that it verified the key `{}` with `{}`",
            record.key_name, record.algorithm
        ));
    }
    let problems = report.problems(selfcheck::expected(plan));
    if problems.is_empty() { None } else { Some(problems.join("; ")) }
}

#[cfg(test)]
#[path = "boot_tests.rs"]
mod tests;
