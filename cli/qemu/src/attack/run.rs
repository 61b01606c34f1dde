//! Runs attacks side by side, each on a machine and a copy of its own.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use record::{AttackOutcome, AttackResult, ImageRecord, Role};
use spec::plan::Plan;

use super::classify::{Ended, Observation, classify, kernel_evidence};
use super::definition::{Attack, Ending, Expect, Stage};
use crate::boot::{self, USERSPACE, absolute, file};
use crate::console::Seen;
use crate::files::{clone_sparse, scratch_in, write_flash};
use crate::machine::{Machine, MachineSpec};
use crate::mutate::{Case, Mutation, Subject, TpmChange, Verifier, behind_spl, unfit};
use crate::pattern::Pattern;
use crate::{selfcheck, tpm};

/// How long an attack may take that must end in U-Boot (about a second on an idle host).
const UBOOT_LIMIT: Duration = Duration::from_secs(45);
/// How long one may take on a machine whose disk is a card on SPI: U-Boot reads two slots of it.
const SLOW_LIMIT: Duration = Duration::from_secs(400);
/// How long one may take that starts a kernel.
const KERNEL_LIMIT: Duration = Duration::from_secs(180);
/// How long a device may take to its self-check's end at its first start.
const FIRST_START_LIMIT: Duration = Duration::from_secs(300);
/// Pause between keys that are typed all the time.
const KEY_PAUSE: Duration = Duration::from_millis(10);
/// Name of the control that is always run.
const CONTROL: &str = "control-untouched";

/// What to attack.
#[derive(Clone, Copy, Debug)]
pub struct AttackRun<'a> {
    /// The plan of the image.
    pub plan: &'a Plan,
    /// The image.
    pub record: &'a ImageRecord,
    /// The output folder, to which the record's paths are relative.
    pub folder: &'a Path,
    /// The attacks, from [`super::library()`] and [`super::select`].
    pub attacks: &'a [Attack],
    /// Machines at the same time; each takes about one processor.
    pub jobs: usize,
}

/// What is happening, for whoever shows it. Called from several threads.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// The machine of an attack starts.
    Started(&'a str),
    /// An attack has its result.
    Finished(&'a AttackResult),
}

/// Runs the attacks and, beside them, the untouched image as a control: without that control's
/// success no result is trusted. Results are in the order of the attacks.
///
/// Writes `attacks/NAME/console.log`, `selfcheck.log` and `qemu.log`. The image is not changed.
///
/// # Errors
/// When the image cannot be read, the board has no machine, or a signal asks to stop. What goes
/// wrong with one attack is its own, inconclusive, result.
pub fn run_attacks(
    run: &AttackRun<'_>,
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Outcome<Vec<AttackResult>> {
    let facts = crate::machine::facts(run.plan)?;
    exec::find(&exec::tool(&facts.program)?)?;
    let open = |of| Subject::open(run.plan, run.record, run.folder, of);
    let subject = open(Verifier::UBoot)?;
    let boot_loader = run.plan.board.boot.spl.as_ref().map(|_| open(Verifier::Spl)).transpose()?;
    let shared = scratch_in(run.folder)?;
    // One flash for all: machines read it only.
    let flash = absolute(&shared.path().join("flash.img"))?;
    let first = boot_loader.as_ref().unwrap_or(&subject);
    write_flash(&flash, &first.uboot, run.plan.board.boot.flash_bytes)?;
    let bench = Bench {
        run,
        subject: &subject,
        boot_loader: boot_loader.as_ref(),
        flash: &flash,
        shared: shared.path(),
    };

    let control = control();
    let queue: Mutex<VecDeque<(usize, &Attack)>> =
        Mutex::new(std::iter::once((0, &control)).chain((1..).zip(run.attacks)).collect());
    let results: Mutex<Vec<(usize, Outcome<AttackResult>)>> = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..run.jobs.clamp(1, 64) {
            scope.spawn(|| {
                while let Some((index, attack)) = next() {
                    if exec::interrupted() {
                        break;
                    }
                    progress(Progress::Started(&attack.name));
                    let result = bench.attack(attack);
                    if let (Ok(result), 1..) = (&result, index) {
                        progress(Progress::Finished(result));
                    }
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    exec::check_interrupt()?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    let results = results.into_iter().map(|(_, result)| result).collect::<Outcome<Vec<_>>>()?;
    Ok(trust(results))
}

/// Takes the control from the front; if it failed, no other result says anything.
fn trust(mut results: Vec<AttackResult>) -> Vec<AttackResult> {
    if results.is_empty() {
        return results;
    }
    let control = results.remove(0);
    if control.outcome != AttackOutcome::Control {
        for result in results.iter_mut().filter(|r| r.outcome.held()) {
            result.outcome = AttackOutcome::Inconclusive;
            result.reason = format!(
                "the untouched image does not boot in this harness ({}), so that its refusal proves nothing: {}",
                control.reason, result.reason
            );
        }
    }
    results
}

/// The untouched image, through the same copy, slots and machine as every attack.
fn control() -> Attack {
    Attack {
        name: CONTROL.to_owned(),
        title: "the untouched image boots".to_owned(),
        threat: "none".to_owned(),
        source: "the harness itself".to_owned(),
        requirements: Vec::new(),
        needs: Vec::new(),
        mutations: vec![Mutation::Nothing {}],
        expect: Expect {
            stage: Stage::Userspace,
            refusal: Vec::new(),
            never: Vec::new(),
            ends_with: Vec::new(),
            boots: Pattern::all(["{algorithm}:{key}+ OK", "^Starting kernel"]),
            control: true,
        },
        defined_at: "attacks".to_owned(),
    }
}

struct Bench<'a> {
    run: &'a AttackRun<'a>,
    subject: &'a Subject,
    /// The same image as SPL sees it.
    boot_loader: Option<&'a Subject>,
    flash: &'a Path,
    shared: &'a Path,
}

impl Bench<'_> {
    /// What an attack changes: the FIT that SPL verifies, or the one that U-Boot does.
    fn subject(&self, attack: &Attack) -> &Subject {
        self.boot_loader.filter(|_| attack.expect.stage == Stage::Spl).unwrap_or(self.subject)
    }

    /// One attack's result; only a signal is an error.
    fn attack(&self, attack: &Attack) -> Outcome<AttackResult> {
        let started = Instant::now();
        let record = self.run.record;
        let signing = &self.run.plan.signing;
        let expect = attack.expect.for_image(&record.key_name, signing, &self.subject(attack).names);
        let expected: &[Pattern] = if expect.must_boot() { &expect.boots } else { &expect.refusal };
        let mut result = AttackResult {
            attack: attack.name.clone(),
            title: attack.title.clone(),
            requirements: attack.requirements.clone(),
            mutation: String::new(),
            expected_stage: expect.stage.name().to_owned(),
            expected_line: expected.iter().map(Pattern::text).collect::<Vec<_>>().join(" | "),
            outcome: AttackOutcome::Inconclusive,
            reason: String::new(),
            proof: None,
            evidence: Vec::new(),
            console_log: format!("attacks/{}/console.log", attack.name),
            ms: 0,
        };
        match self.observe(attack, &expect, &mut result.mutation) {
            Ok(seen) => {
                let judgement = classify(attack, &expect, &seen);
                result.outcome = judgement.outcome;
                result.reason = judgement.reason;
                result.proof = judgement.proof;
                result.evidence = judgement.evidence;
            }
            Err(failure) if failure.status == ExitStatus::Interrupted => return Err(failure),
            Err(failure) => {
                let why: Vec<&str> = failure.diagnostics.iter().map(|d| d.message.as_str()).collect();
                result.reason = format!("the harness broke: {}", why.join("; "));
            }
        }
        result.ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(result)
    }

    fn observe(&self, attack: &Attack, expect: &Expect, words: &mut String) -> Outcome<Observation> {
        let logs = absolute(&self.run.folder.join("attacks").join(&attack.name))?;
        std::fs::create_dir_all(&logs).map_err(|e| Failure::io("make", &logs, &e))?;
        // Everything that is large goes away with this folder.
        let scratch = tempfile::tempdir_in(self.shared).map_err(|e| Failure::io("make", self.shared, &e))?;
        let scratch = absolute(scratch.path()).map(|path| (path, scratch))?;
        let (folder, _guard) = &scratch;
        let disk = folder.join("disk.img");
        let copy = clone_sparse(&self.run.folder.join(&file(self.run.record, Role::Disk)?.path), &disk)?;
        let tpm_state = folder.join("tpm");
        std::fs::create_dir(&tpm_state).map_err(|e| Failure::io("make", &tpm_state, &e))?;
        let sealed = attack.mutations.contains(&Mutation::SealedDevice {});
        if sealed {
            self.first_start(&disk, &tpm_state, &logs.join("first-start"))?;
        }
        if expect.stage == Stage::Spl && self.boot_loader.is_none() {
            return Err(unfit("no SPL verifies U-Boot on this board"));
        }
        let mut case = Case::new(self.subject(attack), copy);
        *words = case.apply(&attack.mutations)?;
        if let (Some(uboot), Some(spl), true) = (&case.uboot, self.boot_loader, expect.stage != Stage::Spl) {
            // Out of reach for an attacker, too: SPL has to let the changed U-Boot through.
            case.uboot = Some(behind_spl(&mut case.disk, spl, uboot)?);
        }
        let mut spec = MachineSpec::new(self.run.plan, self.flash, &disk, &logs)?;
        // The copy is thrown away, it needs no overlay.
        spec.snapshot = false;
        let bank = self.run.plan.board.boot.flash_bytes;
        if let Some(uboot) = &case.uboot {
            spec.flash = folder.join("flash.img");
            write_flash(&spec.flash, uboot, bank)?;
        }
        if let Some(environment) = &case.environment {
            let path = folder.join("environment.img");
            write_flash(&path, environment, bank)?;
            spec.environment = Some(path);
        }
        match case.tpm {
            Some(TpmChange::Counter(counter)) => {
                tpm::prepare(&tpm_state, counter, &logs.join("tpm.log"))?;
                spec.tpm_state = Some(tpm_state);
            }
            Some(TpmChange::Removed) => spec.without_tpm = true,
            // A machine without a memory for it gets a new one.
            Some(TpmChange::Exchanged) => {}
            None if sealed => spec.tpm_state = Some(tpm_state),
            None => {}
        }
        let keys = std::mem::take(&mut case.keys);
        drop(case);
        let mut machine = Machine::start(&spec)?;
        let slow = self.run.plan.board.qemu.as_ref().is_some_and(|qemu| qemu.on_board);
        let timed_out = watch(&mut machine, expect, &keys, slow)?;
        let ms = machine.ms();
        let reason = machine.end();
        Ok(Observation {
            console: machine.console.lines(),
            selfcheck_spoke: !machine.port.lines().is_empty(),
            ended: match (timed_out, reason) {
                (_, Some(reason)) => Ended::Guest(reason),
                (Some(true), None) => Ended::TimedOut(ms),
                (Some(false), None) => Ended::Us,
                (None, None) => Ended::Vanished,
            },
        })
    }
}

impl Bench<'_> {
    /// The untouched image's first start on that disk and TPM: it ends when the device has proved itself.
    fn first_start(&self, disk: &Path, tpm: &Path, logs: &Path) -> Outcome<()> {
        std::fs::create_dir_all(logs).map_err(|e| Failure::io("make", logs, &e))?;
        let mut spec = MachineSpec::new(self.run.plan, self.flash, disk, logs)?;
        spec.snapshot = false;
        spec.tpm_state = Some(tpm.to_owned());
        let mut machine = Machine::start(&spec)?;
        boot::watch(&mut machine, Instant::now() + FIRST_START_LIMIT)?;
        machine.end();
        let problems = boot::report(&machine).problems(selfcheck::expected(self.run.plan));
        if problems.is_empty() {
            return Ok(());
        }
        let message = format!("the device's first start did not succeed: {}", problems.join("; "));
        Err(Failure::error(ExitStatus::Environment, "first-start", message)
            .hint(format!("its console is in `{}`", logs.display())))
    }
}

/// Waits until the console has decided: `true` for a deadline that passed, `false` for evidence,
/// nothing when the machine ended.
fn watch(machine: &mut Machine, expect: &Expect, keys: &[u8], slow: bool) -> Outcome<Option<bool>> {
    let limit = match expect.stage {
        Stage::Spl => UBOOT_LIMIT,
        _ if slow => SLOW_LIMIT,
        Stage::UBoot => UBOOT_LIMIT,
        Stage::Kernel | Stage::Userspace => KERNEL_LIMIT,
    };
    let deadline = machine.started + limit;
    for goal in goals(expect) {
        // A forbidden line or an ending decides, whatever is still to come.
        let endings = [Ending::Halt, Ending::Reset, Ending::Panic, Ending::Restart].map(Ending::pattern);
        let stops: Vec<Pattern> = expect.never.iter().cloned().chain(endings.clone()).collect();
        let all: Vec<Pattern> = goal.iter().cloned().chain(stops).collect();
        match typing(machine, &all, keys, deadline)? {
            Seen::TimedOut => return Ok(Some(true)),
            Seen::Closed => return Ok(None),
            Seen::Line { pattern, .. } if pattern < goal.len() => {}
            Seen::Line { line, .. } => {
                if Ending::Reset.pattern().matches(&line.text) {
                    // The reset itself follows the words at once.
                    let soon = Instant::now() + Duration::from_secs(10);
                    typing(machine, &[], keys, soon)?;
                }
                return Ok(Some(false));
            }
        }
    }
    Ok(Some(false))
}

/// What is waited for, one after the other. For a refusal: only an ending or a forbidden line.
fn goals(expect: &Expect) -> Vec<Vec<Pattern>> {
    if !expect.must_boot() {
        return vec![Vec::new()];
    }
    let stage = match expect.stage {
        Stage::Spl | Stage::UBoot => None,
        Stage::Kernel => Some(kernel_evidence()),
        Stage::Userspace => Some(Pattern::all(USERSPACE)),
    };
    expect.boots.iter().map(|pattern| vec![pattern.clone()]).chain(stage).collect()
}

/// Waits for a line while keys are typed.
fn typing(machine: &mut Machine, patterns: &[Pattern], keys: &[u8], deadline: Instant) -> Outcome<Seen> {
    if keys.is_empty() {
        return machine.console.wait_for(patterns, deadline);
    }
    loop {
        machine.console.send(keys);
        match machine.console.wait_for(patterns, (Instant::now() + KEY_PAUSE).min(deadline))? {
            Seen::TimedOut if Instant::now() < deadline => {}
            other => return Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, outcome: AttackOutcome) -> AttackResult {
        AttackResult {
            attack: name.into(),
            title: String::new(),
            requirements: Vec::new(),
            mutation: String::new(),
            expected_stage: "u-boot".into(),
            expected_line: String::new(),
            outcome,
            reason: "because".into(),
            proof: None,
            evidence: Vec::new(),
            console_log: String::new(),
            ms: 1,
        }
    }

    #[test]
    fn without_the_control_no_refusal_is_trusted_but_a_break_is() {
        use AttackOutcome::{Control, GotThrough, Inconclusive, Refused};
        let run = |control| {
            let all = [result("control", control), result("a", Refused), result("b", GotThrough)];
            trust(all.to_vec()).into_iter().map(|r| (r.outcome, r.reason)).collect::<Vec<_>>()
        };
        assert_eq!(run(Control)[0], (Refused, "because".to_owned()));
        let broken = run(Inconclusive);
        assert_eq!((broken[0].0, broken[1].0), (Inconclusive, GotThrough));
        assert!(broken[0].1.starts_with("the untouched image does not boot"), "{}", broken[0].1);
    }

    #[test]
    fn the_control_has_to_reach_user_space() {
        let signing = crate::attack::definition::plain_signing();
        let goals = goals(&control().expect.for_image("dev", &signing, &crate::mutate::Names::default()));
        assert_eq!(goals.len(), 3);
        assert_eq!(goals[0][0].text(), "sha256,rsa3072:dev+ OK");
        assert!(goals[2].iter().any(|p| p.matches("systemd[1]: x")));
    }
}
