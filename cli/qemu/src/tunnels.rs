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
use traffic::tunnel::{self as judge, IPSEC_REFUSALS, Probe};

use crate::boot::{absolute, file, watch};
use crate::files::{clone_sparse, scratch_in};
use crate::machine::{Direct, Machine, MachineSpec, wire_sockets};
use crate::peer::{self, Peer};

/// Files by their path, each with its mode; a folder has no content.
pub type Tree = BTreeMap<String, (u32, Option<Vec<u8>>)>;

/// Identities for one test.
pub struct Identities {
    /// Below `/var` of the device, for the tunnels with strongSwan.
    pub device: Tree,
    /// Each tunnel's peer, below a folder of the tunnel's name.
    pub peers: BTreeMap<String, Tree>,
    /// Peers that must be refused: tunnel, reason, files.
    pub refused: Vec<(String, String, Tree)>,
    /// Clock of both machines, seconds since the Unix epoch.
    pub epoch: u64,
}

const MINUTE: Duration = Duration::from_secs(60);
/// All frames of the plant's wire.
const PCAP: &str = "boot/tunnels.pcap";
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
    let tunnels = &plan.network.tunnels;
    let mut out = Vec::new();
    for (name, facts) in tunnels.iter().filter(|(_, facts)| facts.kind != "strongswan") {
        let why = format!(
            "there is no scenario for `{}` yet: its tls-crypt-v2 keys come from openvpn itself",
            facts.kind
        );
        out.push(not_shown(name, "negotiated", why));
    }
    for (name, facts) in tunnels.iter().filter(|(_, facts)| facts.kind == "strongswan") {
        let Some(inner) = facts.networks_v4.first().filter(|_| facts.local_address.contains('.')) else {
            out.push(not_shown(name, "negotiated", "the peer machine speaks IPv4 only".to_owned()));
            continue;
        };
        out.extend(one(plan, record, folder, identities, limit, (name, facts, inner))?);
    }
    out.sort_by(|a, b| a.tunnel.cmp(&b.tunnel));
    Ok(out)
}

type Subject<'a> = (&'a String, &'a TunnelFacts, &'a String);

fn one(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    identities: &Identities,
    limit: Duration,
    subject: Subject<'_>,
) -> Outcome<Vec<TunnelClass>> {
    let (name, facts, _) = subject;
    let logs = [folder.join("boot/device"), folder.join("boot/peer")];
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
    peer::write(&script, &peer::script(&peer_files(plan, name, identities), &addresses(plan, subject))?)?;

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

    let wire = plan.board.interfaces.iter().position(|i| *i == facts.interface).unwrap_or(0);
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
    let device_machine = Machine::start_with(&device, |sockets| {
        for index in 0..device.interfaces {
            ports.push(bind(sockets, index)?);
        }
        Ok(())
    })?;
    let device_port = ports.remove(wire);
    let (Some(peer_port), pcap) = (peer_port, folder.join(PCAP)) else { return Ok(Vec::new()) };
    let recording = Pcap::create(&pcap).map_err(|e| Failure::io("write", &pcap, &e))?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let hub =
            scope.spawn(|| hub::run(&device_port, &peer_port, &ports, &facts.networks_v4, recording, &stop));
        let judged = scenario(plan, identities, limit, subject, device_machine, peer_machine);
        stop.store(true, Ordering::Release);
        let sent = hub.join().unwrap_or_else(|_| Err(std::io::Error::other("the hub ended with a panic")));
        let sent = sent.map_err(|e| Failure::io("record the wire in", &pcap, &e))?;
        let mut classes = judged?;
        let problems = sent.iter().map(|(what, count)| format!("{count} times {what}")).collect();
        classes.push(class(name, "leak", vec![format!("all frames in {PCAP}")], problems));
        Ok(classes)
    })
}

/// All that is asked of one tunnel, in order.
fn scenario(
    plan: &Plan,
    identities: &Identities,
    limit: Duration,
    (name, facts, inner): Subject<'_>,
    mut device: Machine,
    peer: Machine,
) -> Outcome<Vec<TunnelClass>> {
    let mut peer = Peer::ready(peer, limit)?;
    watch(&mut device, Instant::now() + limit)?;
    let mut out = Vec::new();
    let (own, first) = (&facts.local_address, first_host(inner));
    let flows: Vec<_> = plan.network.flows.iter().filter(|f| f.tunnel.as_ref() == Some(name)).collect();
    // In clear: from the peer's own address, and as if from the network behind it.
    for (word, route) in [
        ("clear", String::new()),
        ("clear inner", format!("ip route replace {own}/32 dev eth0 src {first}; ")),
    ] {
        for flow in flows.iter().filter(|f| f.transport == "tcp") {
            let from = device.ms();
            let lines = peer.ask(&format!("{route}p {own} {}", flow.port), MINUTE)?;
            let logged = wait_log(&device, from, &["fw-deny-in", "fw-clear-in", "fw-drop-in"]);
            let mut problems = silent(&lines, "in clear");
            if logged.is_none() {
                problems.push(format!("the device's console has no line of a drop on `{}`", flow.name));
            }
            let seen = lines.into_iter().chain(logged).collect();
            out.push(class(name, &format!("{word} {}", flow.name), seen, problems));
        }
        if !route.is_empty() {
            peer.ask(&format!("ip route del {own}/32"), MINUTE)?;
        }
    }
    let (from, sas) = (device.ms(), connect(&mut peer, plan, name, name)?);
    std::thread::sleep(Duration::from_secs(2));
    let found = judge::ipsec(&sas, &log(&device, from));
    let mut problems = judge::ipsec_problems(&found, &facts.proposals, &facts.esp_proposals);
    if !problems.is_empty() {
        let told =
            peer.ask("tail -n 12 /run/charon.log; tail -n 3 /run/load.log /run/initiate.log", MINUTE)?;
        problems.extend(told.into_iter().map(|line| format!("the peer's log: {line}")));
    }
    let said = [
        ("peer IKE", found.peer_ike),
        ("peer ESP", found.peer_esp),
        ("device IKE", found.device_ike),
        ("device ESP", found.device_esp),
    ];
    let seen = said
        .into_iter()
        .map(|(who, what)| format!("{who}: {}", what.unwrap_or_else(|| "nothing".into())))
        .collect();
    out.push(class(name, "negotiated", seen, problems));
    for flow in flows.iter().filter(|f| f.transport == "tcp") {
        let lines = peer.ask(&format!("p {own} {}", flow.port), MINUTE)?;
        let answered = matches!(judge::probe(&lines), Some(Probe::Open | Probe::Refused));
        let problems = if answered {
            vec![]
        } else {
            vec![format!("the conduit `{}` does not answer through its tunnel", flow.name)]
        };
        out.push(class(name, &format!("through {}", flow.name), lines, problems));
    }
    let conduits: Vec<u16> = flows.iter().map(|flow| flow.port).collect();
    let lines = peer.ask(&format!("p {own} {}", closed_port(&conduits)), MINUTE)?;
    let problems = silent(&lines, "through the tunnel without a conduit");
    out.push(class(name, "outside", lines, problems));
    disconnect(&mut peer)?;
    if let Some(flow) = flows.iter().find(|f| f.transport == "tcp") {
        let lines = peer.ask(
            &format!(
                "ip route replace {own}/32 dev eth0 src {first}; p {own} {}; ip route del {own}/32",
                flow.port
            ),
            MINUTE,
        )?;
        let problems = silent(&lines, "with the tunnel down");
        out.push(class(name, "down", lines, problems));
    }
    for refusal in IPSEC_REFUSALS {
        let known = ["weak-proposals", "ikev1"].contains(&refusal.name);
        if !known
            && !identities.refused.iter().any(|(tunnel, reason, _)| tunnel == name && reason == refusal.name)
        {
            out.push(not_run(name, &format!("refuses {}", refusal.name), "no such peer was made".to_owned()));
            continue;
        }
        let from = device.ms();
        let before = log(&device, 0);
        let sas = connect(&mut peer, plan, name, &format!("{name}@{}", refusal.name))?;
        std::thread::sleep(Duration::from_secs(2));
        let up = sas.iter().any(|line| line.contains("ESTABLISHED"));
        out.push(judge::refusal(name, refusal, up, &judge::fresh(&before, log(&device, from))));
        disconnect(&mut peer)?;
    }
    for reason in ["self-signed", "weak-key", "sha1-signature"] {
        out.push(not_shown(
            name,
            &format!("refuses {reason}"),
            "the authority makes no such certificate, by design; another maker is missing".to_owned(),
        ));
    }
    Ok(out)
}

/// A port that a service may well listen on, and that no conduit of the tunnel opens.
fn closed_port(conduits: &[u16]) -> u16 {
    [22, 80, 443].into_iter().chain(1024..).find(|port| !conduits.contains(port)).unwrap_or(1)
}

/// Starts strongSwan with a folder's identity, asks for the tunnel, and returns `--list-sas`.
fn connect(peer: &mut Peer, plan: &Plan, tunnel: &str, folder: &str) -> Outcome<Vec<String>> {
    let child = format!("{}-{tunnel}", plan.product.name);
    let file = format!("/run/peer/{folder}/swanctl.conf");
    // The shell keeps its number: not every image has a program that finds processes by name.
    peer.ask("charon-systemd > /run/charon.log 2>&1 & charon=$!; sleep 3", MINUTE)?;
    peer.ask(&format!("swanctl --load-all --noprompt --file {file} > /run/load.log 2>&1"), MINUTE)?;
    peer.ask(&format!("swanctl --initiate --child {child} --timeout 15 > /run/initiate.log 2>&1"), MINUTE)?;
    peer.ask("swanctl --list-sas", MINUTE)
}

/// Ends strongSwan, with its policies.
fn disconnect(peer: &mut Peer) -> Outcome<()> {
    peer.ask("kill $charon; sleep 3; ip xfrm state flush; ip xfrm policy flush", MINUTE).map(|_| ())
}

fn peer_files(plan: &Plan, name: &str, identities: &Identities) -> Vec<(String, String)> {
    let own = |path: &str| plan.outside.get(path).cloned().unwrap_or_default();
    let swanctl = own(&format!("peer/{name}/swanctl.conf"));
    let mut out = vec![("/etc/strongswan.conf".to_owned(), STRONGSWAN.to_owned())];
    let mut add = |folder: &str, tree: &Tree, swanctl: String| {
        out.push((format!("/run/peer/{folder}/swanctl.conf"), swanctl));
        for (path, (_, content)) in tree {
            // The tree's own folder is the tunnel's.
            let inside = path.split_once('/').map_or(path.as_str(), |(_, inside)| inside);
            if let Some(content) = content {
                out.push((
                    format!("/run/peer/{folder}/{inside}"),
                    String::from_utf8_lossy(content).into_owned(),
                ));
            }
        }
    };
    let good = identities.peers.get(name).cloned().unwrap_or_default();
    add(name, &good, swanctl.clone());
    let weak = swanctl.lines().map(|line| {
        if line.trim_start().starts_with("proposals =") { "proposals = aes128-sha256-modp2048" } else { line }
    });
    add(&format!("{name}@weak-proposals"), &good, weak.collect::<Vec<_>>().join("\n"));
    add(&format!("{name}@ikev1"), &good, swanctl.replace("version = 2", "version = 1"));
    for (_, reason, tree) in identities.refused.iter().filter(|(tunnel, ..)| tunnel == name) {
        // The peer says of itself what its certificate says.
        let text = if reason == "wrong-name" {
            swanctl.replace(
                &format!("id = {}", plan.network.tunnels[name].peer_name),
                &format!("id = other.{}", plan.network.tunnels[name].peer_name),
            )
        } else {
            swanctl.clone()
        };
        add(&format!("{name}@{reason}"), tree, text);
    }
    out
}

/// The peer's daemon, logging to its standard error. Which plugins have an algorithm differs between
/// builds; one that is not there is passed over.
const STRONGSWAN: &str = "charon-systemd {\n load = random nonce drbg openssl kdf gcm hmac sha2 aes curve25519 pem pkcs1 pkcs7 pkcs8 x509 revocation constraints pubkey \
                          kernel-netlink socket-default vici\n install_virtual_ip = no\n filelog {\n stderr {\n default = 1\n }\n }\n}\n\
                          swanctl {\n load = random nonce openssl pem pkcs1 pkcs7 pkcs8 x509 revocation constraints pubkey\n}\n";

/// The peer's own address with the plant's prefix, and the first one behind it.
fn addresses(plan: &Plan, (_, facts, inner): Subject<'_>) -> Vec<String> {
    let own = plan
        .network
        .interfaces
        .get(&facts.interface)
        .and_then(|i| i.addresses.iter().find(|a| a.contains('.')));
    let length = own.and_then(|address| address.split('/').nth(1)).unwrap_or("24");
    vec![format!("{}/{length}", facts.peer_address), format!("{}/32", first_host(inner))]
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
fn kernel_of(fit: &Path) -> Outcome<Vec<u8>> {
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
fn provision(
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
