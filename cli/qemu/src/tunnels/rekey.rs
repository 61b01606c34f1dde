//! New keys of a tunnel that is up, asked for by the peer: hours of a plant in a few seconds.

use std::time::{Duration, Instant};

use diag::Outcome;
use record::TunnelClass;
use spec::plan::{Flow, TunnelFacts};
use traffic::rekey;
use traffic::tunnel::{self as judge, Probe};

use super::{MINUTE, class, log};
use crate::machine::Machine;
use crate::peer::Peer;

/// After how many seconds the good peer of OpenVPN asks for new keys (`reneg-sec`); what goes through the tunnel is asked
/// meanwhile.
pub(super) const RENEGOTIATE: u32 = 20;
/// How long new keys may take to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// strongSwan: ESP first, then IKE, one after the other.
pub(super) fn ipsec(
    device: &Machine,
    peer: &mut Peer,
    (name, facts, connection): (&str, &TunnelFacts, &str),
    flows: &[&Flow],
) -> Outcome<TunnelClass> {
    let (from, list) = (device.ms(), "swanctl --list-sas");
    let before = peer.ask(list, MINUTE)?;
    let old = rekey::keys(&before);
    let mut after = Vec::new();
    for what in ["child", "ike"] {
        peer.ask(&format!("swanctl --rekey --{what} {connection} > /run/rekey.log 2>&1"), MINUTE)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            after = peer.ask(list, MINUTE)?;
            let new = rekey::keys(&after);
            let came = if what == "child" { new.esp != old.esp } else { new.ike != old.ike };
            // Between the two there are none.
            if (came && !new.esp.is_empty() && !new.ike.is_empty()) || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    // The device's journal comes to its console a moment later.
    std::thread::sleep(Duration::from_secs(1));
    let wanted = (facts.proposals.as_slice(), facts.esp_proposals.as_slice());
    let judged = rekey::ipsec_rekeyed(&before, &after, &log(device, from), wanted);
    still(peer, name, flows, &facts.local_address, judged)
}

/// OpenVPN: the peer asks by itself; both logs since the tunnel came up.
pub(super) fn openvpn(
    device: &Machine,
    peer: &mut Peer,
    (name, facts, own): (&str, &TunnelFacts, &str),
    flows: &[&Flow],
    from: u64,
) -> Outcome<TunnelClass> {
    let deadline = Instant::now() + PATIENCE;
    while rekey::handshakes(&log(device, from)) < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_secs(1));
    let told = peer.ask("grep Channel: /run/openvpn.log", MINUTE)?;
    let (mut seen, mut problems) = (Vec::new(), Vec::new());
    let own_log = log(device, from);
    let logs = [("the device", own_log.as_slice()), ("the peer", told.as_slice())];
    for (end, lines) in logs {
        let (saw, wrong) = rekey::openvpn_rekeyed(end, lines, &facts.proposals);
        seen.extend(saw);
        problems.extend(wrong);
    }
    // A second handshake could be talked into another group.
    problems.extend(judge::openvpn_group_problems(&logs, &facts.tls_groups));
    still(peer, name, flows, own, (seen, problems))
}

/// With the new keys a conduit answers as it did.
fn still(
    peer: &mut Peer,
    name: &str,
    flows: &[&Flow],
    own: &str,
    (mut seen, mut problems): (Vec<String>, Vec<String>),
) -> Outcome<TunnelClass> {
    if let Some(flow) = flows.iter().find(|flow| flow.transport == "tcp") {
        let lines = peer.ask(&format!("p {own} {}", flow.port), MINUTE)?;
        if !matches!(judge::probe(&lines), Some(Probe::Open | Probe::Refused)) {
            problems.push(format!("with the new keys the conduit `{}` does not answer any more", flow.name));
        }
        seen.extend(lines);
    }
    Ok(class(name, "rekeyed", seen, problems))
}
