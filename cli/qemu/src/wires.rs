//! Boots the untouched image with a packet engine on every wire.
//!
//! The engines listen before QEMU starts, so that the first probe is there at power-on. They end
//! before the machine does.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diag::{Failure, Outcome};
use record::{BootRecord, ImageRecord, Role, TrafficInterface, TrafficRecord, TrafficVerdict};
use spec::plan::Plan;
use traffic::{Sweep, Wire, sweep};

use crate::boot::{boot_with, file};
use crate::machine::{Machine, wire_sockets};

/// How long all sweeps together may take: they run side by side.
const LIMIT: Duration = Duration::from_secs(600);

/// Boots, probes every interface of the board, and judges the answers by the plan's surface.
///
/// Writes what [`crate::boot()`] does and `boot/<interface>.pcap`.
///
/// # Errors
/// As [`crate::boot()`]; when a wire or its recording cannot be made.
pub fn boot_on_wires(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    limit: Duration,
) -> Outcome<(BootRecord, TrafficRecord)> {
    let (ready, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let names: Vec<String> = plan.board.interfaces.iter().map(|i| i.to_string()).collect();
    let (boot, results) = std::thread::scope(|scope| {
        // Whatever way the boot ends, no engine is left behind.
        let _end = Stop(&stop);
        let engines = std::cell::RefCell::new(Vec::new());
        let mut start = |spec: &crate::machine::MachineSpec<'_>| {
            Machine::start_with(spec, |sockets| {
                for (index, name) in names.iter().enumerate() {
                    let (near, far) = wire_sockets(index);
                    let pcap = format!("boot/{name}.pcap");
                    let own = sweep::addresses(&plan.network, name).iter().map(|a| a.address).collect();
                    let path = folder.join(&pcap);
                    let mut wire = Wire::bind(&sockets.join(far), sockets.join(near), &path, own)
                        .map_err(|e| Failure::io("record the wire in", &path, &e))?;
                    let mac = [2, 0, 0, 0, 0, u8::try_from(index).unwrap_or(u8::MAX)];
                    let (network, ready, stop) = (&plan.network, &ready, &stop);
                    let sweep = Sweep { network, interface: name, mac, pcap, ready, stop };
                    engines.borrow_mut().push((path, scope.spawn(move || sweep.run(&mut wire))));
                }
                Ok(())
            })
        };
        let mut at_end = |is_ready: bool, _: &mut Machine| {
            (if is_ready { &ready } else { &stop }).store(true, Ordering::Release);
            let deadline = Instant::now() + LIMIT;
            while engines.borrow().iter().any(|(_, engine)| !engine.is_finished()) {
                exec::check_interrupt()?;
                if Instant::now() >= deadline {
                    stop.store(true, Ordering::Release);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        };
        let boot =
            boot_with(plan, record, folder, limit, &mut |spec| spec.wires = true, &mut start, &mut at_end)?;
        let mut results = Vec::new();
        for (path, engine) in engines.into_inner() {
            let result = match engine.join() {
                Ok(result) => result,
                Err(_) => Err(std::io::Error::other("the packet engine ended with a panic")),
            };
            results.push(result.map_err(|e| Failure::io("record the wire in", &path, &e))?);
        }
        Ok::<_, Failure>((boot, results))
    })?;
    let disk = file(record, Role::Disk)?.sha256.clone();
    Ok((boot, judge(disk, results)))
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The record of all interfaces. Without a class, nothing is proved.
fn judge(disk_sha256: String, interfaces: Vec<TrafficInterface>) -> TrafficRecord {
    let count =
        |verdict| interfaces.iter().flat_map(|i| &i.classes).filter(|class| class.verdict == verdict).count();
    let (pass, fail, not_run) =
        (count(TrafficVerdict::Pass), count(TrafficVerdict::Fail), count(TrafficVerdict::NotRun));
    let unasked: usize = interfaces.iter().map(|i| i.unasked.len()).sum();
    let everywhere = !interfaces.is_empty() && interfaces.iter().all(|i| !i.classes.is_empty());
    let passed = fail == 0 && not_run == 0 && unasked == 0 && everywhere;
    let summary = if passed {
        format!(
            "exactly the plan's surface answers: {pass} classes of probes on {} interfaces",
            interfaces.len()
        )
    } else {
        format!(
            "{pass} classes of probes pass, {fail} fail, {not_run} are not proved; {unasked} kinds of frames were sent unasked"
        )
    };
    TrafficRecord {
        schema_version: 1,
        disk_sha256,
        passed,
        summary,
        interfaces,
        tunnels: Vec::new(),
        firewall: Vec::new(),
        events: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_probed_is_no_pass() {
        assert!(!judge("0".into(), Vec::new()).passed);
        let empty = TrafficInterface {
            interface: "eth0".into(),
            classes: Vec::new(),
            unasked: Vec::new(),
            tolerated: Vec::new(),
            pcap: String::new(),
            ms: 0,
        };
        assert!(!judge("0".into(), vec![empty]).passed);
    }
}
