//! `nft-ruleset`: the firewall, loaded by the real `nft` and read back.
//!
//! The ruleset is copied out of the image and loaded in a new user and network namespace, so
//! that no root is needed and nothing of the host's network is seen or changed; where no
//! namespace is to be had, the image loads it itself in QEMU ([`nft_machine`]). What is accepted there must be exactly the plan's flows, besides loopback, ICMP and answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use exec::Call;
use serde::Deserialize;
use spec::plan::{BoardFacts, Flow, Plan, TunnelFacts};

use super::Kind;
use super::nft_machine;
use super::nft_walk::{Accept, Ruleset};
use crate::subject::Subject;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct NftRuleset;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    path: String,
    /// Each chain also records what it drops, at a bounded rate, and no flow takes invalid packets.
    #[serde(default)]
    strict: bool,
    /// Each accepted flow into the device is bounded by a rate.
    #[serde(default)]
    limited: bool,
}

/// Loads `$1` with `$2` and lists what is there; both in one process group of the namespace.
const SCRIPT: &str = r#""$2" -f "$1" && "$2" -j list ruleset"#;

impl Kind for NftRuleset {
    const NAME: &'static str = "nft-ruleset";
    const DESCRIPTION: &'static str =
        "the real nft loads it; input, forward and output drop; accepted are exactly the plan's flows";
    type With = With;

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let plan = context.plan()?;
        let mut expected = "policy drop everywhere; accepted are exactly the plan's flows".to_owned();
        for (asked, text) in [
            (with.strict, "no invalid packets; drops logged at a bounded rate"),
            (with.limited, "flows in limited"),
        ] {
            if asked {
                expected += &format!("; {text}");
            }
        }
        let conclude = |problems: &[String], good: String| {
            Ok(Conclusion::of(problems, expected.clone(), good, &root.sha256))
        };
        let Some(text) = root.read_text(&with.path)? else {
            return conclude(&[format!("`{}` is missing", with.path)], String::new());
        };
        let (loaded, by) = load_anyhow(context.subject, Some(&plan.board), &with.path, &text)?;
        let ruleset = match loaded {
            Ok(json) => Ruleset::parse(&json).map_err(Unable::broken)?,
            Err(refusal) => return conclude(&[format!("nft refuses it: {refusal}")], String::new()),
        };
        let (problems, accepted) = compare(&ruleset, plan, &with).map_err(Unable::broken)?;
        let good = if accepted.is_empty() { "nothing is accepted".to_owned() } else { accepted.join(", ") };
        conclude(&problems, format!("accepted: {good}{by}"))
    }
}

/// A ruleset as nft's JSON (the inner error is nft's refusal), and who loaded it where that was not this
/// host's nft: without a namespace, and where the board is known, the image itself does in QEMU.
///
/// # Errors
/// When nobody can load it.
pub(crate) fn load_anyhow(
    subject: &Subject,
    board: Option<&BoardFacts>,
    path: &str,
    text: &str,
) -> Result<(Result<Vec<u8>, String>, &'static str), Unable> {
    // An include would make nft read files of this host.
    if text.split(['\n', ';', '{', '}']).any(|part| part.trim_start().starts_with("include")) {
        return Err(Unable::broken(format!("`{path}` includes other files, which are not followed")));
    }
    match (load(text), board) {
        (Ok(loaded), _) => Ok((loaded, "")),
        (Err(here), None) => Err(here),
        (Err(here), Some(board)) => {
            let loaded = nft_machine::load_once(subject, board, path);
            let loaded =
                loaded.map_err(|there| Unable::broken(format!("{here}; and not in QEMU: {there}")))?;
            Ok((loaded, " (loaded by the image's own nft and kernel in QEMU)"))
        }
    }
}

/// The ruleset as nft's JSON; the inner error is nft's refusal of the ruleset.
fn load(text: &str) -> Result<Result<Vec<u8>, String>, Unable> {
    let tool = |name: &str| exec::tool(name).and_then(|tool| exec::find(&tool).map(|path| (tool, path)));
    let unable = |what: &str, why: &dyn std::fmt::Display| Unable::broken(format!("{what}: {why}"));
    let (_, nft) = tool("nft").map_err(|e| unable("nft", &e.diagnostics[0].message))?;
    let (unshare, _) = tool("unshare").map_err(|e| unable("unshare", &e.diagnostics[0].message))?;
    let folder = tempfile::tempdir().map_err(|e| unable("temporary folder", &e))?;
    let file = folder.path().join("ruleset.nft");
    std::fs::write(&file, text).map_err(|e| unable("temporary folder", &e))?;
    let limit = Duration::from_secs(20);
    // First prove that a namespace can be had at all: then a failure below is nft's own. In a container
    // or a chroot a user namespace may be refused, and root does not need one.
    let probe_log = folder.path().join("probe.log");
    let probe = |flags: &&[&str]| {
        let call = Call::new(unshare).args(*flags).arg(&nft).args(["list", "tables"]);
        call.log(&probe_log).limit(limit).run().is_ok()
    };
    let Some(flags) = [&["-r", "-n"][..], &["-n"]].into_iter().find(probe) else {
        let why = std::fs::read_to_string(&probe_log).unwrap_or_default();
        return Err(Unable::broken(format!(
            "a private network namespace with nf_tables is not to be had here, neither with a user namespace nor as \
             root: {}",
            why.lines().last().unwrap_or("no message")
        )));
    };
    let log = folder.path().join("nft.log");
    let call = Call::new(unshare)
        .args(flags)
        .args(["sh", "-c", SCRIPT, "sh"])
        .arg(&file)
        .arg(&nft)
        .log(&log)
        .limit(limit);
    match call.output() {
        Ok(json) => Ok(Ok(json)),
        Err(_) => {
            let host_path = file.display().to_string();
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            Ok(Err(log.lines().next().unwrap_or("no message").replace(&host_path, "line")))
        }
    }
}

/// One accepted destination: direction, interface, transport, port (0: the transport has none), IP
/// family, and the `reqid` of the IPsec policy that it must have passed.
type Key = (&'static str, String, String, u16, &'static str, Option<String>);
/// The other sides of each.
type Accepted = BTreeMap<Key, BTreeSet<String>>;

fn compare(ruleset: &Ruleset, plan: &Plan, with: &With) -> Result<(Vec<String>, Vec<String>), String> {
    let mut problems = Vec::new();
    let mut accepted = Accepted::new();
    for (hook, direction) in [("input", "in"), ("output", "out"), ("forward", "forward")] {
        let bases = ruleset.bases(hook)?;
        let [base] = bases.as_slice() else {
            problems.push(format!("{} filter chains at hook {hook}, expected one", bases.len()));
            continue;
        };
        if base.policy != "drop" {
            problems.push(format!("`{}` has policy {}", base.name, base.policy));
        }
        if base.family != "inet" {
            problems.push(format!("`{}` covers only one IP version", base.name));
        }
        if with.strict && !base.logs {
            problems.push(format!("`{}` does not log what it drops at a bounded rate", base.name));
        }
        for accept in &base.accepts {
            let tuples = match classify(accept, direction) {
                Ok(tuples) => tuples,
                Err(why) => {
                    problems.push(format!("`{}` accepts {why}", base.name));
                    continue;
                }
            };
            let Some(first) = tuples.first() else { continue };
            // ESP is limited by the keys that it needs: what does not decrypt ends there.
            let open = direction == "in" && !accept.limited && first.0.2 != "esp";
            // What connection tracking calls invalid belongs to no flow.
            let invalid = accept.states.as_ref().is_none_or(|states| states.contains("invalid"));
            if with.limited && open {
                problems.push(format!("`{}` accepts {} without a rate limit", base.name, shown(first)));
            } else if with.strict && invalid {
                problems.push(format!("`{}` accepts {} whatever its state", base.name, shown(first)));
            } else {
                add(&mut accepted, tuples);
            }
        }
    }
    let mut wanted = Accepted::new();
    plan.network.flows.iter().for_each(|flow| add(&mut wanted, tuples_of(flow, plan)));
    plan.network.tunnels.values().for_each(|tunnel| add(&mut wanted, ends_of(tunnel)));
    for (key, peers) in &accepted {
        let extra: BTreeSet<_> =
            peers.difference(wanted.get(key).unwrap_or(&BTreeSet::new())).cloned().collect();
        if !extra.is_empty() {
            problems.push(format!("accepts {}, which no flow allows", shown(&(key.clone(), extra))));
        }
    }
    for (key, peers) in &wanted {
        let missing: BTreeSet<_> =
            peers.difference(accepted.get(key).unwrap_or(&BTreeSet::new())).cloned().collect();
        if !missing.is_empty() {
            problems.push(format!("does not accept {}, which a flow allows", shown(&(key.clone(), missing))));
        }
    }
    problems.sort();
    problems.dedup();
    Ok((problems, accepted.into_iter().map(|pair| shown(&pair)).collect()))
}

fn add(all: &mut Accepted, tuples: Vec<(Key, BTreeSet<String>)>) {
    for (key, peers) in tuples {
        all.entry(key).or_default().extend(peers);
    }
}

fn tuples_of(flow: &Flow, plan: &Plan) -> Vec<(Key, BTreeSet<String>)> {
    let direction = if flow.direction == "in" { "in" } else { "out" };
    let tunnel = flow.tunnel.as_ref().and_then(|name| plan.network.tunnels.get(name));
    let reqid = tunnel.and_then(|tunnel| tunnel.reqid).map(|reqid| reqid.to_string());
    let mut tuples = Vec::new();
    for interface in &flow.interfaces {
        for (family, peers) in [("ip", &flow.peers_v4), ("ip6", &flow.peers_v6)] {
            if !peers.is_empty() {
                let peers = peers.iter().map(|peer| normal_prefix(peer)).collect();
                let (interface, transport) = (interface.clone(), flow.transport.clone());
                tuples.push(((direction, interface, transport, flow.port, family, reqid.clone()), peers));
            }
        }
    }
    tuples
}

/// The outer packets of a tunnel: keys and ESP both ways, or the client's side of OpenVPN.
fn ends_of(tunnel: &TunnelFacts) -> Vec<(Key, BTreeSet<String>)> {
    let family = if tunnel.peer_address.contains(':') { "ip6" } else { "ip" };
    let end = |direction: &'static str, transport: &str, port: u16| {
        let key = (direction, tunnel.interface.clone(), transport.to_owned(), port, family, None);
        (key, BTreeSet::from([normal_prefix(&tunnel.peer_address)]))
    };
    let ports = tunnel.ports.iter();
    if tunnel.kind != "strongswan" {
        return ports.map(|port| end("out", "udp", *port)).collect();
    }
    let both = |port: &u16| [end("in", "udp", *port), end("out", "udp", *port)];
    ports.flat_map(both).chain([end("in", "esp", 0), end("out", "esp", 0)]).collect()
}

/// What an acceptance means; empty for loopback, ICMP and answers.
fn classify(accept: &Accept, direction: &'static str) -> Result<Vec<(Key, BTreeSet<String>)>, String> {
    let only = |field: &Option<BTreeSet<String>>, names: &[&str]| {
        field.as_ref().is_some_and(|set| set.iter().all(|name| names.contains(&name.as_str())))
    };
    if direction != "forward" && (only(&accept.from, &["lo"]) || only(&accept.to, &["lo"])) {
        return Ok(Vec::new());
    }
    if only(&accept.states, &["established", "related"]) && direction != "forward" {
        return Ok(Vec::new());
    }
    if direction != "forward" && only(&accept.transport, &["icmp", "ipv6-icmp", "icmpv6"]) {
        return Ok(Vec::new());
    }
    if direction == "forward" {
        return Err(format!("forwarded packets: {accept:?}"));
    }
    let (interfaces, other) =
        if direction == "in" { (&accept.from, &accept.source) } else { (&accept.to, &accept.destination) };
    let Some(interfaces) = interfaces else { return Err("on any interface".to_owned()) };
    let of_interfaces = || interfaces.iter().cloned().collect::<Vec<_>>().join(", ");
    let ports = match &accept.ports {
        None if only(&accept.transport, &["esp"]) => BTreeSet::from([0]),
        Some(ports) => ports.clone(),
        None => return Err(format!("any port on {}", of_interfaces())),
    };
    let Some(transports) = &accept.transport else { return Err(format!("any port on {}", of_interfaces())) };
    let Some((family, peers)) = other else { return Err(format!("any peer on {}", of_interfaces())) };
    let family = if family == "ip" { "ip" } else { "ip6" };
    let peers: BTreeSet<String> = peers.iter().map(|peer| normal_prefix(peer)).collect();
    let reqid = accept.reqid.as_ref().map(|ids| ids.iter().cloned().collect::<Vec<_>>().join(" or "));
    let mut tuples = Vec::new();
    for interface in interfaces {
        for transport in transports {
            for port in &ports {
                let key = (direction, interface.clone(), transport.clone(), *port, family, reqid.clone());
                tuples.push((key, peers.clone()));
            }
        }
    }
    Ok(tuples)
}

/// A prefix in one form: a host without `/32` or `/128`, host bits cleared, as nft lists it.
fn normal_prefix(text: &str) -> String {
    use std::net::IpAddr;
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, length.parse::<u32>().ok()),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else { return text.to_owned() };
    let (bits, value) = match address {
        IpAddr::V4(v4) => (32, u128::from(u32::from(v4)) << 96),
        IpAddr::V6(v6) => (128, u128::from(v6)),
    };
    let length = length.unwrap_or(bits).min(bits);
    let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
    let masked = value & mask;
    let address = match address {
        IpAddr::V4(_) => IpAddr::from(((masked >> 96) as u32).to_be_bytes()),
        IpAddr::V6(_) => IpAddr::from(masked.to_be_bytes()),
    };
    if length == bits { address.to_string() } else { format!("{address}/{length}") }
}

fn shown(((direction, interface, transport, port, _, reqid), peers): &(Key, BTreeSet<String>)) -> String {
    let peers = peers.iter().cloned().collect::<Vec<_>>().join(", ");
    let what = if *port == 0 { transport.clone() } else { format!("{transport}/{port}") };
    let through = reqid.as_ref().map(|reqid| format!(" through IPsec (reqid {reqid})")).unwrap_or_default();
    let way = if *direction == "in" { "from" } else { "to" };
    format!("{what} {way} {peers} on {interface}{through}")
}

#[cfg(test)]
mod tests;
