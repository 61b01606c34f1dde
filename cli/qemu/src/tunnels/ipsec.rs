//! What is asked of a tunnel of strongSwan, in order.

use std::time::{Duration, Instant};

use diag::Outcome;
use record::TunnelClass;
use spec::plan::Plan;
use traffic::tunnel::{self as judge, IPSEC_REFUSALS};

use super::{
    Ends, Files, Identities, MINUTE, Subject, Tree, below, class, first_host, host, in_clear, log, not_run,
    outside, rekey, services, silent, unplanned,
};
use crate::peer::Peer;

/// How long the device's log may take to come to the console.
const PATIENCE: Duration = Duration::from_secs(3);

/// All that is asked of one tunnel, in order.
pub(super) fn scenario(
    plan: &Plan,
    identities: &Identities,
    (name, facts, inner): Subject<'_>,
    Ends { device, peer }: Ends<'_>,
) -> Outcome<Vec<TunnelClass>> {
    let mut out = Vec::new();
    let (own, first) = (&facts.local_address, first_host(inner));
    let flows: Vec<_> = plan.network.flows.iter().filter(|f| f.tunnel.as_ref() == Some(name)).collect();
    // In clear: from the peer's own address, and as if from the network behind it.
    for (word, sender) in [("clear", &facts.peer_address), ("clear inner", &first)] {
        let route = format!("ip route replace {} dev eth0 src {sender}; ", host(own));
        for flow in flows.iter().filter(|f| f.transport == "tcp") {
            out.push(in_clear(device, peer, (name, word), flow, (&route, own, sender))?);
        }
        if word == "clear" {
            out.push(unplanned(device, peer, name, &flows, (own, sender))?);
        }
        peer.ask(&format!("ip route del {}", host(own)), MINUTE)?;
    }
    let (from, sas) = (device.ms(), connect(peer, plan, name, name)?);
    std::thread::sleep(Duration::from_secs(2));
    let found = judge::ipsec(&sas, &log(device, from));
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
        out.extend(services::through(plan, identities, device, peer, name, flow, own)?);
    }
    out.push(outside(peer, name, &flows, own)?);
    out.push(rekey::ipsec(device, peer, (name, facts, &connection(plan, name)), &flows)?);
    disconnect(peer)?;
    if let Some(flow) = flows.iter().find(|f| f.transport == "tcp") {
        let lines = peer.ask(
            &format!(
                "ip route replace {0} dev eth0 src {first}; p {own} {1}; ip route del {0}",
                host(own),
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
        let before = log(device, 0);
        let sas = connect(peer, plan, name, &format!("{name}@{}", refusal.name))?;
        let up = sas.iter().any(|line| line.contains("ESTABLISHED"));
        let (fresh, deadline) = (|| judge::fresh(&before, log(device, from)), Instant::now() + PATIENCE);
        let mut lines = fresh();
        while !lines.iter().any(|line| refusal.is_in(line)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
            lines = fresh();
        }
        out.push(judge::refusal(name, refusal, up, &lines));
        disconnect(peer)?;
    }
    Ok(out)
}

/// Name of the tunnel's connection and of its child, in the peer's configuration.
fn connection(plan: &Plan, tunnel: &str) -> String {
    format!("{}-{tunnel}", plan.product.name)
}

/// Starts strongSwan with a folder's identity, asks for the tunnel, and returns `--list-sas`.
pub(super) fn connect(peer: &mut Peer, plan: &Plan, tunnel: &str, folder: &str) -> Outcome<Vec<String>> {
    let child = connection(plan, tunnel);
    let file = format!("/run/peer/{folder}/swanctl.conf");
    // The shell keeps its number: not every image has a program that finds processes by name.
    let start = "rm -f /run/charon.vici; charon-systemd > /run/charon.log 2>&1 & charon=$!; n=0; \
                 until [ -S /run/charon.vici ] || [ $n = 100 ]; do sleep 0.1; n=$((n+1)); done";
    peer.ask(start, MINUTE)?;
    peer.ask(&format!("swanctl --load-all --noprompt --file {file} > /run/load.log 2>&1"), MINUTE)?;
    peer.ask(&format!("swanctl --initiate --child {child} --timeout 15 > /run/initiate.log 2>&1"), MINUTE)?;
    peer.ask("swanctl --list-sas", MINUTE)
}

/// Only up, for what is measured.
pub(super) fn raise(peer: &mut Peer, plan: &Plan, tunnel: &str) -> Outcome<()> {
    connect(peer, plan, tunnel, tunnel).map(|_| ())
}

/// Ends strongSwan, with its policies.
pub(super) fn disconnect(peer: &mut Peer) -> Outcome<()> {
    peer.ask("kill $charon; wait $charon; ip xfrm state flush; ip xfrm policy flush", MINUTE).map(|_| ())
}

pub(super) fn peer_files(plan: &Plan, name: &str, identities: &Identities) -> Files {
    let own = |path: &str| plan.outside.get(path).cloned().unwrap_or_default();
    let swanctl = own(&format!("peer/{name}/swanctl.conf"));
    let mut out = vec![("/etc/strongswan.conf".to_owned(), STRONGSWAN.into())];
    let mut add = |folder: &str, tree: &Tree, swanctl: String| {
        out.push((format!("/run/peer/{folder}/swanctl.conf"), swanctl.into_bytes()));
        out.extend(below(folder, tree));
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
