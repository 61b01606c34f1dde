//! What is asked of a tunnel of WireGuard, in order. The device opens it, and asks again every five seconds.
//!
//! The image names its peer by a public key whose private half only the plant has. For the test another key is laid over
//! that one, in the two files that have it, before the image's own systemd starts; nothing else of the image is other.

use std::time::{Duration, Instant};

use diag::Outcome;
use record::{TrafficVerdict, TunnelClass};
use spec::plan::{Flow, Plan};
use traffic::wireguard::{ASKED, State};

use super::{
    Ends, Files, Identities, MINUTE, Subject, below, class, first_host, host, in_clear, inner_in_clear, log,
    not_run, outside, services, unplanned,
};
use crate::peer::Peer;

/// How long the device may take until it asks again: it pauses between two series of attempts of 90 s each
/// (WireGuard's white paper, 6.1) until its keepalive is due.
const PATIENCE: Duration = Duration::from_secs(60);
/// Peers that must not get a tunnel: another private key than the device expects, another pre-shared key.
const REFUSED: [&str; 2] = ["wrong-key", "wrong-preshared-key"];

pub(super) fn scenario(
    plan: &Plan,
    identities: &Identities,
    (name, facts, inner): Subject<'_>,
    Ends { device, peer }: Ends<'_>,
) -> Outcome<Vec<TunnelClass>> {
    let Some(keys) = identities.wireguard.get(name) else {
        return Ok(vec![not_run(name, "negotiated", "no keys were made for it".to_owned())]);
    };
    let flows: Vec<&Flow> = plan
        .network
        .flows
        .iter()
        .filter(|f| f.tunnel.as_ref() == Some(name) && f.transport == "tcp")
        .collect();
    let outer = &facts.local_address;
    let own = facts.inner_address.as_deref().and_then(|a| a.split('/').next()).unwrap_or_default();
    let far = facts.inner_peer.as_deref().unwrap_or(inner);
    let mut out = Vec::new();
    let route = format!("ip route replace {} dev eth0 src {}", host(outer), facts.peer_address);
    peer.ask(&route, MINUTE)?;
    for flow in &flows {
        out.push(in_clear(device, peer, (name, "clear"), flow, ("", outer, &facts.peer_address))?);
        out.push(inner_in_clear(peer, name, "clear inner", flow, (outer, own, far))?);
        peer.ask(&route, MINUTE)?;
    }
    out.push(unplanned(device, peer, name, &flows, (outer, &facts.peer_address))?);

    let end = PeerEnd::of(plan, name);
    for reason in REFUSED {
        end.up(peer, name, reason)?;
        out.push(refused(peer, name, reason)?);
        down(peer)?;
    }
    end.up(peer, name, "good")?;
    let state = shaken(peer)?;
    let mut problems = state.problems(&keys.device, outer, &host(own));
    if !problems.is_empty() {
        let of_unit = |line: &String| line.contains("wireguard");
        problems.extend(
            log(device, 0).into_iter().filter(of_unit).map(|line| format!("the device's log: {line}")),
        );
    }
    let construction = facts.proposals.first().map_or("nothing", String::as_str);
    let seen = vec![
        state.words(),
        format!(
            "{construction}: WireGuard knows no other, and its handshake needs both ends' keys and the pre-shared one"
        ),
    ];
    out.push(class(name, "negotiated", seen, problems));
    for flow in &flows {
        allow(peer, flow, far, own)?;
        out.extend(services::through(plan, identities, device, peer, name, flow, own)?);
    }
    out.push(outside(peer, name, &flows, own)?);
    down(peer)?;
    if let Some(flow) = flows.first() {
        out.push(inner_in_clear(peer, name, "down", flow, (outer, own, far))?);
    }
    Ok(out)
}

/// A peer with a wrong key: the device asks it, and there is no handshake. Neither end says more.
fn refused(peer: &mut Peer, name: &str, reason: &str) -> Outcome<TunnelClass> {
    let (before, deadline) = (state(peer)?, Instant::now() + PATIENCE);
    let mut now = state(peer)?;
    // Two handshakes of the device, or its answer to the peer's.
    while now.datagrams < before.datagrams + 2 && now.handshake == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_secs(1));
        now = state(peer)?;
    }
    std::thread::sleep(Duration::from_secs(2));
    let now = state(peer)?;
    Ok(judge(name, reason, &before, &now))
}

fn judge(name: &str, reason: &str, before: &State, now: &State) -> TunnelClass {
    let of = format!("refuses {reason}");
    let asked = now.datagrams.saturating_sub(before.datagrams);
    if now.handshake == 0 && asked == 0 {
        return not_run(name, &of, "the device did not ask this peer at all".to_owned());
    }
    let seen =
        vec![format!("{asked} datagrams came to the peer, handshakes: {}", u8::from(now.handshake > 0))];
    let problems = match now.handshake {
        0 => Vec::new(),
        _ => vec![format!("the tunnel `{name}` came up with a peer that is `{reason}`")],
    };
    let verdict = if problems.is_empty() { TrafficVerdict::Pass } else { TrafficVerdict::Fail };
    TunnelClass { tunnel: name.to_owned(), class: of, verdict, seen, problems }
}

fn state(peer: &mut Peer) -> Outcome<State> {
    let words = ASKED.join(" ");
    let command = format!(
        "for w in {words}; do wg show tunnel $w | sed \"s/^/$w /\"; done; \
         u=$(sed -n 's/^Udp: \\([0-9]*\\) .*/\\1/p' /proc/net/snmp); \
         s=$(sed -n 's/^Udp6InDatagrams[[:space:]]*//p' /proc/net/snmp6); echo \"datagrams $((${{u:-0}}+${{s:-0}}))\""
    );
    Ok(State::read(&peer.ask(&command, MINUTE)?))
}

/// The peer's interface, as the configuration that `fastness generate` writes for it says.
struct PeerEnd {
    address: String,
    port: String,
}

impl PeerEnd {
    fn of(plan: &Plan, name: &str) -> Self {
        let text = plan.outside.get(&format!("peer/{name}/wireguard.conf")).map_or("", String::as_str);
        let value = |key: &str| {
            let found =
                text.lines().filter_map(|line| line.split_once(" = ")).find(|(known, _)| *known == key);
            found.map(|(_, value)| value.to_owned()).unwrap_or_default()
        };
        Self { address: value("Address"), port: value("ListenPort") }
    }

    /// What wg-quick does with that file: the image has no wg-quick.
    fn up(&self, peer: &mut Peer, name: &str, folder: &str) -> Outcome<()> {
        let at = format!("/run/peer/{name}@{folder}");
        let nodad = if self.address.contains(':') { " nodad" } else { "" };
        let command = format!(
            "ip link add tunnel type wireguard && wg set tunnel listen-port {} private-key {at}/private.key && \
             wg addconf tunnel {at}/device.conf && ip addr add {} dev tunnel{nodad} && ip link set tunnel up",
            self.port, self.address
        );
        peer.ask(&command, MINUTE).map(|_| ())
    }
}

pub(super) fn down(peer: &mut Peer) -> Outcome<()> {
    peer.ask("ip link del tunnel", MINUTE).map(|_| ())
}

/// Waits until the device has asked, and the handshake is done.
fn shaken(peer: &mut Peer) -> Outcome<State> {
    let deadline = Instant::now() + PATIENCE;
    let mut found = state(peer)?;
    while found.handshake == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_secs(1));
        found = state(peer)?;
    }
    Ok(found)
}

/// The sender of what follows is somebody whom the conduit allows: the peer itself, or the first of a network behind it.
fn allow(peer: &mut Peer, flow: &Flow, far: &str, own: &str) -> Outcome<()> {
    let network = flow.peers_v4.iter().chain(&flow.peers_v6).next();
    let sender = network.map_or_else(|| far.to_owned(), |network| first_host(network));
    let add =
        if sender == far { String::new() } else { format!("ip addr replace {} dev lo; ", host(&sender)) };
    let command = format!("{add}ip route replace {} dev tunnel src {sender}", host(own));
    peer.ask(&command, MINUTE).map(|_| ())
}

/// Only up, for what is measured: the device asks by itself.
pub(super) fn raise(
    peer: &mut Peer,
    plan: &Plan,
    (name, facts, inner): Subject<'_>,
    flow: &Flow,
) -> Outcome<()> {
    peer.ask(
        &format!("ip route replace {} dev eth0 src {}", host(&facts.local_address), facts.peer_address),
        MINUTE,
    )?;
    PeerEnd::of(plan, name).up(peer, name, "good")?;
    shaken(peer)?;
    let own = facts.inner_address.as_deref().and_then(|a| a.split('/').next()).unwrap_or_default();
    allow(peer, flow, facts.inner_peer.as_deref().unwrap_or(inner), own)
}

/// Files of the good peer and of those with a wrong key.
pub(super) fn peer_files(name: &str, identities: &Identities) -> Files {
    let good = identities.peers.get(name);
    let mut out: Files = good.into_iter().flat_map(|tree| below(&format!("{name}@good"), tree)).collect();
    for (_, reason, tree) in identities.refused.iter().filter(|(tunnel, ..)| tunnel == name) {
        out.extend(below(&format!("{name}@{reason}"), tree));
    }
    out
}

/// What the device's first process does before it becomes systemd: lays the test's keys over those of the image. Nothing,
/// where no tunnel of the wire needs it.
pub(super) fn overlay(subjects: &[Subject<'_>], identities: &Identities) -> String {
    let mut out = String::new();
    for (name, ..) in subjects {
        let Some(keys) = identities.wireguard.get(*name) else { continue };
        let files =
            [format!("/etc/wireguard/{name}.conf"), format!("/etc/systemd/system/wireguard-{name}.service")];
        for (number, file) in files.iter().enumerate() {
            let copy = format!("/run/proof/{name}-{number}");
            out.push_str(&format!(
                "cp -p {file} {copy}; sed -i 's#{}#{}#' {copy}; mount --bind {copy} {file}\n",
                keys.of_image, keys.peer
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_of_a_device_that_did_not_ask_is_no_refusal() {
        let (none, asked) = (State::default(), State { datagrams: 3, ..State::default() });
        assert_eq!(judge("readings", "wrong-key", &none, &none).verdict, TrafficVerdict::NotRun);
        assert_eq!(judge("readings", "wrong-key", &none, &asked).verdict, TrafficVerdict::Pass);
        let up = judge("readings", "wrong-key", &none, &State { handshake: 1, ..asked });
        assert_eq!(up.verdict, TrafficVerdict::Fail);
        assert!(up.problems[0].contains("came up with a peer that is `wrong-key`"), "{:?}", up.problems);
    }
}
