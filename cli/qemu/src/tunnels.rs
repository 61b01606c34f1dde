//! The proof of the tunnels: the device and a machine for each tunnel's peer, joined by a hub that keeps all frames.
//!
//! The device is started without its boot loader, with the image's kernel, signed command line (and one word
//! more, so that the journal comes to the console) and disk; only the data partition of a copy gets the
//! identity of this test. That the boot chain holds is shown elsewhere, with the untouched image.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use record::{ImageRecord, TrafficVerdict, TunnelClass};
use spec::plan::{Flow, Plan, TunnelFacts};
use traffic::pcap::Pcap;
use traffic::tunnel::{self as judge, Probe};

use crate::boot::{came_to_end, watch};
use crate::machine::Machine;
use crate::peer::Peer;

mod enroll;
mod ipsec;
mod machines;
mod openvpn;
mod recorded;
mod rekey;
mod services;
mod throughput;
mod wireguard;

pub use enroll::enroll;
use machines::Wired;
pub(crate) use machines::provision;
pub use throughput::{Throughput, measure};

/// A file, or a folder if it has no content. Its owner is root.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its group.
    pub group: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whole content.
    pub content: Option<Vec<u8>>,
}

/// Files and folders by their path.
pub type Tree = BTreeMap<String, Item>;

/// Identities for one test.
#[derive(Clone)]
pub struct Identities {
    /// Below `/var` of the device.
    pub device: Tree,
    /// Each tunnel's peer, below a folder of the tunnel's name.
    pub peers: BTreeMap<String, Tree>,
    /// Peers that must be refused: tunnel, reason, files.
    pub refused: Vec<(String, String, Tree)>,
    /// What reads the values of each OPC UA application: `client.conf`, identities and users, as `services` uses them.
    pub readers: BTreeMap<String, Tree>,
    /// Keys of WireGuard's tunnels.
    pub wireguard: BTreeMap<String, WireguardKeys>,
    /// Memory of the device's TPM, where its key is in it; none: a new TPM.
    pub tpm: Option<PathBuf>,
    /// Clock of both machines, seconds since the Unix epoch.
    pub epoch: u64,
}

/// What a tunnel of WireGuard is proved with besides the ends' files. Its public keys are no secret.
#[derive(Clone, Debug)]
pub struct WireguardKeys {
    /// The key that the image's configuration names; only its owner has the private half.
    pub of_image: String,
    /// The peer's in this test, laid over that one.
    pub peer: String,
    /// The device's in this test.
    pub device: String,
}

const MINUTE: Duration = Duration::from_secs(60);
/// How the firewall's lines of what it drops begin.
const DROPS: [&str; 3] = ["fw-deny-in", "fw-clear-in", "fw-drop-in"];
/// Starts the machines and judges every tunnel; what cannot be asked yet is `not-shown` with its reason. `up` is
/// told when a device has booted: then the host has time for other machines.
///
/// # Errors
/// When a machine cannot be started or driven.
pub fn prove(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    identities: &Identities,
    limit: Duration,
    up: &dyn Fn(),
) -> Outcome<Vec<TunnelClass>> {
    let mut out = Vec::new();
    let mut wires: BTreeMap<&str, Vec<Subject<'_>>> = BTreeMap::new();
    for (name, facts) in &plan.network.tunnels {
        match facts.networks_v4.iter().chain(&facts.networks_v6).next() {
            Some(inner) => wires.entry(&facts.interface).or_default().push((name, facts, inner)),
            None => out.push(not_shown(name, "negotiated", "there is no network behind the peer".to_owned())),
        }
    }
    // One pair of machines for each interface: its peers are neighbours on one wire.
    for (number, (interface, subjects)) in wires.into_iter().enumerate() {
        let suffix = if number == 0 { String::new() } else { format!("-{interface}") };
        out.extend(session((plan, record, folder), identities, limit, &subjects, &suffix, &scenario, up)?);
        let own_key: Vec<_> = subjects.into_iter().filter(|(_, facts, _)| facts.in_tpm).collect();
        if !own_key.is_empty() {
            let other = Identities { tpm: None, ..identities.clone() };
            let suffix = format!("{suffix}-other-tpm");
            let asked = session((plan, record, folder), &other, limit, &own_key, &suffix, &other_tpm, up)?;
            out.extend(
                asked.into_iter().map(|class| TunnelClass {
                    class: class.class.replace("leak", "other-tpm leak"),
                    ..class
                }),
            );
        }
    }
    out.sort_by(|a, b| a.tunnel.cmp(&b.tunnel));
    Ok(out)
}

/// A tunnel: its name, its facts, the first network behind its peer.
type Subject<'a> = (&'a String, &'a TunnelFacts, &'a String);

/// What is asked of one tunnel.
type Scenario<'a> =
    &'a (dyn Fn(&Plan, &Identities, Subject<'_>, Ends<'_>) -> Outcome<Vec<TunnelClass>> + Sync);

/// The device and the peers of one wire, all tunnels at the same time.
fn session(
    (plan, record, folder): (&Plan, &ImageRecord, &Path),
    identities: &Identities,
    limit: Duration,
    subjects: &[Subject<'_>],
    suffix: &str,
    ask: Scenario<'_>,
    up: &dyn Fn(),
) -> Outcome<Vec<TunnelClass>> {
    let Wired { device: mut device_machine, peers, ports, disk, scratch } =
        Wired::start(plan, record, folder, identities, subjects, suffix, false)?;
    let recorded = format!("boot/tunnels{suffix}.pcap");
    let pcap = folder.join(&recorded);
    let recording = Pcap::create(&pcap).map_err(|e| Failure::io("write", &pcap, &e))?;
    let sealed: Vec<_> = subjects.iter().map(|subject| sealed(*subject)).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hub = scope.spawn(|| ports.run(&sealed, recording, &stop));
        let judged = (|| {
            let seen = watch(&mut device_machine, Instant::now() + limit)?;
            if !came_to_end(&seen) {
                return Err(not_up(limit));
            }
            up();
            let device = &device_machine;
            let proved: Vec<_> = subjects
                .iter()
                .zip(peers)
                .map(|(subject, machine)| {
                    scope.spawn(move || {
                        let mut peer = Peer::ready(machine, limit)?;
                        ask(plan, identities, *subject, Ends { device, peer: &mut peer })
                    })
                })
                .collect();
            let mut out = Vec::new();
            for one in proved {
                out.extend(one.join().unwrap_or_else(|_| Err(panicked()))?);
            }
            out.extend(recorded::recorded(plan, record, (&disk, scratch.path()), &out)?);
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

fn scenario(
    plan: &Plan,
    identities: &Identities,
    subject: Subject<'_>,
    ends: Ends<'_>,
) -> Outcome<Vec<TunnelClass>> {
    match subject.1.kind.as_str() {
        "strongswan" => ipsec::scenario(plan, identities, subject, ends),
        "openvpn" => openvpn::scenario(plan, identities, subject, ends),
        "wireguard" => wireguard::scenario(plan, identities, subject, ends),
        kind => Ok(vec![not_shown(subject.0, "negotiated", format!("no scenario for `{kind}`"))]),
    }
}

fn other_tpm(plan: &Plan, _: &Identities, subject: Subject<'_>, ends: Ends<'_>) -> Outcome<Vec<TunnelClass>> {
    enroll::other_tpm(plan, subject, ends)
}

/// Nothing can be asked of a device that is not there: its silence would look like a firewall's.
fn not_up(limit: Duration) -> Failure {
    let message = format!("the device did not report itself ready within {} s", limit.as_secs());
    Failure::error(ExitStatus::Environment, "device-machine", message)
        .hint("see `boot/device/console.log`; is the host so busy that emulated machines starve?")
}

fn panicked() -> Failure {
    let message = "the proof of a tunnel ended with a panic";
    Failure::error(ExitStatus::Internal, "panic", message.to_owned()).hint("tell this to the project")
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
    let networks = facts.networks_v4.iter().chain(&facts.networks_v6).cloned();
    (name.clone(), networks.chain(own.map(host)).collect())
}

/// A port that a service may well listen on, and that no conduit of the tunnel opens.
fn closed_port(conduits: &[u16]) -> u16 {
    [22, 80, 443].into_iter().chain(1024..).find(|port| !conduits.contains(port)).unwrap_or(1)
}

/// Files of the peer's machine by their path.
type Files = Vec<(String, Vec<u8>)>;

/// A peer's files below `/run/peer/FOLDER`, without the folder that they have in their tree.
fn below<'a>(folder: &str, tree: &'a Tree) -> impl Iterator<Item = (String, Vec<u8>)> + use<'a> {
    let folder = folder.to_owned();
    tree.iter().filter_map(move |(path, item)| {
        let inside = path.split_once('/').map_or(path.as_str(), |(_, inside)| inside);
        Some((format!("/run/peer/{folder}/{inside}"), item.content.clone()?))
    })
}

/// The first host of a network.
fn first_host(network: &str) -> String {
    let (address, length) = network.split_once('/').unwrap_or((network, ""));
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if !["", "32"].contains(&length) => {
            Ipv4Addr::from(u32::from(address).saturating_add(1)).to_string()
        }
        Ok(IpAddr::V6(address)) if !["", "128"].contains(&length) => {
            Ipv6Addr::from(u128::from(address).saturating_add(1)).to_string()
        }
        _ => address.to_owned(),
    }
}

/// The network that is one address.
fn host(address: &str) -> String {
    format!("{address}/{}", if address.contains(':') { 128 } else { 32 })
}

/// An address as the kernel's log writes it: IPv6 without any shortening.
fn logged(address: &str) -> String {
    match address.parse::<Ipv6Addr>() {
        Ok(address) => address.segments().map(|group| format!("{group:04x}")).join(":"),
        Err(_) => address.to_owned(),
    }
}

/// From the address of the tunnel's far end, but beside the tunnel. The device has a route to it through the
/// tunnel's interface, so that its firewall drops the sender as forged, which it counts and does not log.
fn inner_in_clear(
    peer: &mut Peer,
    name: &str,
    word: &str,
    flow: &Flow,
    (outer, own, first): (&str, &str, &str),
) -> Outcome<TunnelClass> {
    let mut problems = Vec::new();
    let mut seen = peer.ask(&format!("ip addr replace {} dev lo", host(first)), MINUTE)?;
    for to in [outer, own] {
        // An address leads to one of its own version only.
        if to.contains(':') != first.contains(':') {
            continue;
        }
        // The device does not answer ARP for the address of another interface: the way is named.
        let (of, port) = (host(to), flow.port);
        let route = if to == outer {
            format!("ip route replace {of} dev eth0 src {first}")
        } else {
            format!("ip route replace {of} via {outer} dev eth0 onlink src {first}")
        };
        let lines = peer.ask(&format!("{route}; p {to} {port}; ip route del {of}"), MINUTE)?;
        problems.extend(silent(&lines, "in clear"));
        seen.extend(lines);
    }
    seen.extend(peer.ask(&format!("ip addr del {} dev lo", host(first)), MINUTE)?);
    let of = if word == "down" { word.to_owned() } else { format!("{word} {}", flow.name) };
    Ok(class(name, &of, seen, problems))
}

/// A conduit of the tunnel, asked for in clear by a sender, behind what makes the way there: dropped and logged.
fn in_clear(
    device: &Machine,
    peer: &mut Peer,
    (name, word): (&str, &str),
    flow: &Flow,
    (way, to, sender): (&str, &str, &str),
) -> Outcome<TunnelClass> {
    let from = device.ms();
    let lines = peer.ask(&format!("{way}p {to} {}", flow.port), MINUTE)?;
    let logged = wait_log(device, from, (sender, flow.port));
    let mut problems = silent(&lines, "in clear");
    if logged.is_none() {
        problems.push(format!("the device's console has no line of a drop on `{}`", flow.name));
    }
    let seen = lines.into_iter().chain(logged).collect();
    Ok(class(name, &format!("{word} {}", flow.name), seen, problems))
}

/// A port through the tunnel for which there is no conduit: silence.
fn outside(peer: &mut Peer, name: &str, flows: &[&Flow], own: &str) -> Outcome<TunnelClass> {
    let conduits: Vec<u16> = flows.iter().map(|flow| flow.port).collect();
    let lines = peer.ask(&format!("p {own} {}", closed_port(&conduits)), MINUTE)?;
    let problems = silent(&lines, "through the tunnel without a conduit");
    Ok(class(name, "outside", lines, problems))
}

/// Ports of industrial protocols without security of their own (`standards/protocols`): Modbus, OPC UA, DNP3,
/// IEC 60870-5-104, S7, EtherNet/IP.
const INDUSTRIAL: [u16; 6] = [502, 4840, 20_000, 2404, 102, 44_818];

/// Industrial protocols that no conduit of the tunnel has, in clear from the peer's own address: dropped and logged.
fn unplanned(
    device: &Machine,
    peer: &mut Peer,
    name: &str,
    flows: &[&Flow],
    (to, sender): (&str, &str),
) -> Outcome<TunnelClass> {
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    // Three are enough: each waits for its silence.
    let ports = INDUSTRIAL.into_iter().filter(|port| flows.iter().all(|flow| flow.port != *port));
    for port in ports.take(3) {
        let from = device.ms();
        let lines = peer.ask(&format!("p {to} {port}"), MINUTE)?;
        problems.extend(silent(&lines, "in clear"));
        let logged = wait_log(device, from, (sender, port));
        if logged.is_none() {
            problems.push(format!("the device's console has no line of a drop on port {port}"));
        }
        seen.extend(lines.into_iter().chain(logged));
    }
    Ok(class(name, "clear unplanned", seen, problems))
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

/// A line of the firewall for a sender's probe of a port; it may come a moment later.
fn wait_log(device: &Machine, from: u64, (sender, port): (&str, u16)) -> Option<String> {
    let deadline = Instant::now() + Duration::from_secs(3);
    let parts = [format!(" SRC={} ", logged(sender)), " PROTO=TCP ".to_owned(), format!(" DPT={port} ")];
    loop {
        let found = log(device, from).into_iter().find(|line| {
            DROPS.iter().any(|mark| line.contains(mark)) && parts.iter().all(|part| line.contains(part))
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_host_of_a_network() {
        assert_eq!(first_host("203.0.113.0/25"), "203.0.113.1");
        assert_eq!(first_host("10.8.0.1/32"), "10.8.0.1");
        assert_eq!(first_host("2001:db8:20::/64"), "2001:db8:20::1");
        assert_eq!(first_host("fd00:9::1/128"), "fd00:9::1");
    }

    #[test]
    fn addresses_of_both_versions_are_written_as_the_kernel_does() {
        assert_eq!(logged("192.0.2.1"), "192.0.2.1");
        assert_eq!(logged("2001:db8:7::20"), "2001:0db8:0007:0000:0000:0000:0000:0020");
        assert_eq!(host("2001:db8::1"), "2001:db8::1/128");
        assert_eq!(host("192.0.2.1"), "192.0.2.1/32");
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
