//! The firewall under stress: the device with a shell of ours beside its services, and a packet engine on its wire.
//!
//! The root file system is read only and verified, so that no file of it can be broken from outside. Instead, the
//! first process is a shell that lays a broken file over the ruleset, adds a unit with a root shell on the console,
//! and then becomes the image's own systemd. Kernel, command line, services and all other files are the image's.
//! What the untouched image does is shown elsewhere ([`crate::wires`]).

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diag::{Failure, Outcome};
use record::{FirewallClass, ImageRecord, Role, TrafficVerdict};
use spec::plan::Plan;
use traffic::engine::{Engine, choose};
use traffic::{Wire, sweep};

use crate::boot::{absolute, file};
use crate::files::{kernel_of, scratch_in};
use crate::machine::{Direct, Machine, MachineSpec, wire_sockets};
use crate::peer::{self, Peer};

const MINUTE: Duration = Duration::from_secs(60);
/// What starts our script, which the second disk holds, as the first process.
pub(crate) const WITH_SHELL: &str = " init=/bin/sh -- /dev/vdb";
/// What the device's first process becomes.
const INIT: &str = "/sbin/init";
/// Where the ruleset is.
const RULESET: &str = "/etc/nftables.conf";
/// Segments of strangers that the table of connections is tried with.
const FLOOD: u32 = 20_000;
/// Size that the table of connections is shrunk to.
const TABLE: u16 = 16;
/// Lays an empty file over the ruleset.
const COVER: &str = ": > /run/proof/broken; mount --bind /run/proof/broken /etc/nftables.conf\n";
/// Broken rulesets: name, and what writes one to `/run/proof/broken`.
const BROKEN: [(&str, &str); 3] = [
    ("garbage", "echo 'table inet fastness { chain input {' > /run/proof/broken"),
    ("cut", "head -c 600 /etc/nftables.conf > /run/proof/broken"),
    ("empty", ": > /run/proof/broken"),
];

/// All of it, on two machines at the same time.
///
/// # Errors
/// When a machine cannot be started or driven.
pub fn prove(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    limit: Duration,
) -> Outcome<Vec<FirewallClass>> {
    let names: Vec<String> = plan.board.interfaces.iter().map(|i| i.to_string()).collect();
    let Some(index) = choose(&plan.network, &names) else {
        let why = "no interface has an IPv4 address".to_owned();
        return Ok(vec![class("reload", TrafficVerdict::NotShown, Vec::new(), vec![why])]);
    };
    if let Some(why) = without_a_shell(plan) {
        return Ok(vec![class("reload", TrafficVerdict::NotShown, Vec::new(), vec![why])]);
    }
    let bench = Bench { plan, record, folder, limit, names: &names, index };
    std::thread::scope(|scope| {
        let broken = scope.spawn(|| bench.broken_at_boot());
        let mut out = bench.stress()?;
        let panicked = || {
            Failure::error(
                diag::ExitStatus::Internal,
                "panic",
                "the proof of the firewall ended with a panic".to_owned(),
            )
            .hint("tell this to the project")
        };
        out.push(broken.join().unwrap_or_else(|_| Err(panicked()))?);
        Ok(out)
    })
}

/// Why a machine of this board starts no shell: what it runs is on a second disk.
fn without_a_shell(plan: &Plan) -> Option<String> {
    let on_board = plan.board.qemu.as_ref().is_some_and(|qemu| qemu.on_board);
    on_board.then(|| {
        format!(
            "the machine of `{}` has one disk, its card: the proof's shell, which is on a second one, starts nowhere",
            plan.board.name
        )
    })
}

struct Bench<'a> {
    plan: &'a Plan,
    record: &'a ImageRecord,
    folder: &'a Path,
    limit: Duration,
    names: &'a [String],
    /// Of the interface that is asked.
    index: usize,
}

impl<'a> Bench<'a> {
    /// The device with a shell, and the engine on its wire; `broken` is laid over the ruleset before systemd starts.
    fn start(&self, name: &str, broken: bool) -> Outcome<(Machine, Engine<'a>, tempfile::TempDir)> {
        let logs = self.folder.join(format!("boot/{name}"));
        fs::create_dir_all(&logs).map_err(|e| Failure::io("make", &logs, &e))?;
        let scratch = scratch_in(&logs)?;
        let at = absolute(scratch.path())?;
        let (kernel, second) = (at.join("Image"), at.join("shell.script"));
        let fit = self.folder.join(&file(self.record, Role::Fit)?.path);
        fs::write(&kernel, kernel_of(&fit)?).map_err(|e| Failure::io("write", &kernel, &e))?;
        peer::write(&second, &script(if broken { COVER } else { "" }, true))?;
        let image = absolute(&self.folder.join(&file(self.record, Role::Disk)?.path))?;
        let mut spec = MachineSpec::new(self.plan, Path::new(""), &image, &logs)?;
        spec.wires = true;
        let append = self.record.cmdline.clone() + WITH_SHELL;
        spec.direct = Some(Direct { kernel, append, second: Some(second), device_tree: None });
        let interface = &self.names[self.index];
        let mut wire = None;
        let machine = Machine::start_with(&spec, |sockets| {
            let (near, far) = wire_sockets(self.index);
            let own = sweep::addresses(&self.plan.network, interface).iter().map(|a| a.address).collect();
            let path = self.folder.join(format!("boot/{name}.pcap"));
            let bound = Wire::bind(&sockets.join(far), sockets.join(near), &path, own);
            wire = Some(bound.map_err(|e| Failure::io("record the wire in", &path, &e))?);
            Ok(())
        })?;
        let mac = [2, 0, 0, 0, 0, u8::try_from(self.index).unwrap_or(u8::MAX)];
        let engine = wire.and_then(|wire| Engine::new(wire, &self.plan.network, interface, mac));
        let engine = engine.ok_or_else(|| {
            Failure::error(
                diag::ExitStatus::Internal,
                "no-wire",
                format!("`{interface}` was chosen and has no IPv4 address"),
            )
            .hint("tell this to the project")
        })?;
        Ok((machine, engine, scratch))
    }

    /// A ruleset that says nothing, from the first moment on: no network comes up.
    fn broken_at_boot(&self) -> Outcome<FirewallClass> {
        let (machine, mut engine, _scratch) = self.start("broken", true)?;
        let stop = AtomicBool::new(false);
        let (mut shell, states, heard) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let answers = engine.stranger_until(&stop)?;
                Ok::<_, std::io::Error>((answers, engine.served()?, engine.hears()?))
            });
            let told = (|| {
                let mut shell = Peer::ready(machine, self.limit)?;
                shell.ask(UP, self.limit)?;
                let states =
                    shell.ask("systemctl is-active nftables.service systemd-networkd.service", MINUTE)?;
                Ok::<_, Failure>((shell, states))
            })();
            stop.store(true, Ordering::Release);
            let heard = asked.join().unwrap_or_else(|_| Err(std::io::Error::other("the engine panicked")));
            told.map(|(shell, states)| (shell, states, heard))
        })?;
        let ((rounds, mut problems), served, hears) = heard.map_err(|e| self.torn("broken", &e))?;
        let asked = engine.meanwhile(|| {
            let links =
                shell.ask("for i in /sys/class/net/*/flags; do echo \"$i $(cat $i)\"; done", MINUTE)?;
            let filters = shell.ask("nft list ruleset | grep -c 'policy drop'", MINUTE)?;
            Ok::<_, Failure>((links, filters))
        });
        let (links, filters) = asked.map_err(|e| self.torn("broken", &e))??;
        if served {
            problems.push("the service answers though no ruleset was loaded".to_owned());
        }
        if states.iter().any(|state| state == "active") {
            problems.push(format!("expected neither firewall nor network, found `{}`", states.join("`, `")));
        }
        engine.finish().map_err(|e| self.torn("broken", &e))?;
        let word = |hears: bool| if hears { "answers ARP" } else { "does not even answer ARP" };
        let mut seen = vec![
            format!(
                "an empty file over the ruleset: {rounds} rounds of probes from power-on, the device {}",
                word(hears)
            ),
            format!("nftables.service and systemd-networkd.service: {}", states.join(", ")),
            format!("chains that drop by default: {}", filters.join(" ")),
        ];
        seen.extend(links);
        Ok(judged("broken file at boot", seen, problems))
    }

    /// Reload, broken files, connections, and a full table, of a device that is up.
    fn stress(&self) -> Outcome<Vec<FirewallClass>> {
        let (machine, mut engine, _scratch) = self.start("stress", false)?;
        let limit = self.limit;
        let ready = engine.meanwhile(move || {
            let mut shell = Peer::ready(machine, limit)?;
            let state = shell.ask(UP, limit)?;
            Ok::<_, Failure>((shell, state))
        });
        let (shell, state) = ready.map_err(|e| self.torn("stress", &e))??;
        let mut stress = Stress { bench: self, shell, engine };
        let mut out = vec![stress.reload(&state)?];
        out.push(stress.broken()?);
        out.extend(stress.connections()?);
        let torn = |e| self.torn("stress", &e);
        stress.engine.finish().map_err(torn)?;
        Ok(out)
    }

    fn torn(&self, name: &str, error: &std::io::Error) -> Failure {
        Failure::io("record the wire in", &self.folder.join(format!("boot/{name}.pcap")), error)
    }
}

/// Waits until systemd has done what it can.
pub(crate) const UP: &str = "timeout 240 systemctl is-system-running --wait";

struct Stress<'a, 'b> {
    bench: &'b Bench<'a>,
    shell: Peer,
    engine: Engine<'a>,
}

impl Stress<'_, '_> {
    fn io<T>(&self, result: std::io::Result<T>) -> Outcome<T> {
        result.map_err(|e| self.bench.torn("stress", &e))
    }

    fn ask(&mut self, command: &str) -> Outcome<Vec<String>> {
        let (engine, shell) = (&mut self.engine, &mut self.shell);
        engine.meanwhile(|| shell.ask(command, MINUTE * 2)).map_err(|e| self.bench.torn("stress", &e))?
    }

    /// What must hold whatever happened: a stranger is not answered, somebody allowed is, and the device hears.
    fn holds(&mut self, when: &str) -> Outcome<Vec<String>> {
        let result = (|| {
            let mut problems = self.engine.stranger()?;
            if self.engine.service().is_some() && !self.engine.served()? {
                problems.push(format!("{when}, the service does not answer whom the plan allows"));
            }
            if !self.engine.hears()? {
                problems.push(format!("{when}, the device does not answer ARP: its silence proves nothing"));
            }
            Ok(problems)
        })();
        self.io(result)
    }

    fn reload(&mut self, state: &[String]) -> Outcome<FirewallClass> {
        let mut problems = self.holds("before a reload")?;
        let stop = AtomicBool::new(false);
        let (engine, shell) = (&mut self.engine, &mut self.shell);
        let (lines, asked) = std::thread::scope(|scope| {
            let asked = scope.spawn(|| engine.stranger_until(&stop));
            let command =
                "for i in 1 2 3 4 5 6 7 8; do systemctl reload nftables.service || echo failed; done";
            let lines = shell.ask(command, MINUTE * 4);
            stop.store(true, Ordering::Release);
            (lines, asked.join().unwrap_or_else(|_| Err(std::io::Error::other("the engine panicked"))))
        });
        let (rounds, answers) = self.io(asked)?;
        problems.extend(answers);
        problems.extend(lines?.into_iter().filter(|line| line.contains("failed")));
        problems.extend(self.holds("after eight reloads")?);
        let seen = vec![
            format!("systemd says `{}`", state.last().map_or("nothing", String::as_str)),
            format!("eight reloads during {rounds} rounds of a stranger's probes: silent"),
            self.service_words(),
        ];
        Ok(judged("reload", seen, problems))
    }

    fn service_words(&self) -> String {
        self.engine.service().map_or_else(
            || "no conduit in clear leads to the device: nobody is served".to_owned(),
            |service| format!("the conduit `{}` answers before and after", service.conduit),
        )
    }

    /// A broken file, reloaded and restarted: what was loaded stays.
    fn broken(&mut self) -> Outcome<FirewallClass> {
        let (mut seen, mut problems) = (Vec::new(), Vec::new());
        for (name, write) in BROKEN {
            let command = format!(
                "{write}; mount --bind /run/proof/broken {RULESET}; systemctl reload nftables.service; \
                 echo \"reload $?\"; umount {RULESET}"
            );
            let lines = self.ask(&command)?;
            let said = lines.iter().find(|line| line.starts_with("reload ")).cloned();
            seen.push(format!("{name}: {}", said.clone().unwrap_or_else(|| lines.join("; "))));
            // A file without a rule is no mistake of nft's: it changes nothing.
            if name == "garbage" && said.as_deref() == Some("reload 0") {
                problems.push("a file that nft cannot read was reloaded without an error".to_owned());
            }
            problems.extend(self.holds(&format!("after a reload with a file that is `{name}`"))?);
        }
        Ok(judged("broken file", seen, problems))
    }

    /// As many connections as the conduit may have, and a full table; both without the conduit's rate, which would
    /// take an hour to let so many through.
    fn connections(&mut self) -> Outcome<Vec<FirewallClass>> {
        let Some(service) = self.engine.service().cloned() else {
            let why = || vec!["no conduit in clear leads to the device".to_owned()];
            let none = |name| class(name, TrafficVerdict::NotShown, Vec::new(), why());
            return Ok(vec![none("connections"), none("full table")]);
        };
        let conduit = &service.conduit;
        let relaxed = format!(
            "sed '/comment \"{conduit}\"/s#limit rate [^ ]*#limit rate 10000/second burst 10000 packets#' {RULESET} \
             > /run/proof/fast && nft -f /run/proof/fast; echo \"load $?\""
        );
        let lines = self.ask(&relaxed)?;
        if lines.iter().all(|line| line != "load 0") {
            let problem =
                || vec![format!("the ruleset without the rate was not loaded: {}", lines.join("; "))];
            let failed = |name| class(name, TrafficVerdict::NotRun, Vec::new(), problem());
            return Ok(vec![failed("connections"), failed("full table")]);
        }
        let mut out = vec![self.many(&service)?];
        out.push(self.full_table()?);
        self.ask(&format!("nft -f {RULESET}"))?;
        Ok(out)
    }

    fn many(&mut self, service: &traffic::engine::Service) -> Outcome<FirewallClass> {
        let limit = service.connections;
        let asked = u16::try_from(limit.saturating_mul(3) / 2 + 4).unwrap_or(u16::MAX).min(2_000);
        if u32::from(asked) <= limit {
            let why = vec![format!("{limit} connections are more than are tried")];
            return Ok(class("connections", TrafficVerdict::NotShown, Vec::new(), why));
        }
        let result = self.engine.open(asked, true);
        let taken = self.io(result)?;
        let result = self.engine.release(asked);
        self.io(result)?;
        let mut problems = Vec::new();
        if taken == 0 || u32::try_from(taken).unwrap_or(u32::MAX) > limit {
            problems
                .push(format!("of {asked} connections {taken} were taken, and the conduit allows {limit}"));
        }
        problems.extend(self.holds("after too many connections")?);
        let seen = vec![format!(
            "`{}`: {asked} connections at once, {taken} taken, the limit is {limit}",
            service.conduit
        )];
        Ok(judged("connections", seen, problems))
    }

    fn full_table(&mut self) -> Outcome<FirewallClass> {
        const AT: &str = "/proc/sys/net/netfilter/nf_conntrack";
        let read = |stress: &mut Self, what: &str| -> Outcome<u32> {
            let lines = stress.ask(&format!("cat {AT}_{what}"))?;
            Ok(lines.iter().rev().find_map(|line| line.trim().parse().ok()).unwrap_or(u32::MAX))
        };
        let mut problems = Vec::new();
        let (max, before) = (read(self, "max")?, read(self, "count")?);
        let result = self.engine.flood(FLOOD);
        if !self.io(result)? {
            problems.push("the device hears nothing after a stranger's flood".to_owned());
        }
        let after = read(self, "count")?;
        // What is dropped is never confirmed, and takes no place.
        if after > before.saturating_add(200) {
            problems.push(format!(
                "a stranger's {FLOOD} segments took places in the table: {before}, then {after}"
            ));
        }
        self.ask(&format!("dmesg -C; echo {TABLE} > {AT}_max"))?;
        let result = self.engine.open(TABLE * 4, true);
        let taken = self.io(result)?;
        let count = read(self, "count")?;
        let result = self.engine.stranger();
        problems.extend(self.io(result)?);
        let result = self.engine.hears();
        if !self.io(result)? {
            problems.push("with a full table the device does not answer ARP".to_owned());
        }
        if count < u32::from(TABLE) {
            problems.push(format!("the table was to be full, and holds {count} of {TABLE}"));
        }
        let told = self.ask("dmesg | grep -c 'table full'")?;
        self.ask(&format!("echo {max} > {AT}_max"))?;
        let result = self.engine.release(TABLE * 4);
        self.io(result)?;
        problems.extend(self.holds("after a full table")?);
        let seen = vec![
            format!("{FLOOD} segments of a stranger: {before} entries before, {after} after, of {max}"),
            format!(
                "a table of {TABLE}: {taken} of {} allowed connections answered, {count} entries, {} lines of the kernel say that it is full",
                TABLE * 4,
                told.iter().rev().find(|line| line.parse::<u32>().is_ok()).map_or("no", String::as_str)
            ),
        ];
        Ok(judged("full table", seen, problems))
    }
}

/// The device's first process: does what is to be done before (`first`, lines), adds a root shell on the console if asked,
/// and becomes systemd.
pub(crate) fn script(first: &str, shell: bool) -> Vec<u8> {
    let unit = "cat > /run/proof/shell <<'@end-of-file@'\n\
         export PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_COLORS=0 NO_COLOR=1 SYSTEMD_PAGER=cat\n\
         exec < /dev/console > /dev/console 2>&1; stty -echo; dmesg -n 1; echo; echo @@ready\n\
         while read -r line; do eval \"$line\"; done\n\
         @end-of-file@\n\
         cat > /run/systemd/system/proof.service <<'@end-of-file@'\n\
         [Unit]\nDescription=Shell of the proof\nDefaultDependencies=no\n\
         [Service]\nExecStart=/bin/sh /run/proof/shell\nStandardInput=null\n\
         @end-of-file@\n\
         ln -s ../proof.service /run/systemd/system/sysinit.target.wants/proof.service\n";
    let text = format!(
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
         mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run\n\
         mkdir -p /run/proof /run/systemd/system/sysinit.target.wants\n\
         {}{first}exec {INIT}\n",
        if shell { unit } else { "" }
    );
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(512), b'\n');
    bytes
}

fn judged(name: &str, seen: Vec<String>, problems: Vec<String>) -> FirewallClass {
    let verdict = if problems.is_empty() { TrafficVerdict::Pass } else { TrafficVerdict::Fail };
    class(name, verdict, seen, problems)
}

fn class(name: &str, verdict: TrafficVerdict, seen: Vec<String>, problems: Vec<String>) -> FirewallClass {
    FirewallClass { class: name.to_owned(), verdict, seen, problems }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ruleset_is_covered_before_systemd_starts() {
        let text = |first, shell| String::from_utf8(script(first, shell)).unwrap();
        let broken = text(COVER, true);
        let (cover, start) = (broken.find("mount --bind"), broken.find("exec /sbin/init\n"));
        assert!(cover.is_some() && cover < start && broken.contains(RULESET), "{broken}");
        assert!(!text("", true).contains("mount --bind") && broken.len() % 512 == 0);
        assert!(!text("", false).contains("@@ready"), "a shell that nobody asked for");
    }

    /// Found by a proof on `hifive-unleashed`: QEMU ended for want of the second disk's bus, and the whole proof with it.
    #[test]
    fn a_machine_with_one_disk_has_no_test_and_says_so() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
        let mut plan = spec::load(&example, None).unwrap();
        assert_eq!(without_a_shell(&plan), None);
        plan.board.qemu.as_mut().unwrap().on_board = true;
        let why = without_a_shell(&plan).unwrap();
        assert!(why.starts_with("the machine of `qemu-aarch64` has one disk"), "{why}");
    }

    #[test]
    fn what_is_wrong_fails() {
        assert_eq!(judged("reload", vec![], vec![]).verdict, TrafficVerdict::Pass);
        assert_eq!(judged("reload", vec![], vec!["tcp/22 accepts".into()]).verdict, TrafficVerdict::Fail);
    }
}
