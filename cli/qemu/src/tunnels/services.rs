//! What the services behind a tunnel answer: that somebody does, a register over Modbus, a node of OPC UA.

use std::time::Duration;

use diag::{ExitStatus, Failure, Outcome};
use record::TunnelClass;
use spec::plan::{Flow, OpcuaFacts, Plan};
use traffic::industrial::{self, OPCUA_REFUSALS};
use traffic::tunnel::{self as judge, Probe};

use super::{Files, Identities, MINUTE, class, log, not_run, not_shown};
use crate::machine::Machine;
use crate::peer::Peer;

/// Name of the protocol that is asked for a register.
const MODBUS: &str = "modbus-tcp";
/// Time until the device's journal has come to its console.
const JOURNAL: Duration = Duration::from_millis(500);

/// Whether a conduit answers through its tunnel, and what is read from the service behind it.
pub(super) fn through(
    plan: &Plan,
    identities: &Identities,
    device: &Machine,
    peer: &mut Peer,
    name: &str,
    flow: &Flow,
    own: &str,
) -> Outcome<Vec<TunnelClass>> {
    let served = plan.proof.served.contains(&flow.service);
    let lines = peer.ask(&format!("p {own} {}", flow.port), MINUTE)?;
    let found = judge::probe(&lines);
    let problem = match found {
        Some(Probe::Open) => None,
        Some(Probe::Refused) if !served => None,
        Some(Probe::Refused) => {
            Some(format!("nobody listens for `{}`, though a program of the product serves it", flow.service))
        }
        _ => Some(format!("the conduit `{}` does not answer through its tunnel", flow.name)),
    };
    let mut out = vec![class(name, &format!("through {}", flow.name), lines, problem.into_iter().collect())];
    let reads = format!("reads {}", flow.name);
    let application = plan.network.opcua.iter().find(|(_, facts)| {
        facts.role == "server" && facts.service == flow.service && facts.port == flow.port
    });
    if found != Some(Probe::Open) {
        // The class above failed already where there should be a program.
        if !served && (flow.protocol.as_deref() == Some(MODBUS) || application.is_some()) {
            let why = format!("no program of the product serves `{}`", flow.service);
            out.push(not_shown(name, &reads, why));
        }
    } else if flow.protocol.as_deref() == Some(MODBUS) {
        let lines = peer.ask(&format!("m {own} {}", flow.port), MINUTE)?;
        let (seen, problems) = match industrial::register(&lines) {
            Ok(value) => (vec![format!("holding register 0 is {value}")], vec![]),
            Err(why) => (lines, vec![why]),
        };
        out.push(class(name, &reads, seen, problems));
    } else if let Some((application, facts)) = application {
        let subject = Subject { name, application, facts, own };
        match identities.readers.contains_key(application) {
            true => out.extend(opcua(plan, device, peer, &subject, &reads)?),
            false => out.push(not_shown(
                name,
                &reads,
                format!("the program that serves `{}` names no reader (`proof`)", flow.service),
            )),
        }
    }
    Ok(out)
}

/// A server behind a tunnel.
struct Subject<'a> {
    name: &'a str,
    application: &'a str,
    facts: &'a OpcuaFacts,
    own: &'a str,
}

/// One node is read; and then each peer that must not read it.
fn opcua(
    plan: &Plan,
    device: &Machine,
    peer: &mut Peer,
    subject: &Subject<'_>,
    reads: &str,
) -> Outcome<Vec<TunnelClass>> {
    let mut out = Vec::new();
    let (lines, told) = read(plan, device, peer, subject, "good", "eve")?;
    let (seen, problems) = industrial::opcua_read(subject.facts, &lines, &told);
    out.push(class(subject.name, reads, seen, problems));
    for reason in OPCUA_REFUSALS {
        let (settings, user) = match reason.name {
            "opcua-policy-none" => ("good", "none"),
            "opcua-anonymous" => ("good", "anonymous"),
            "opcua-unknown-user" => ("good", "mallory"),
            "opcua-untrusted" => ("stranger", "eve"),
            "opcua-revoked" => ("revoked", "eve"),
            other => {
                let why = "no such peer was made".to_owned();
                out.push(not_run(subject.name, &format!("refuses {other}"), why));
                continue;
            }
        };
        let (lines, told) = read(plan, device, peer, subject, settings, user)?;
        out.push(industrial::opcua_refusal(subject.name, reason, &lines, &told));
    }
    Ok(out)
}

/// Starts the reader with one identity and one user; its lines, and the device's log meanwhile.
fn read(
    plan: &Plan,
    device: &Machine,
    peer: &mut Peer,
    Subject { application, facts, own, .. }: &Subject<'_>,
    settings: &str,
    user: &str,
) -> Outcome<(Vec<String>, Vec<String>)> {
    let node = plan.proof.readers.get(*application).map(|reader| reader.node.as_str()).unwrap_or_default();
    let (certificate, key) = match user {
        "none" | "anonymous" => (user.to_owned(), "-".to_owned()),
        user => (format!("{user}.der"), format!("{user}.pem")),
    };
    let from = device.ms();
    let at = if own.contains(':') { format!("[{own}]") } else { (*own).to_owned() };
    let node = node.replace('\'', "'\\''");
    // The stack's own log is between brackets, on standard output; why it was refused comes last.
    let command = format!(
        "cd '/run/peer/opcua/{application}'; chmod 700 reader; timeout 50 ./reader {settings}.conf \
         opc.tcp://{at}:{} server.der {certificate} {key} '{node}' > /run/reader.out 2> /run/reader.err; \
         grep -av '^\\[' /run/reader.out; cat /run/reader.err; cd /",
        facts.port
    );
    let lines = peer.ask(&command, MINUTE)?;
    std::thread::sleep(JOURNAL);
    let told = log(device, from).into_iter().filter(|line| !line.contains("audit")).collect();
    Ok((lines, told))
}

/// The readers, their settings, identities and users.
pub(super) fn peer_files(plan: &Plan, identities: &Identities) -> Outcome<Files> {
    let mut out = Files::new();
    for (name, tree) in &identities.readers {
        let Some(reader) = plan.proof.readers.get(name) else { continue };
        let program = reader.program().map_err(|why| {
            Failure::error(ExitStatus::Input, "reader", why)
                .hint("build the image again with `fastness build`")
        })?;
        let place = format!("/run/peer/opcua/{name}");
        out.push((format!("{place}/reader"), program));
        let settings = plan.outside.get(&format!("opcua/{name}/open62541.conf")).cloned().unwrap_or_default();
        for who in ["good", "stranger", "revoked"] {
            out.push((format!("{place}/{who}.conf"), settings_of(&settings, name, who).into_bytes()));
        }
        out.extend(
            tree.iter().filter_map(|(path, item)| Some((format!("{place}/{path}"), item.content.clone()?))),
        );
    }
    Ok(out)
}

/// The settings with the folder of one identity; it trusts what the good one does.
fn settings_of(settings: &str, name: &str, who: &str) -> String {
    let own = format!("= ./{name}/own/");
    let text = settings.replace(&own, &format!("= ./{who}/own/"));
    text.replace(&format!("= ./{name}/"), "= ./good/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_identity_has_its_own_key_and_the_same_trust() {
        let text = "certificate = ./plc/own/certs/application.der\ntrusted = ./plc/trusted\n";
        assert_eq!(
            settings_of(text, "plc", "stranger"),
            "certificate = ./stranger/own/certs/application.der\ntrusted = ./good/trusted\n"
        );
    }
}
