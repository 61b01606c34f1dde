//! How much gets through: a tunnel with the product's rules, the same with a thousand more, and in clear without any.
//! A measurement of emulated machines, to be compared with itself only; no proof.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use record::ImageRecord;
use serde::Serialize;
use spec::plan::{Flow, Plan};
use traffic::pcap::Pcap;

use super::machines::Wired;
use super::{Identities, MINUTE, Subject, host, ipsec, openvpn, wireguard};
use crate::firewall::UP;
use crate::peer::Peer;

/// Bytes of one transfer.
const BYTES: u64 = 8 << 20;
/// Transfers of one kind; the fastest counts.
const TURNS: usize = 3;
/// Rules that match nothing, before the product's own.
const RULES: u32 = 1_000;

/// One way and how fast it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Throughput {
    /// The way.
    pub way: String,
    /// Megabytes (of 10^6 bytes) a second, the fastest of several transfers.
    pub megabytes_per_second: f64,
}

/// Measures each tunnel that has a conduit over TCP.
///
/// # Errors
/// When a machine cannot be started or driven, or a transfer does not end.
pub fn measure(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    identities: &Identities,
    limit: Duration,
) -> Outcome<Vec<Throughput>> {
    let mut out = Vec::new();
    for (name, facts) in &plan.network.tunnels {
        let inner = facts.networks_v4.iter().chain(&facts.networks_v6).next();
        let flow = plan.network.flows.iter().find(|flow| {
            flow.tunnel.as_ref() == Some(name) && flow.transport == "tcp" && flow.direction == "in"
        });
        if let Some((inner, flow)) = inner.zip(flow) {
            out.extend(one(plan, record, folder, identities, limit, (name, facts, inner), flow)?);
        }
    }
    Ok(out)
}

fn one(
    plan: &Plan,
    record: &ImageRecord,
    folder: &Path,
    identities: &Identities,
    limit: Duration,
    subject: Subject<'_>,
    flow: &Flow,
) -> Outcome<Vec<Throughput>> {
    let suffix = format!("-throughput-{}", subject.0);
    let Wired { device, mut peers, ports, scratch: _scratch, .. } =
        Wired::start(plan, record, folder, identities, &[subject], &suffix, true)?;
    let pcap = folder.join(format!("boot/throughput-{}.pcap", subject.0));
    let recording = Pcap::create(&pcap).map_err(|e| Failure::io("write", &pcap, &e))?;
    let stop = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        let hub = scope.spawn(|| ports.run(&[], recording, &stop));
        let measured = (|| {
            let Some(peer) = peers.pop() else { return Ok(Vec::new()) };
            let (mut device, mut peer) = (Peer::ready(device, limit)?, Peer::ready(peer, limit)?);
            device.ask(UP, limit)?;
            ways(plan, subject, flow, &mut device, &mut peer)
        })();
        stop.store(true, Ordering::Release);
        let sent = hub.join().unwrap_or_else(|_| Err(std::io::Error::other("the hub ended with a panic")));
        sent.map_err(|e| Failure::io("record the wire in", &pcap, &e))?;
        measured
    });
    // Tens of megabytes that prove nothing.
    let _ = std::fs::remove_file(&pcap);
    result
}

fn ways(
    plan: &Plan,
    subject: Subject<'_>,
    flow: &Flow,
    device: &mut Peer,
    peer: &mut Peer,
) -> Outcome<Vec<Throughput>> {
    let (name, facts, _) = subject;
    let port = flow.port;
    let of_product = |asked: &spec::plan::Asked<spec::plan::UnitState>| {
        asked.origins.iter().any(|origin| origin.who.starts_with("application "))
    };
    let programs: Vec<&str> =
        plan.units.iter().filter(|(_, asked)| of_product(asked)).map(|(unit, _)| unit.as_str()).collect();
    // Whatever serves the port makes place for a unit that takes all and answers nothing.
    device.ask(&format!("systemctl stop {} 2>/dev/null", programs.join(" ")), MINUTE)?;
    device.ask(
        &format!(
            "cd /run/systemd/system; printf '[Socket]\\nListenStream={port}\\nAccept=yes\\n' > sink.socket; \
             printf '[Service]\\nExecStart=/usr/bin/cat\\nStandardInput=socket\\nStandardOutput=null\\n' \
             > sink@.service; systemctl daemon-reload; systemctl start sink.socket; cd /"
        ),
        MINUTE,
    )?;
    let own = match facts.inner_address.as_deref().and_then(|inner| inner.split('/').next()) {
        Some(inner) => inner.to_owned(),
        None => facts.local_address.clone(),
    };
    match facts.kind.as_str() {
        "strongswan" => ipsec::raise(peer, plan, name)?,
        "wireguard" => wireguard::raise(peer, plan, subject, flow)?,
        _ => openvpn::raise(peer, name)?,
    }
    let mut out = Vec::new();
    let mut turn = |peer: &mut Peer, way: &str, address: &str| -> Outcome<()> {
        let way = format!("{name} ({}): {way}", facts.kind);
        out.push(fastest(peer, way, address, port)?);
        Ok(())
    };
    turn(peer, "through the tunnel, the product's rules", &own)?;
    device.ask(&more_rules(), MINUTE * 2)?;
    turn(peer, "through the tunnel, 1,000 rules more", &own)?;
    device.ask("nft flush ruleset", MINUTE)?;
    turn(peer, "through the tunnel, no rules", &own)?;
    match facts.kind.as_str() {
        "strongswan" => ipsec::disconnect(peer)?,
        "wireguard" => wireguard::down(peer)?,
        _ => openvpn::stop(peer)?,
    }
    // strongSwan's traps would hold back what belongs into the tunnel.
    device.ask(
        "systemctl stop strongswan.service 2>/dev/null; ip xfrm state flush; ip xfrm policy flush",
        MINUTE,
    )?;
    let outer = &facts.local_address;
    peer.ask(&format!("ip route replace {} dev eth0 src {}", host(outer), facts.peer_address), MINUTE)?;
    turn(peer, "in clear, no rules", outer)?;
    device.ask(&more_rules(), MINUTE * 2)?;
    turn(peer, "in clear, 1,000 rules", outer)?;
    Ok(out)
}

/// Each packet is compared with all of them: addresses of a network for benchmarks (RFC 2544).
fn more_rules() -> String {
    format!(
        "{{ echo 'table inet bench {{ chain in {{ type filter hook input priority -10; policy accept;'; \
         i=0; while [ $i -lt {RULES} ]; do echo \"ip saddr 198.18.$((i / 250)).$((i % 250)) drop\"; i=$((i + 1)); done; \
         echo '}}; }}'; }} > /run/proof/rules; nft -f /run/proof/rules; echo \"load $?\""
    )
}

fn fastest(peer: &mut Peer, way: String, address: &str, port: u16) -> Outcome<Throughput> {
    let command = format!(
        "s=$(date +%s%N); head -c {BYTES} /dev/zero | timeout 200 bash -c 'cat > /dev/tcp/$0/$1' {address} {port} && \
         echo \"took $(($(date +%s%N) - s))\""
    );
    let mut best: Option<f64> = None;
    for _ in 0..TURNS {
        let lines = peer.ask(&command, MINUTE * 4)?;
        let took = lines.iter().find_map(|line| line.strip_prefix("took ")?.trim().parse::<f64>().ok());
        let Some(took) = took.filter(|took| *took > 0.0) else {
            return Err(Failure::error(
                ExitStatus::Environment,
                "no-transfer",
                format!("nothing was measured {way}: the peer says `{}`", lines.join("; ")),
            )
            .hint("does the conduit answer in `fastness boot --network`?"));
        };
        let speed = BYTES as f64 * 1_000.0 / took;
        best = Some(best.map_or(speed, |best| best.max(speed)));
    }
    Ok(Throughput { way, megabytes_per_second: best.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_written_by_a_loop_and_loaded_at_once() {
        let command = more_rules();
        assert!(
            command.contains("while [ $i -lt 1000 ]") && command.contains("echo '}; }'; } >"),
            "{command}"
        );
        assert!(!command.contains('\n'), "one line: the shell evaluates it as a whole");
    }
}
