//! Where does this come from: who asked for a value of the plan, where and why.

use diag::did_you_mean;
use serde::Serialize;

use crate::plan::{AcceptedRisk, Asked, FilePlan, NetworkFacts, Origin, Plan};

/// One value of the plan and everybody who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What it is: `linux symbol`, `file`, `package`, `unit`, `check`, `sysctl`, `user`, …; or
    /// `suggestion` when nothing has the name asked for.
    pub what: String,
    /// Its name.
    pub name: String,
    /// Its value in words.
    pub value: String,
    /// Who asked.
    pub origins: Vec<Origin>,
}

/// Everything in the plan that has this name. With `CONFIG_` or without, with the plan's other
/// names as they are. Nothing found: one `suggestion` with the nearest name, if one is near.
#[must_use]
pub fn explain(plan: &Plan, query: &str) -> Vec<Explanation> {
    let symbol = query.strip_prefix("CONFIG_").unwrap_or(query);
    let all = everything(plan);
    let found: Vec<Explanation> = all
        .iter()
        .filter(|e| {
            e.name == query || (e.what.ends_with(" symbol") && e.name == symbol) || is_argument(e, query)
        })
        .cloned()
        .collect();
    if !found.is_empty() {
        return found;
    }
    let near = did_you_mean(query, all.iter().map(|e| e.name.as_str()))
        .or_else(|| did_you_mean(symbol, all.iter().map(|e| e.name.as_str())));
    near.map(|name| Explanation {
        what: "suggestion".to_owned(),
        name: name.to_owned(),
        value: format!("nothing in the plan is named `{query}`; did you mean `{name}`?"),
        origins: Vec::new(),
    })
    .into_iter()
    .collect()
}

fn is_argument(explanation: &Explanation, query: &str) -> bool {
    explanation.what == "kernel argument" && explanation.name.split('=').next() == Some(query)
}

fn everything(plan: &Plan) -> Vec<Explanation> {
    let mut all = Vec::new();
    let mut add = |what: &str, name: &str, value: String, origins: &[Origin]| {
        all.push(Explanation { what: what.into(), name: name.into(), value, origins: origins.to_vec() });
    };
    let buildroot = plan.buildroot.iter().map(|facts| ("buildroot symbol", &facts.symbols));
    let busybox = plan.buildroot.iter().filter_map(|facts| facts.busybox.as_ref());
    let buildroot = buildroot.chain(busybox.map(|asked| ("busybox symbol", asked)));
    for (what, kconfig) in
        [("uboot symbol", &plan.uboot), ("linux symbol", &plan.linux)].into_iter().chain(buildroot)
    {
        for (name, asked) in &kconfig.symbols {
            let value = if asked.value == "n" { "is not set".to_owned() } else { asked.value.clone() };
            add(what, name, value, &asked.origins);
        }
    }
    for asked in &plan.cmdline {
        add("kernel argument", &asked.value, asked.value.clone(), &asked.origins);
    }
    for (name, asked) in &plan.packages {
        add("package", name, "installed".to_owned(), &asked.origins);
    }
    for (path, asked) in &plan.files {
        add("file", path, file(asked), &asked.origins);
    }
    for (path, asked) in &plan.removals {
        add("removal", path, "taken out of the packages' files".to_owned(), &asked.origins);
    }
    for (name, asked) in &plan.users {
        let user = &asked.value;
        let value =
            format!("uid {}, group {}, home {}, shell {}", user.uid, user.group, user.home, user.shell);
        add("user", name, value, &asked.origins);
    }
    for (name, asked) in &plan.groups {
        add("group", name, format!("gid {}", asked.value.gid), &asked.origins);
    }
    for (name, asked) in &plan.units {
        add("unit", name, format!("{:?}", asked.value).to_lowercase(), &asked.origins);
    }
    for (what, map) in [("sysctl", &plan.sysctl), ("mode", &plan.modes)] {
        for (name, asked) in map {
            add(what, name, asked.value.clone(), &asked.origins);
        }
    }
    for (id, asked) in &plan.checks {
        let check = &asked.value;
        let requirements = check.requirements.join(", ");
        add("check", id, format!("{} ({}; serves {requirements})", check.title, check.kind), &asked.origins);
    }
    network(&plan.network, &mut add);
    for (target, asked) in &plan.waivers {
        add("waiver", target, "may stay unmet".to_owned(), &asked.origins);
    }
    all
}

/// Conduits, frames and tunnels with what of them answers. They are the product's own words.
fn network(network: &NetworkFacts, add: &mut impl FnMut(&str, &str, String, &[Origin])) {
    let answers = |name: &str| -> String {
        let own = network.surface.iter().filter(|surface| surface.conduit.as_deref() == Some(name));
        let lines: Vec<String> = own.map(|surface| format!("\n  answers on {surface}")).collect();
        if lines.is_empty() { "\n  answers nobody".to_owned() } else { lines.concat() }
    };
    for flow in &network.flows {
        let way = if flow.direction == "in" { "from" } else { "to" };
        let peers: Vec<&str> = flow.peers_v4.iter().chain(&flow.peers_v6).map(String::as_str).collect();
        let value = format!(
            "{}/{} {way} {} in the zone {}, {}: {}{}",
            flow.transport,
            flow.port,
            peers.join(", "),
            flow.zone,
            clear(flow.tunnel.as_deref(), flow.accepted_risk.as_ref()),
            flow.reason,
            answers(&flow.name)
        );
        add("conduit", &flow.name, value, &[]);
    }
    for frames in &network.frames {
        let value = format!(
            "frames {} of {} on {}, {}: {}{}",
            frames.ethertype,
            frames.protocol,
            frames.interfaces.join(", "),
            clear(None, frames.accepted_risk.as_ref()),
            frames.reason,
            answers(&frames.name)
        );
        add("conduit", &frames.name, value, &[]);
    }
    for (name, tunnel) in &network.tunnels {
        let value = format!(
            "{} with {} at {}, {}: {}{}",
            tunnel.kind,
            tunnel.peer_name,
            tunnel.peer_address,
            tunnel.proposals.join(" or "),
            tunnel.reason,
            answers(name)
        );
        add("tunnel", name, value, &[]);
    }
    if let Some(ocsp) = &network.ocsp {
        let value = format!("strongSwan asks {} for its peers, through `{}`", ocsp.url, ocsp.flow);
        add("responder", "ocsp", value, &[]);
    }
    if let Some(collector) = &network.collector {
        let value = format!(
            "records go to {} at {}, port {}, over TLS, through `{}`",
            collector.name, collector.address, collector.port, collector.flow
        );
        add("collector", &collector.name, value, &[]);
    }
    for (name, application) in &network.opcua {
        let policies: Vec<&str> = application.policies.iter().map(|policy| policy.name.as_str()).collect();
        let value = format!(
            "OPC UA {} on port {}, {}, users by {}, {} with {}: {}",
            application.role,
            application.port,
            application.application_uri,
            application.user_tokens.join(" or "),
            application.modes.join(" or "),
            policies.join(" or "),
            application.reason
        );
        add("opcua", name, value, &[]);
    }
}

fn clear(tunnel: Option<&str>, risk: Option<&AcceptedRisk>) -> String {
    match (tunnel, risk) {
        (Some(tunnel), _) => format!("through the tunnel `{tunnel}`"),
        (None, Some(risk)) => format!("in clear (accepted by {}: {})", risk.by, risk.reason),
        (None, None) => "in clear".to_owned(),
    }
}

fn file(asked: &Asked<FilePlan>) -> String {
    match &asked.value {
        FilePlan::File { mode, owner, group, content } => {
            format!("file, mode {mode}, {owner}:{group}, {} bytes", content.len())
        }
        FilePlan::Program { mode, owner, group, sha256, .. } => {
            format!("program, mode {mode}, {owner}:{group}, sha256 {sha256}")
        }
        FilePlan::Directory { mode, owner, group } => format!("folder, mode {mode}, {owner}:{group}"),
        FilePlan::Symlink { target } => format!("link to {target}"),
    }
}
