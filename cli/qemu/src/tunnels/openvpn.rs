//! What is asked of a tunnel of OpenVPN, in order. The device is the client: it asks its peer again and again,
//! so that each bad peer only has to be there until the device says why it wants none of it.

use std::time::{Duration, Instant};

use diag::Outcome;
use record::TunnelClass;
use spec::plan::{Flow, Plan};
use traffic::tunnel::{self as judge, By, OPENVPN_REFUSALS, Refusal};

use super::{
    Ends, Files, Identities, MINUTE, Subject, Tree, below, class, host, in_clear, inner_in_clear, log,
    not_run, outside, rekey, services, unplanned,
};
use crate::machine::Machine;
use crate::peer::Peer;

/// How long the device may take until it asks again: it gives up a handshake after the layer's `hand_window`, 30 s,
/// and pauses up to 64 s after as many attempts as are made here.
const PATIENCE: Duration = Duration::from_secs(150);
/// What OpenVPN says of a tunnel that is up.
const UP: &str = "Initialization Sequence Completed";
/// What the peer says of a device that asks, and of a tunnel that is up.
const ASKED: [&str; 2] = ["TLS: Initial packet from", UP];
/// How long a peer waits for a device that is to be silent.
const UNASKED: Duration = Duration::from_secs(20);
/// Refusals after which the device asks again at once; the others leave it in a handshake until `hand_window` is over.
const FIRST: usize = 5;

pub(super) fn scenario(
    plan: &Plan,
    identities: &Identities,
    (name, facts, inner): Subject<'_>,
    Ends { device, peer }: Ends<'_>,
) -> Outcome<Vec<TunnelClass>> {
    let flows: Vec<&Flow> = plan
        .network
        .flows
        .iter()
        .filter(|f| f.tunnel.as_ref() == Some(name) && f.transport == "tcp")
        .collect();
    let first = facts.inner_peer.as_deref().unwrap_or(inner);
    let own = facts.inner_address.as_deref().and_then(|a| a.split('/').next()).unwrap_or_default();
    let mut out = Vec::new();
    peer.ask("chmod -f 644 /run/peer/*/crl.pem", MINUTE)?;
    let outer = &facts.local_address;
    for flow in &flows {
        let way = format!("ip route replace {} dev eth0 src {}; ", host(outer), facts.peer_address);
        out.push(in_clear(device, peer, (name, "clear"), flow, (&way, outer, &facts.peer_address))?);
        out.push(inner_in_clear(peer, name, "clear inner", flow, (outer, own, first))?);
    }
    out.push(unplanned(device, peer, name, &flows, (outer, &facts.peer_address))?);
    peer.ask(&format!("ip route del {}", host(outer)), MINUTE)?;

    let (early, late) = OPENVPN_REFUSALS.split_at(FIRST.min(OPENVPN_REFUSALS.len()));
    for reason in early {
        out.push(refused(identities, device, peer, name, reason)?);
    }
    out.extend(up(plan, identities, Ends { device, peer }, (name, facts, own), &flows)?);
    if let Some(flow) = flows.first() {
        out.push(inner_in_clear(peer, name, "down", flow, (outer, own, first))?);
    }
    let more = if facts.ml_kem { judge::ML_KEM_REFUSALS } else { &[] };
    let asked = |reason: &&Refusal| !facts.ml_kem || reason.name != judge::WITHOUT_ML_KEM;
    for reason in more.iter().chain(late.iter().filter(asked)) {
        out.push(refused(identities, device, peer, name, reason)?);
    }
    Ok(out)
}

/// The good peer, what was negotiated with it, and what it gets.
fn up(
    plan: &Plan,
    identities: &Identities,
    Ends { device, peer }: Ends<'_>,
    (name, facts, own): (&str, &spec::plan::TunnelFacts, &str),
    flows: &[&Flow],
) -> Outcome<Vec<TunnelClass>> {
    let mut out = Vec::new();
    let from = device.ms();
    start(peer, name, &format!("--explicit-exit-notify 1 --reneg-sec {}", rekey::RENEGOTIATE))?;
    wait(device, from, &[UP]);
    std::thread::sleep(Duration::from_secs(3));
    let ends = [("the device", log(device, from)), ("the peer", peer_log(peer)?)];
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    for (end, lines) in &ends {
        seen.extend(judge::openvpn_says(lines).into_iter().map(|line| format!("{end}: {line}")));
        problems.extend(judge::openvpn_problems(end, lines, &facts.proposals));
    }
    let logs = ends.each_ref().map(|(end, lines)| (*end, lines.as_slice()));
    problems.extend(judge::openvpn_group_problems(&logs, &facts.tls_groups));
    if !problems.is_empty() {
        problems.extend(ends[1].1.iter().rev().take(12).rev().map(|line| format!("the peer's log: {line}")));
    }
    out.push(class(name, "negotiated", seen, problems));
    for flow in flows {
        out.extend(services::through(plan, identities, device, peer, name, flow, own)?);
    }
    out.push(outside(peer, name, flows, own)?);
    out.push(rekey::openvpn(device, peer, (name, facts, own), flows, from)?);
    // It tells the device that it goes, so that the device asks again at once.
    stop(peer)?;
    Ok(out)
}

/// A bad peer: until a log says why there is no tunnel, or until there is one.
fn refused(
    identities: &Identities,
    device: &Machine,
    peer: &mut Peer,
    name: &str,
    reason: &Refusal,
) -> Outcome<TunnelClass> {
    let made = variant(reason.name).is_some()
        || identities.refused.iter().any(|(tunnel, known, _)| tunnel == name && known == reason.name);
    if !made {
        return Ok(not_run(name, &format!("refuses {}", reason.name), "no such peer was made".to_owned()));
    }
    let from = device.ms();
    start(peer, &format!("{name}@{}", reason.name), "")?;
    let lines = if reason.by == By::Device {
        let marks: Vec<&str> = reason.says.iter().copied().chain([UP]).collect();
        wait(device, from, &marks);
        log(device, from)
    } else {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = peer_log(peer)?;
            let told =
                lines.iter().any(|line| line.contains(UP) || reason.says.iter().any(|s| line.contains(s)));
            if told || Instant::now() >= deadline {
                break lines;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    };
    // A tunnel that comes up in spite of what was said is seen, too.
    std::thread::sleep(Duration::from_secs(1));
    let of_openvpn = |line: &String| line.contains("openvpn[") && line.contains(UP);
    let established = log(device, from).iter().any(of_openvpn);
    let mut class = judge::refusal(name, reason, established, &lines);
    if class.seen.is_empty() {
        let told = peer_log(peer)?;
        class.problems.extend(told.iter().rev().take(8).rev().map(|line| format!("the peer's log: {line}")));
    }
    stop(peer)?;
    Ok(class)
}

/// Waits until the device's console has one of these.
fn wait(device: &Machine, from: u64, marks: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    while !log(device, from).iter().any(|line| marks.iter().any(|mark| line.contains(mark)))
        && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Whether the device asks for the tunnel while its peer is there for longer than the pauses of a device that asks.
pub(super) fn is_asked(peer: &mut Peer, name: &str) -> Outcome<bool> {
    peer.ask("chmod -f 644 /run/peer/*/crl.pem", MINUTE)?;
    start(peer, name, "")?;
    std::thread::sleep(UNASKED);
    let lines = peer_log(peer)?;
    stop(peer)?;
    Ok(lines.iter().any(|line| ASKED.iter().any(|mark| line.contains(mark))))
}

/// Only up, for what is measured: the device asks again by itself.
pub(super) fn raise(peer: &mut Peer, name: &str) -> Outcome<()> {
    peer.ask("chmod -f 644 /run/peer/*/crl.pem", MINUTE)?;
    start(peer, name, "--explicit-exit-notify 1")?;
    let deadline = Instant::now() + PATIENCE;
    while !peer_log(peer)?.iter().any(|line| line.contains(UP)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

fn start(peer: &mut Peer, folder: &str, more: &str) -> Outcome<()> {
    let command = format!(
        "(cd '/run/peer/{folder}'; exec openvpn --suppress-timestamps --config openvpn.conf {more}) \
         > /run/openvpn.log 2>&1 & openvpn=$!"
    );
    peer.ask(&command, MINUTE).map(|_| ())
}

/// Ends OpenVPN; with a notice to the other end it takes a few seconds.
pub(super) fn stop(peer: &mut Peer) -> Outcome<()> {
    peer.ask("kill $openvpn; wait $openvpn", MINUTE).map(|_| ())
}

fn peer_log(peer: &mut Peer) -> Outcome<Vec<String>> {
    peer.ask("tail -n 60 /run/openvpn.log", MINUTE)
}

/// Lines of the peer's configuration that a bad peer has otherwise; `None` for one whose badness is its identity.
fn variant(reason: &str) -> Option<&'static [(&'static str, &'static str)]> {
    const OLD: &str = "tls-cipher DEFAULT:@SECLEVEL=0";
    Some(match reason {
        "wrong-tls-crypt" => &[("tls-crypt-v2 ", "tls-crypt other.key")],
        "no-ml-kem" => &[("tls-groups ", "tls-groups secp384r1:X25519:prime256v1")],
        "weak-data-cipher" => &[("data-ciphers ", "data-ciphers AES-128-CBC")],
        // What the cipher is does not matter to the first: the version is too old already.
        "tls-1.2" | "weak-tls-cipher" => &[
            ("tls-version-min ", "tls-version-max 1.2"),
            ("tls-cipher ", "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA:@SECLEVEL=0"),
        ],
        "tls-1.1" => &[
            ("tls-version-min ", "tls-version-min 1.0\ntls-version-max 1.1"),
            ("tls-cipher ", OLD),
            ("tls-cert-profile ", "tls-cert-profile insecure"),
        ],
        // So that the peer itself takes its certificate.
        "weak-key" | "sha1-signature" => {
            &[("tls-cipher ", OLD), ("tls-cert-profile ", "tls-cert-profile insecure")]
        }
        _ => return None,
    })
}

/// The configuration with other lines.
fn changed(configuration: &str, lines: &[(&str, &str)]) -> String {
    let other = |line: &str| lines.iter().find(|(begin, _)| line.starts_with(begin)).map(|(_, new)| *new);
    configuration.lines().map(|line| format!("{}\n", other(line).unwrap_or(line))).collect()
}

/// Files of the good peer and of the bad ones.
pub(super) fn peer_files(plan: &Plan, name: &str, identities: &Identities) -> Files {
    let configuration = plan.outside.get(&format!("peer/{name}/openvpn.conf")).cloned().unwrap_or_default();
    let mut out = Vec::new();
    let mut add = |folder: &str, tree: &Tree, text: String| {
        out.push((format!("/run/peer/{folder}/openvpn.conf"), text.into_bytes()));
        out.extend(below(folder, tree));
    };
    let good = identities.peers.get(name).cloned().unwrap_or_default();
    add(name, &good, configuration.clone());
    for reason in OPENVPN_REFUSALS.iter().chain(judge::ML_KEM_REFUSALS) {
        let own = identities.refused.iter().find(|(tunnel, known, _)| tunnel == name && known == reason.name);
        let lines = variant(reason.name);
        if own.is_none() && lines.is_none() {
            continue;
        }
        let tree = own.map_or(&good, |(_, _, tree)| tree);
        add(&format!("{name}@{}", reason.name), tree, changed(&configuration, lines.unwrap_or_default()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_peer_differs_in_the_named_lines_only() {
        let good = "tls-version-min 1.2\ntls-cipher A:B\ntls-ciphersuites C\ntls-crypt-v2 server.key\n";
        let old = changed(good, variant("tls-1.1").unwrap());
        let expected = "tls-version-min 1.0\ntls-version-max 1.1\ntls-cipher DEFAULT:@SECLEVEL=0\n\
                        tls-ciphersuites C\ntls-crypt-v2 server.key\n";
        assert_eq!(old, expected);
        assert_eq!(changed(good, &[]), good);
        assert!(variant("revoked").is_none());
    }
}
