//! What the device recorded of its tunnels' peers: each one that it refused, with the reason, and each that it took.
//!
//! A console shows what a program said; a record shows that it is a security event with its five facts. It is read from the data
//! partition while the device runs, as after a power cut, since its shell is not asked here.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use diag::{Failure, Outcome};
use events::{Event, Outcome as Ended};
use exec::{Call, tool};
use record::{ImageRecord, PartitionRecord, TrafficVerdict, TunnelClass};
use spec::plan::{Plan, TunnelFacts};
use traffic::tunnel::{By, IPSEC_REFUSALS, OPENVPN_REFUSALS, Refusal};

use super::{class, not_shown};
use crate::events::parameter;
use crate::files::own_filesystem;

/// How long a record may take until it is on the disk: a shell numbers and chains them one by one.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_secs(5);
/// Where ext4 has its magic number, and what it is (Linux, Documentation/filesystems/ext4/super.rst).
const MAGIC: (u64, [u8; 2]) = (0x400 + 0x38, [0x53, 0xEF]);

/// One class for each tunnel of which something has to be recorded; none without the layer of events.
///
/// # Errors
/// When the disk cannot be read.
pub(super) fn recorded(
    plan: &Plan,
    record: &ImageRecord,
    (disk, scratch): (&Path, &Path),
    classes: &[TunnelClass],
) -> Outcome<Vec<TunnelClass>> {
    let part = record.partitions.iter().find(|part| part.name == "data");
    let (Some(part), true) = (part, plan.layer("events").is_some()) else {
        return Ok(Vec::new());
    };
    let wanted: Vec<(&String, &TunnelFacts, Vec<Wanted>)> = plan
        .network
        .tunnels
        .iter()
        .map(|(name, facts)| {
            (name, facts, wanted(facts, classes.iter().filter(|class| class.tunnel == *name)))
        })
        .filter(|(_, _, wanted)| !wanted.is_empty())
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    if !readable(disk, part)? {
        let why = "the data partition, which has the records, is encrypted".to_owned();
        return Ok(wanted.into_iter().map(|(name, ..)| not_shown(name, "recorded", why.clone())).collect());
    }
    let (folder, files) = (parameter(plan, "events", "folder"), parameter(plan, "events", "logs"));
    let files = files.parse().unwrap_or_default();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = events(disk, part, scratch, (&folder, files))?;
        let judged: Vec<_> =
            wanted.iter().map(|(name, facts, wanted)| judge(name, facts, wanted, &events)).collect();
        let all = judged.iter().all(|class| class.verdict == TrafficVerdict::Pass);
        if all || Instant::now() >= deadline {
            return Ok(judged);
        }
        exec::check_interrupt()?;
        std::thread::sleep(PAUSE);
    }
}

/// What a record has to say.
enum Wanted {
    /// A peer was refused.
    Refused(&'static Refusal),
    /// The tunnel came up.
    Up,
}

impl Wanted {
    fn is(&self, event: &Event) -> bool {
        match self {
            Self::Refused(refusal) => {
                event.r#type == "tunnel.refused"
                    && event.outcome == Ended::Failure
                    && refusal.is_in(&event.message)
            }
            Self::Up => event.r#type == "tunnel.up" && event.outcome == Ended::Success,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Refused(refusal) => format!("`tunnel.refused` of the peer that is `{}`", refusal.name),
            Self::Up => "`tunnel.up`".to_owned(),
        }
    }
}

/// What was shown on the wire, and so has to be recorded. What the peer alone knows the device cannot record.
fn wanted<'c>(facts: &TunnelFacts, classes: impl Iterator<Item = &'c TunnelClass>) -> Vec<Wanted> {
    let refusals = match facts.kind.as_str() {
        "strongswan" => IPSEC_REFUSALS,
        "openvpn" => OPENVPN_REFUSALS,
        _ => return Vec::new(),
    };
    classes
        .filter(|class| class.verdict == TrafficVerdict::Pass)
        .filter_map(|class| match class.class.strip_prefix("refuses ") {
            Some(name) => refusals
                .iter()
                .find(|refusal| refusal.name == name && refusal.by == By::Device)
                .map(Wanted::Refused),
            None => (class.class == "negotiated").then_some(Wanted::Up),
        })
        .collect()
}

fn judge(name: &str, facts: &TunnelFacts, wanted: &[Wanted], events: &[Event]) -> TunnelClass {
    let own = |event: &&Event| event.component == facts.kind && event.subject == facts.peer_address;
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    if events.is_empty() {
        problems.push("no record at all could be read from the device's disk".to_owned());
    }
    for wanted in wanted {
        match events.iter().filter(own).find(|event| wanted.is(event)) {
            Some(event) => seen.push(format!("record {}: {}", event.seq, event.message.trim())),
            None => problems.push(format!(
                "the device has no record {} with the peer's address {}",
                wanted.name(),
                facts.peer_address
            )),
        }
    }
    class(name, "recorded", seen, problems)
}

/// Whether the partition has a file system and nothing around it.
fn readable(disk: &Path, part: &PartitionRecord) -> Outcome<bool> {
    let failed = |e: std::io::Error| Failure::io("read", disk, &e);
    let mut file = File::open(disk).map_err(failed)?;
    file.seek(SeekFrom::Start(part.offset + MAGIC.0)).map_err(failed)?;
    let mut magic = [0; 2];
    file.read_exact(&mut magic).map_err(failed)?;
    Ok(magic == MAGIC.1)
}

/// The records on the disk, the oldest first, in so many full files and the one that is written; what is half written is left out.
fn events(
    disk: &Path,
    part: &PartitionRecord,
    scratch: &Path,
    (folder, files): (&str, u32),
) -> Outcome<Vec<Event>> {
    let (data, log) = (scratch.join("recorded"), scratch.join("recorded.log"));
    own_filesystem(disk, part, &data, &log)?;
    let folder = folder.strip_prefix("/var").unwrap_or(folder);
    let commands = scratch.join("recorded.commands");
    let older: String =
        (1..=files).rev().map(|number| format!("cat {folder}/events.jsonl.{number}\n")).collect();
    std::fs::write(&commands, format!("{older}cat {folder}/events.jsonl\n"))
        .map_err(|e| Failure::io("write", &commands, &e))?;
    let text = Call::new(tool("debugfs")?).arg("-f").arg(&commands).arg(&data).log(&log).output()?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(|line| Event::parse(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::tests::plan;

    fn shown(class: &str, verdict: TrafficVerdict) -> TunnelClass {
        TunnelClass { verdict, ..super::class("scada", class, Vec::new(), Vec::new()) }
    }

    fn event(kind: &str, outcome: &str, subject: &str, message: &str) -> Event {
        let line = format!(
            r#"{{"seq":7,"prev":"{}","clock":"synchronised","time":"2026-11-30T12:00:00Z","host":"gw","component":"strongswan","type":"{kind}","subject":"{subject}","outcome":"{outcome}","message":"{message}"}}"#,
            "0".repeat(64)
        );
        Event::parse(line.as_bytes()).expect("a record")
    }

    #[test]
    fn what_the_wire_showed_has_to_be_recorded_and_nothing_else() {
        use TrafficVerdict::{Fail, NotRun, Pass};
        let plan = plan("plc-gateway");
        let facts = &plan.network.tunnels["scada"];
        assert_eq!(facts.kind, "strongswan");
        let classes = [
            shown("clear control", Pass),
            shown("negotiated", Pass),
            shown("refuses revoked", Pass),
            shown("refuses expired", Fail),
            shown("refuses weak-key", NotRun),
            shown("refuses who-knows", Pass),
        ];
        let named: Vec<_> = wanted(facts, classes.iter()).iter().map(Wanted::name).collect();
        assert_eq!(named, ["`tunnel.up`", "`tunnel.refused` of the peer that is `revoked`"]);
        let quiet = TunnelFacts { kind: "wireguard".into(), ..facts.clone() };
        assert!(wanted(&quiet, classes.iter()).is_empty(), "WireGuard logs nothing");
        // What the peer alone knows.
        let openvpn = &plan.network.tunnels["historian"];
        assert!(wanted(openvpn, [shown("refuses tls-1.1", Pass)].iter()).is_empty());
        assert_eq!(wanted(openvpn, [shown("refuses weak-data-cipher", Pass)].iter()).len(), 1);
    }

    #[test]
    fn a_record_has_the_right_type_outcome_peer_and_reason() {
        let plan = plan("plc-gateway");
        let facts = &plan.network.tunnels["scada"];
        let peer = facts.peer_address.as_str();
        let classes = [shown("refuses revoked", TrafficVerdict::Pass)];
        let wanted = wanted(facts, classes.iter());
        let judged = |event: Event| judge("scada", facts, &wanted, &[event]);
        let words = "certificate was revoked on Nov 30 12:00:00 UTC 2026";
        let good = judged(event("tunnel.refused", "failure", peer, words));
        assert_eq!((good.verdict, good.class.as_str()), (TrafficVerdict::Pass, "recorded"));
        assert_eq!(good.seen, [format!("record 7: {words}")]);
        for bad in [
            event("tunnel.message", "failure", peer, words),
            event("tunnel.refused", "unknown", peer, words),
            event("tunnel.refused", "failure", "203.0.113.99", words),
            event("tunnel.refused", "failure", peer, "no trusted RSA public key found"),
        ] {
            let judged = judged(bad);
            assert_eq!(judged.verdict, TrafficVerdict::Fail, "{judged:?}");
            assert!(
                judged.problems[0].starts_with(
                    "the device has no record `tunnel.refused` of the peer that is `revoked` with"
                ),
                "{judged:?}"
            );
        }
    }

    /// A file system that was not unmounted, as a machine's that runs: what is in its files is read, and an encrypted one is told.
    #[test]
    fn records_are_read_from_the_partition_of_a_disk() {
        let place = tempfile::tempdir().expect("a folder");
        let at = |name: &str| place.path().join(name);
        let good = |seq: u32| {
            let event = event("tunnel.up", "success", "192.0.2.1", &format!("IKE_SA {seq} established "));
            serde_json::to_string(&event).expect("text").replace("\"seq\":7", &format!("\"seq\":{seq}"))
        };
        std::fs::create_dir_all(at("tree/log/events")).expect("a folder");
        std::fs::write(at("tree/log/events/events.jsonl.1"), good(1) + "\n" + &good(2) + "\n")
            .expect("written");
        std::fs::write(at("tree/log/events/events.jsonl"), good(3) + "\n{\"seq\":4,\"pre").expect("written");
        let made = Call::new(tool("mke2fs").expect("known")).args(["-q", "-t", "ext4", "-d"]).arg(at("tree"));
        made.arg(at("data")).arg("4M").run().expect("a file system");
        let data = std::fs::read(at("data")).expect("it is there");
        let mut disk = vec![0; 1 << 20];
        disk.extend_from_slice(&data);
        std::fs::write(at("disk"), &disk).expect("written");
        let part = PartitionRecord {
            name: "data".into(),
            guid: String::new(),
            offset: 1 << 20,
            bytes: data.len() as u64,
            sha256: String::new(),
        };
        assert!(readable(&at("disk"), &part).expect("a disk"));
        let found = events(&at("disk"), &part, place.path(), ("/var/log/events", 4)).expect("records");
        assert_eq!(found.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(std::fs::read(at("disk")).expect("it is there"), disk, "the device's disk stays");
        std::fs::write(at("disk"), vec![0; disk.len()]).expect("written");
        assert!(!readable(&at("disk"), &part).expect("a disk"));
    }
}
