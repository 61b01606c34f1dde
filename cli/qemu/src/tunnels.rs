//! The proof of the tunnels: the device and a peer machine, joined by a hub that keeps all frames.
//!
//! The device is started without its boot loader, with the image's kernel, signed command line (and one word
//! more, so that the journal comes to the console) and disk; only the data partition of a copy gets the
//! identity of this test. That the boot chain holds is shown elsewhere, with the untouched image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, tool};
use record::{ImageRecord, Role, TrafficVerdict, TunnelClass};
use spec::plan::{Plan, TunnelFacts};
use traffic::hub::{self, Port};
use traffic::pcap::Pcap;
use traffic::tunnel::{self as judge, Probe};

use crate::boot::{absolute, file, watch};
use crate::files::{clone_sparse, scratch_in};
use crate::machine::{Direct, Machine, MachineSpec, wire_sockets};
use crate::peer::{self, Peer};

mod ipsec;
mod openvpn;

/// Files by their path, each with its mode; a folder has no content.
pub type Tree = BTreeMap<String, (u32, Option<Vec<u8>>)>;

/// Identities for one test.
pub struct Identities {
    /// Below `/var` of the device.
    pub device: Tree,
    /// Each tunnel's peer, below a folder of the tunnel's name.
    pub peers: BTreeMap<String, Tree>,
    /// Peers that must be refused: tunnel, reason, files.
    pub refused: Vec<(String, String, Tree)>,
    /// Clock of both machines, seconds since the Unix epoch.
    pub epoch: u64,
}

const MINUTE: Duration = Duration::from_secs(60);
/// What the journal needs to be read from outside.
const JOURNAL: &str = " systemd.journald.forward_to_console=1 systemd.journald.max_level_console=debug \
                        systemd.journald.tty_path=/dev/console";

/// Starts both machines and judges every tunnel; what cannot be asked yet is `not-shown` with its reason.
///
/// # Errors
/// When a machine cannot be started or driven.
pub fn prove(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    identities: &Identities,
    limit: Duration,
) -> Outcome<Vec<TunnelClass>> {
    let mut out = Vec::new();
    let mut wires: BTreeMap<&str, Vec<Subject<'_>>> = BTreeMap::new();
    for (name, facts) in &plan.network.tunnels {
        match facts.networks_v4.first().filter(|_| facts.local_address.contains('.')) {
            Some(inner) => wires.entry(&facts.interface).or_default().push((name, facts, inner)),
            None => {
                out.push(not_shown(name, "negotiated", "the peer machine speaks IPv4 only".to_owned()));
            }
        }
    }
    // One pair of machines for each interface: its peers are neighbours on one wire.
    for (number, (interface, subjects)) in wires.into_iter().enumerate() {
        let suffix = if number == 0 { String::new() } else { format!("-{interface}") };
        out.extend(session(plan, record, folder, identities, limit, &subjects, &suffix)?);
    }
    out.sort_by(|a, b| a.tunnel.cmp(&b.tunnel));
    Ok(out)
}

/// A tunnel: its name, its facts, the first network behind its peer.
type Subject<'a> = (&'a String, &'a TunnelFacts, &'a String);

/// Two machines on one wire, and all its tunnels one after the other.
fn session(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    identities: &Identities,
    limit: Duration,
    subjects: &[Subject<'_>],
    suffix: &str,
) -> Outcome<Vec<TunnelClass>> {
    let logs = [folder.join(format!("boot/device{suffix}")), folder.join(format!("boot/peer{suffix}"))];
    for path in &logs {
        fs::create_dir_all(path).map_err(|e| Failure::io("make", path, &e))?;
    }
    let scratch = scratch_in(&logs[0])?;
    let at = absolute(scratch.path())?;
    let kernel = at.join("Image");
    let fit = folder.join(&file(record, Role::Fit)?.path);
    write(&kernel, &kernel_of(&fit)?)?;
    let disk = at.join("disk.img");
    provision(plan, record, folder, &disk, &identities.device, &at)?;
    let script = at.join("peer.script");
    let files: Vec<_> = subjects.iter().flat_map(|subject| peer_files(plan, *subject, identities)).collect();
    let own: Vec<_> = subjects.iter().flat_map(|subject| addresses(plan, *subject)).collect();
    peer::write(&script, &peer::script(&files, &own)?)?;

    let image = absolute(&folder.join(&file(record, Role::Disk)?.path))?;
    let mut device = MachineSpec::new(plan, Path::new(""), &image, &logs[0])?;
    device.disk = disk;
    device.wires = true;
    device.epoch = identities.epoch;
    device.direct =
        Some(Direct { kernel: kernel.clone(), append: record.cmdline.clone() + JOURNAL, second: None });
    let mut other = device.clone();
    other.logs.clone_from(&logs[1]);
    other.interfaces = 1;
    other.disk = absolute(&folder.join(&file(record, Role::RootfsVerity)?.path))?;
    other.direct = Some(Direct { kernel, append: peer::append(&plan.board.console), second: Some(script) });

    let interface = subjects.first().map(|(_, facts, _)| &facts.interface);
    let wire = plan.board.interfaces.iter().position(|i| Some(i) == interface).unwrap_or(0);
    let (mut ports, mut peer_port) = (Vec::new(), None);
    let bind = |sockets: &Path, index: usize| {
        let (near, far) = wire_sockets(index);
        let path = sockets.join(far);
        Port::bind(&path, sockets.join(near)).map_err(|e| Failure::io("listen on", &path, &e))
    };
    let peer_machine = Machine::start_with(&other, |sockets| {
        peer_port = Some(bind(sockets, 0)?);
        Ok(())
    })?;
    let mut device_machine = Machine::start_with(&device, |sockets| {
        for index in 0..device.interfaces {
            ports.push(bind(sockets, index)?);
        }
        Ok(())
    })?;
    let device_port = ports.remove(wire);
    let recorded = format!("boot/tunnels{suffix}.pcap");
    let (Some(peer_port), pcap) = (peer_port, folder.join(&recorded)) else { return Ok(Vec::new()) };
    let recording = Pcap::create(&pcap).map_err(|e| Failure::io("write", &pcap, &e))?;
    let sealed: Vec<_> = subjects.iter().map(|subject| sealed(*subject)).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hub = scope.spawn(|| hub::run(&device_port, &peer_port, &ports, &sealed, recording, &stop));
        let judged = (|| {
            let mut peer = Peer::ready(peer_machine, limit)?;
            watch(&mut device_machine, Instant::now() + limit)?;
            let mut out = Vec::new();
            for subject in subjects {
                let ends = Ends { device: &device_machine, peer: &mut peer };
                out.extend(match subject.1.kind.as_str() {
                    "strongswan" => ipsec::scenario(plan, identities, *subject, ends)?,
                    "openvpn" => openvpn::scenario(plan, identities, *subject, ends)?,
                    kind => vec![not_shown(subject.0, "negotiated", format!("no scenario for `{kind}`"))],
                });
            }
            Ok::<_, Failure>(out)
        })();
        stop.store(true, Ordering::Release);
        let sent = hub.join().unwrap_or_else(|_| Err(std::io::Error::other("the hub ended with a panic")));
        let sent = sent.map_err(|e| Failure::io("record the wire in", &pcap, &e))?;
        let mut classes = judged?;
        for (name, ..) in subjects {
            let of_tunnel = sent.get(*name).into_iter().flatten();
            let problems = of_tunnel.map(|(what, count)| format!("{count} times {what}")).collect();
            classes.push(class(name, "leak", vec![format!("all frames in {recorded}")], problems));
        }
        Ok(classes)
    })
}

/// Both machines, as a scenario uses them.
struct Ends<'a> {
    device: &'a Machine,
    peer: &'a mut Peer,
}

/// Networks to and from which the device must say nothing in clear: those behind the peer, and the device's own
/// address in the tunnel.
fn sealed((name, facts, _): Subject<'_>) -> (String, Vec<String>) {
    let own = facts.inner_address.as_deref().and_then(|inner| inner.split('/').next());
    let own = own.filter(|inner| inner.contains('.')).map(|inner| format!("{inner}/32"));
    (name.clone(), facts.networks_v4.iter().cloned().chain(own).collect())
}

/// A port that a service may well listen on, and that no conduit of the tunnel opens.
fn closed_port(conduits: &[u16]) -> u16 {
    [22, 80, 443].into_iter().chain(1024..).find(|port| !conduits.contains(port)).unwrap_or(1)
}

/// What the peer's machine needs for a tunnel, good and bad.
fn peer_files(plan: &Plan, subject: Subject<'_>, identities: &Identities) -> Vec<(String, String)> {
    match subject.1.kind.as_str() {
        "strongswan" => ipsec::peer_files(plan, subject.0, identities),
        _ => openvpn::peer_files(plan, subject.0, identities),
    }
}

/// A peer's files below `/run/peer/FOLDER`, without the folder that they have in their tree.
fn below<'a>(folder: &str, tree: &'a Tree) -> impl Iterator<Item = (String, String)> + use<'a> {
    let folder = folder.to_owned();
    tree.iter().filter_map(move |(path, (_, content))| {
        let inside = path.split_once('/').map_or(path.as_str(), |(_, inside)| inside);
        let text = String::from_utf8_lossy(content.as_ref()?).into_owned();
        Some((format!("/run/peer/{folder}/{inside}"), text))
    })
}

/// The peer's own address with the plant's prefix, and the first one behind it.
fn addresses(plan: &Plan, (_, facts, inner): Subject<'_>) -> Vec<String> {
    let own = plan
        .network
        .interfaces
        .get(&facts.interface)
        .and_then(|i| i.addresses.iter().find(|a| a.contains('.')));
    let length = own.and_then(|address| address.split('/').nth(1)).unwrap_or("24");
    let outer = format!("{}/{length}", facts.peer_address);
    // OpenVPN gives the inner address to its own interface.
    if facts.inner_peer.is_some() { vec![outer] } else { vec![outer, format!("{}/32", first_host(inner))] }
}

/// The first host of an IPv4 network.
fn first_host(network: &str) -> String {
    let (address, length) = network.split_once('/').unwrap_or((network, "32"));
    match address.parse::<std::net::Ipv4Addr>() {
        Ok(address) if length != "32" => {
            std::net::Ipv4Addr::from(u32::from(address).saturating_add(1)).to_string()
        }
        _ => address.to_owned(),
    }
}

fn silent(lines: &[String], where_: &str) -> Vec<String> {
    match judge::probe(lines) {
        Some(Probe::Silent) => Vec::new(),
        other => vec![format!("expected silence {where_}, found {other:?}")],
    }
}

fn log(device: &Machine, from: u64) -> Vec<String> {
    device.console.lines().into_iter().filter(|line| line.ms >= from).map(|line| line.text).collect()
}

/// A line of the firewall for the plant's probe; it may come a moment later.
fn wait_log(device: &Machine, from: u64, marks: &[&str]) -> Option<String> {
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let found = log(device, from)
            .into_iter()
            .find(|line| line.contains("PROTO=TCP") && marks.iter().any(|m| line.contains(m)));
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn class(tunnel: &str, class: &str, seen: Vec<String>, problems: Vec<String>) -> TunnelClass {
    let verdict = if problems.is_empty() { TrafficVerdict::Pass } else { TrafficVerdict::Fail };
    TunnelClass { tunnel: tunnel.to_owned(), class: class.to_owned(), verdict, seen, problems }
}

fn not_run(tunnel: &str, class: &str, why: String) -> TunnelClass {
    TunnelClass { verdict: TrafficVerdict::NotRun, ..not_shown(tunnel, class, why) }
}

/// What no scenario asks yet.
fn not_shown(tunnel: &str, class: &str, why: String) -> TunnelClass {
    let (tunnel, class) = (tunnel.to_owned(), class.to_owned());
    TunnelClass { tunnel, class, verdict: TrafficVerdict::NotShown, seen: Vec::new(), problems: vec![why] }
}

fn write(path: &Path, bytes: &[u8]) -> Outcome<()> {
    fs::write(path, bytes).map_err(|e| Failure::io("write", path, &e))
}

/// The kernel in the image's FIT.
pub(crate) fn kernel_of(fit: &Path) -> Outcome<Vec<u8>> {
    let blob = fs::read(fit).map_err(|e| Failure::io("read", fit, &e))?;
    let tree = fit::fdt::Tree::parse(&blob).ok();
    let data =
        tree.as_ref().and_then(|tree| tree.root.at("/images/kernel")).and_then(|node| node.get("data"));
    data.map(<[u8]>::to_vec).ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "no-kernel",
            format!("expected a kernel in `{}`, found none", fit.display()),
        )
        .hint("build the image again with `fastness build`")
    })
}

/// A copy of the disk with the identity on its data partition.
pub(crate) fn provision(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    disk: &Path,
    tree: &Tree,
    at: &Path,
) -> Outcome<()> {
    clone_sparse(&folder.join(&file(record, Role::Disk)?.path), disk)?;
    let part = record.partitions.iter().find(|part| part.name == "data").ok_or_else(|| {
        Failure::error(
            ExitStatus::Input,
            "no-data",
            format!("the image of `{}` has no data partition", plan.product.name),
        )
        .hint("build the image again with `fastness build`")
    })?;
    let mut commands = String::new();
    for (number, (path, (mode, content))) in tree.iter().enumerate() {
        let path = path.trim_end_matches('/');
        let kind = if let Some(content) = content {
            let source: PathBuf = at.join(format!("item-{number}"));
            write(&source, content)?;
            commands.push_str(&format!("write {} /{path}\n", source.display()));
            0o100_000
        } else {
            commands.push_str(&format!("mkdir /{path}\n"));
            0o40_000
        };
        commands.push_str(&format!(
            "sif /{path} mode 0{:o}\nsif /{path} uid 0\nsif /{path} gid 0\n",
            kind | mode
        ));
    }
    let list = at.join("debugfs.commands");
    write(&list, commands.as_bytes())?;
    let name = format!("{}?offset={}", disk.display(), part.offset);
    Call::new(tool("debugfs")?).args(["-w", "-f"]).arg(&list).arg(name).log(&at.join("debugfs.log")).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_network() {
        assert_eq!(first_host("203.0.113.0/25"), "203.0.113.1");
        assert_eq!(first_host("10.8.0.1/32"), "10.8.0.1");
    }

    #[test]
    fn the_port_without_a_conduit_is_none_of_the_conduits() {
        assert_eq!(closed_port(&[502]), 22);
        assert_eq!(closed_port(&[22, 80, 443, 1024]), 1025);
    }

    #[test]
    fn only_silence_is_silence() {
        assert!(silent(&["tcp 192.0.2.10 502 silent".into()], "here").is_empty());
        assert!(silent(&["tcp 192.0.2.10 502 refused".into()], "here")[0].contains("expected silence here"));
        assert!(!silent(&[], "here").is_empty());
    }
}
