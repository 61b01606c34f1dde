//! The proof of the security events: each kind is provoked on the running device, and its record looked for
//! on the device and at a real collector.
//!
//! As in the proof of the tunnels, the device is started without its boot loader, from a copy of its disk with
//! an identity of this test. Its first process is a shell that adds one unit below `/run`: through it the
//! events are provoked. Root file system, services and configuration are the image's own.

mod calls;
mod chain;
mod clock;
mod condition;
mod cost;
mod disabled;
mod flood;
mod forget;
mod full;
mod hang;
mod killed;
mod kinds;
mod lockout;
mod look;
mod loud;
mod restart;
mod service;
mod session;
mod storm;
mod time;
mod tunnel;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diag::{Failure, Outcome};
use events::SealKey;
use record::{EventClass, ImageRecord, Role, TrafficVerdict};
use spec::plan::Plan;
use traffic::ntp::TimeServer;

use crate::boot::{absolute, file, watch};
use crate::files::{device_tree_of, kernel_of, scratch_in};
use crate::machine::{Direct, Machine, MachineSpec};
use crate::tunnels::{Tree, provision};
use chain::{collected, numbers};
use kinds::{
    AWAY, BACKUP, CALLED, KINDS, Kind, LOGIN, NOT_SHOWN, POLICY, Place, RESET, Records, SUDO, TIME, TUNNEL,
    UPDATE, judge,
};
use session::{Bench, Collector, Ports, networks, place};
use time::{Window, Windows};
use tunnel::TunnelPeer;
pub use tunnel::{Bad, TunnelIdentities, on_loopback, tunnel};

const BENCH: &str = include_str!("bench.sh");
const MINUTE: Duration = Duration::from_secs(60);

/// Identities for one test.
pub struct EventIdentities {
    /// Below `/var` of the device.
    pub device: Tree,
    /// The collector's.
    pub collector: Tree,
    /// One of the same authority with another name, which the device must refuse.
    pub stranger: Tree,
    /// The peers of a tunnel, where the proof has some ([`tunnel`]).
    pub tunnel: Option<TunnelIdentities>,
    /// The first key of the seal.
    pub seal: SealKey,
    /// Clock of the device, seconds since the Unix epoch.
    pub epoch: u64,
}

/// A person of the product who logs in.
pub struct Login {
    /// Account.
    pub user: String,
    /// File of the private key.
    pub key: PathBuf,
}

/// Starts the device and the collector, provokes every kind and judges the records.
///
/// # Errors
/// When the machine or the collector cannot be started or driven.
pub fn prove(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    identities: &EventIdentities,
    login: Option<&Login>,
    limit: Duration,
) -> Outcome<Vec<EventClass>> {
    let Some(facts) = &plan.network.collector else { return Ok(Vec::new()) };
    let logs = folder.join("boot/events");
    fs::create_dir_all(&logs).map_err(|e| Failure::io("make", &logs, &e))?;
    let scratch = scratch_in(&logs)?;
    let at = absolute(scratch.path())?;
    let (kernel, disk, script) = (at.join("Image"), at.join("disk.img"), at.join("bench"));
    let fit = folder.join(&file(record, Role::Fit)?.path);
    write(&kernel, &kernel_of(&fit)?)?;
    provision(plan, record, folder, &disk, &identities.device, &at)?;
    let mut bench = BENCH.as_bytes().to_vec();
    bench.resize(bench.len().next_multiple_of(512), b'\n');
    write(&script, &bench)?;

    let ports = Ports::free()?;
    let config = plan.outside.get(&format!("collector/{}/rsyslog.conf", facts.name));
    let config = config.map(String::as_str).unwrap_or_default();
    let mut collector = Collector::new(&at.join("collector"), config, ports.collector, facts.port)?;
    collector.start(&identities.collector)?;
    let image = absolute(&folder.join(&file(record, Role::Disk)?.path))?;
    let mut spec = MachineSpec::new(plan, Path::new(""), &image, &logs)?;
    spec.disk = disk;
    // It starts twice.
    spec.snapshot = false;
    spec.epoch = identities.epoch;
    spec.networks = networks(plan, facts, &ports)?;
    spec.tap = service::Service::of(plan).ok().map(|service| service.interface);
    let mut peer = None;
    if let Some(of) = &identities.tunnel {
        // It is there when the device asks: one that is not makes many records, as a plant's would that is away.
        peer = TunnelPeer::new(plan, &at.join("peer"))?;
        if let Some(peer) = &mut peer {
            peer.start(&of.good, &logs.join("peer.log"))?;
            let (index, ends) = peer.relay.clone();
            spec.relays.entry(index).or_default().push(ends);
        }
    }
    let time = Arc::new(TimeServer::default());
    if let Ok((index, ends)) = clock::neighbour(plan, &time) {
        spec.relays.entry(index).or_default().push(ends);
    }
    let append = format!("{} init=/bin/sh -- /dev/vdb", record.cmdline);
    let mut device_tree = None;
    if plan.board.crash_memory.is_some() {
        // The panic of its first start is to be found by the second; where, says the image's device tree.
        spec.memory = Some(at.join("memory"));
        let tree = device_tree.insert(at.join("board.dtb"));
        write(tree, &device_tree_of(&fit)?)?;
    }
    spec.direct = Some(Direct { kernel, append, second: Some(script), device_tree });
    let bench = start(&spec, limit)?;
    let mut proof = Proof {
        plan,
        record,
        spec,
        limit,
        bench,
        collector,
        peer,
        time,
        ahead: Duration::ZERO,
        ports,
        place: place(plan, facts),
        device: Records::new(),
        held: String::new(),
        windows: Windows::default(),
        out: Vec::new(),
    };
    let ran = proof.run(identities, login);
    // Also of a proof that did not get to its end: what came shows where it stood.
    let (_, lines) = proof.collector.records();
    write(&logs.join("collected.jsonl"), (lines.join("\n") + "\n").as_bytes())?;
    if let Err(failure) = ran {
        // What was shown until then is not lost, and what was not is not passed over. Ctrl-C ends all.
        exec::check_interrupt()?;
        if proof.out.is_empty() {
            return Err(failure);
        }
        let why = vec![failure.to_string()];
        proof.class("the proof gets to its end", TrafficVerdict::NotRun, Vec::new(), why);
    }
    for (kind, why) in NOT_SHOWN {
        proof.class(kind, TrafficVerdict::NotShown, Vec::new(), vec![(*why).to_owned()]);
    }
    Ok(proof.out)
}

/// The device with the bench, once its self-check has ended.
fn start(spec: &MachineSpec<'_>, limit: Duration) -> Outcome<Bench> {
    let mut machine = Machine::start(spec)?;
    watch(&mut machine, Instant::now() + limit * 3)?;
    Bench::ready(machine, limit)
}

struct Proof<'a> {
    plan: &'a Plan,
    record: &'a ImageRecord,
    spec: MachineSpec<'a>,
    limit: Duration,
    bench: Bench,
    collector: Collector,
    /// The tunnel's, where the proof has one.
    peer: Option<TunnelPeer>,
    /// The network's; it is away but where the proof says otherwise.
    time: Arc<TimeServer>,
    /// By how much the device's clock was put forward since it started.
    ahead: Duration,
    ports: Ports,
    place: Place,
    /// All that were seen on the device.
    device: Records,
    /// The lines that it had at the last look.
    held: String,
    /// When each kind was provoked.
    windows: Windows,
    out: Vec<EventClass>,
}

impl Proof<'_> {
    fn run(&mut self, identities: &EventIdentities, login: Option<&Login>) -> Outcome<()> {
        let person = self.plan.users.iter().find(|(_, user)| (1000..60_000).contains(&user.value.uid));
        let (name, uid) = person.map_or(("nobody", 65_534), |(name, user)| (name.as_str(), user.value.uid));
        let account = (name, uid);
        self.look()?;
        let source = self.follow()?;
        self.provoke(KINDS, account)?;
        let policy = match self.has("/usr/lib/fastness/exec-policy")? {
            true => Ok(self.provoke(POLICY, account)?),
            false => Err("the product has no policy of what may run: the layer `exec-policy` is not on"),
        };
        let called = match calls::command(&self.plan.board.architecture) {
            Some(_) if policy.is_ok() => {
                Err("the device runs no program of the proof: the layer `exec-policy` is on")
            }
            Some(command) => {
                self.bench.ask(&command, MINUTE)?;
                self.provoke(CALLED, account)?;
                Ok(())
            }
            None => Err("the proof has no program for this architecture that asks for it"),
        };
        let sudo = match self.has("/usr/bin/sudo")? {
            true => Ok(self.provoke(SUDO, account)?),
            false => Err("the image has no sudo: no file of it is setuid (check `exec.suid-inventory`)"),
        };
        let updates = match self.has("/usr/lib/fastness/update")? {
            true => Ok(self.request(UPDATE, account)?),
            false => Err("the product takes no updates: the layer `update` is not on"),
        };
        let backups = match self.has("/usr/lib/fastness/backup")? {
            true => Ok(self.request(BACKUP, account)?),
            false => Err("the product makes no backups: the layer `backup` is not on"),
        };
        let resets = match self.has("/usr/lib/fastness/reset")? {
            true => Ok(self.request(RESET, account)?),
            false => Err("the product has no factory reset: the layer `factory-reset` is not on"),
        };
        let tunnel = self.tunnel(identities.tunnel.as_ref())?;
        self.strangers(name)?;
        if let Some(login) = login {
            let key = ["-i".to_owned(), login.key.to_string_lossy().into_owned()];
            lockout::ssh(self.ports.ssh, &login.user, &key)?;
        }
        self.settle()?;
        self.judge_all(KINDS, account);
        self.judge_or(POLICY, account, policy);
        self.judge_or(CALLED, account, called);
        self.judge_or(SUDO, account, sudo);
        self.judge_or(UPDATE, account, updates);
        self.judge_or(BACKUP, account, backups);
        self.judge_or(RESET, account, resets);
        self.judge_or(TUNNEL, account, tunnel.as_ref().copied().map_err(String::as_str));
        self.times();
        let without = "needs a key of a user of the product: `--login USER=FILE`";
        let user = login.map_or(name, |login| &login.user);
        self.judge_or(LOGIN, (user, uid), login.map(|_| ()).ok_or(without));
        if source.is_ok() {
            // Behind all that is looked at by now: the log turns over while that is waited for.
            self.loses()?;
            self.settle()?;
        }
        self.judge_or(TIME, account, source.as_ref().copied().map_err(String::as_str));
        self.cost()?;
        self.away(identities)?;
        self.judge_all(AWAY, account);
        self.killed(account)?;
        self.disabled()?;
        self.flood(identities)?;
        self.loud(account)?;
        self.lockout(login, account)?;
        self.full_audit(account)?;
        self.full(identities, account)?;
        self.restart(identities, account)?;
        self.chains(identities);
        self.forget()?;
        self.hang()
    }

    /// Whether the device has a program.
    fn has(&mut self, program: &str) -> Outcome<bool> {
        let answer = self.bench.ask(&format!("[ ! -x {program} ] || echo yes"), MINUTE)?;
        Ok(answer.iter().any(|line| line == "yes"))
    }

    fn provoke(&mut self, kinds: &[Kind], (user, uid): (&str, u32)) -> Outcome<()> {
        for kind in kinds {
            if kind.command.is_empty() {
                self.windows.follows(kind.name);
                continue;
            }
            let (_, before) = self.run_so_far();
            self.bench.ask(&kinds::fill(kind.command, user, uid), MINUTE)?;
            self.windows.provoked(kind.name, (before, self.run_so_far().1));
        }
        // The device's log turns over: what is looked at late is gone.
        self.look()
    }

    /// Hands over requests: what is done about one begins some time after the command has ended.
    fn request(&mut self, kinds: &[Kind], (user, uid): (&str, u32)) -> Outcome<()> {
        for kind in kinds {
            self.windows.requested(kind.name, self.run_so_far().1);
            self.bench.ask(&kinds::fill(kind.command, user, uid), MINUTE)?;
        }
        Ok(())
    }

    /// The machine's clock at its start, and now with what the time server put it forward by. It goes by the host's, so that the device
    /// has no say in it.
    fn run_so_far(&self) -> Window {
        let ran = self.ahead + self.bench.machine.started.elapsed();
        (self.spec.epoch, self.spec.epoch + ran.as_secs())
    }

    /// The clock goes on over a start, as one with a battery does: the next start has what this one came to.
    fn clock_goes_on(&mut self) {
        self.spec.epoch = self.run_so_far().1;
        self.ahead = Duration::ZERO;
    }

    /// No record is from before the device's start, or from a time that has not come.
    fn times(&mut self) {
        let run = self.run_so_far();
        let (seen, problems) = time::of_run(self.device.values().map(|(event, _)| event), run);
        self.verdict("no record's time lies outside of the run, by the machine's clock", seen, problems);
    }

    /// Whoever is not let in: a packet to a closed port, a person without a key, nobody's account.
    fn strangers(&mut self, user: &str) -> Outcome<()> {
        // The connection to QEMU opens; behind it the device's firewall says nothing.
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.ports.closed));
        for user in [user, "stranger"] {
            // Refused or not is what the records say.
            lockout::ssh(self.ports.ssh, user, &[])?;
        }
        Ok(())
    }

    /// The collector goes; records wait; another one with a wrong name gets none; then it is back.
    fn away(&mut self, identities: &EventIdentities) -> Outcome<()> {
        self.collector.stop();
        let before = self.collector.records().1.len();
        for _ in 0..3 {
            self.bench.ask("nft list tables", MINUTE)?;
        }
        self.collector.start(&identities.stranger)?;
        std::thread::sleep(Duration::from_secs(25));
        let got = self.collector.records().1.len() - before;
        self.collector.stop();
        let problems = if got == 0 { vec![] } else { vec![format!("it got {got} records")] };
        self.verdict(
            "a collector with another name gets no record",
            vec![format!("{got} records")],
            problems,
        );
        self.collector.start(&identities.collector)?;
        self.settle()?;
        let (path, lines) = self.collector.records();
        let (seen, problems) = match collected(&path, &identities.seal) {
            Ok(chain) if chain.gaps.is_empty() => {
                let more = lines.len() - before;
                (
                    vec![format!(
                        "{more} records came when it was back, in order and without a gap; {} came again",
                        chain.repeats
                    )],
                    vec![],
                )
            }
            Ok(chain) => (vec![], vec![format!("records are missing: {}", numbers(&chain.gaps))]),
            Err(why) => (vec![], vec![why]),
        };
        self.verdict("records wait while the collector is away", seen, problems);
        Ok(())
    }

    fn judge_all(&mut self, kinds: &[Kind], account: (&str, u32)) {
        let collected: BTreeSet<String> = self.collector.records().1.into_iter().collect();
        for kind in kinds {
            let window = self.windows.of(kind.name, self.run_so_far());
            self.out.push(judge(kind, account, &self.place, window, &self.device, &collected));
        }
    }

    /// The kinds, or why they were not provoked.
    fn judge_or(&mut self, kinds: &[Kind], account: (&str, u32), provoked: Result<(), &str>) {
        match provoked {
            Ok(()) => self.judge_all(kinds, account),
            Err(why) => {
                for kind in kinds {
                    self.class(kind.name, TrafficVerdict::NotShown, Vec::new(), vec![why.to_owned()]);
                }
            }
        }
    }

    fn verdict(&mut self, kind: &str, seen: Vec<String>, problems: Vec<String>) {
        let verdict = if problems.is_empty() { TrafficVerdict::Pass } else { TrafficVerdict::Fail };
        self.class(kind, verdict, seen, problems);
    }

    fn class(&mut self, kind: &str, verdict: TrafficVerdict, seen: Vec<String>, problems: Vec<String>) {
        self.out.push(EventClass { kind: kind.to_owned(), r#type: String::new(), verdict, seen, problems });
    }
}

/// A parameter of a layer, as text.
pub(crate) fn parameter(plan: &Plan, layer: &str, name: &str) -> String {
    match plan.layer(layer).and_then(|facts| facts.parameters.get(name)) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    fs::write(path, bytes).map_err(|e| Failure::io("write", path, &e))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The plan of a shipped example.
    pub(crate) fn plan(name: &str) -> Plan {
        let product = format!("{}/../../examples/{name}/product.yaml", env!("CARGO_MANIFEST_DIR"));
        spec::load(Path::new(&product), None).unwrap_or_else(|failure| panic!("{failure}"))
    }
}
