//! `fastness plan`: product × board × layers, fully resolved.

use std::path::PathBuf;

use diag::{ExitStatus, Outcome};
use spec::plan::{AcceptedRisk, FilePlan, Plan};

use crate::cli::BackendName;
use crate::output::Output;
use crate::places::PRODUCT;
use crate::stages;

const EXAMPLE: &str = "Example:\n  fastness plan --json > plan.json";

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The product file
    #[arg(default_value = PRODUCT)]
    product: PathBuf,
    /// The board; otherwise the product's first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// The backend; otherwise the product's
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendName>,
}

/// Shows the plan.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let plan = stages::plan(&arguments.product, arguments.board.as_deref(), arguments.backend, None)?;
    output.result(&plan, |_| text(&plan));
    Ok(ExitStatus::Success)
}

fn text(plan: &Plan) -> String {
    let product = &plan.product;
    let mut out = format!(
        "{} {} for {}\n{}\n{}, security level {}; signed with `{}` ({}, {})\nplan sha256 {}\n",
        product.name,
        product.version,
        plan.board.name,
        product.description,
        product.component_type,
        product.security_level,
        plan.signing.key,
        plan.signing.algorithm,
        plan.signing.padding,
        plan.sha256()
    );
    section(&mut out, "layers", plan.layers.iter().map(|layer| format!("{}: {}", layer.name, layer.title)));
    network(&mut out, plan);
    section(&mut out, "packages", plan.packages.keys().cloned());
    section(
        &mut out,
        "files",
        plan.files.iter().map(|(path, asked)| match &asked.value {
            FilePlan::File { mode, owner, group, .. } | FilePlan::Program { mode, owner, group, .. } => {
                format!("{mode} {owner}:{group} {path}")
            }
            FilePlan::Directory { mode, owner, group } => format!("{mode} {owner}:{group} {path}/"),
            FilePlan::Symlink { target } => format!("link {path} -> {target}"),
        }),
    );
    section(
        &mut out,
        "users",
        plan.users
            .iter()
            .map(|(name, asked)| format!("{:>5} {name} ({})", asked.value.uid, asked.value.comment)),
    );
    section(
        &mut out,
        "units",
        plan.units
            .iter()
            .map(|(name, asked)| format!("{:<8} {name}", format!("{:?}", asked.value).to_lowercase())),
    );
    section(&mut out, "kernel arguments", plan.cmdline.iter().map(|asked| asked.value.clone()));
    section(&mut out, "checks", plan.checks.iter().map(|(id, asked)| format!("{id}: {}", asked.value.title)));
    section(
        &mut out,
        "waivers",
        plan.waivers.iter().map(|(what, asked)| {
            let reasons: Vec<&str> = asked.origins.iter().map(|origin| origin.reason.as_str()).collect();
            format!("{what}: {}", reasons.join("; "))
        }),
    );
    out.push_str(&format!(
        "\n{} Linux and {} U-Boot symbols, {} sysctl keys: see `--json` or `fastness explain NAME`\n",
        plan.linux.symbols.len(),
        plan.uboot.symbols.len(),
        plan.sysctl.len()
    ));
    out
}

fn network(out: &mut String, plan: &Plan) {
    let network = &plan.network;
    section(
        out,
        "flows; everything else is denied",
        network.flows.iter().map(|flow| {
            let peers: Vec<&str> = flow.peers_v4.iter().chain(&flow.peers_v6).map(String::as_str).collect();
            format!(
                "{:<3} {} {}/{} {} {} ({}){}",
                flow.direction,
                flow.zone,
                flow.transport,
                flow.port,
                peers.join(", "),
                flow.name,
                flow.reason,
                passing(flow.tunnel.as_deref(), flow.accepted_risk.as_ref())
            )
        }),
    );
    section(
        out,
        "frames without IP",
        network.frames.iter().map(|frames| {
            format!(
                "{:<4} {} {} {} {} ({}){}",
                frames.direction,
                frames.zone,
                frames.ethertype,
                frames.protocol,
                frames.name,
                frames.reason,
                passing(None, frames.accepted_risk.as_ref())
            )
        }),
    );
    section(
        out,
        "tunnels",
        network.tunnels.iter().map(|(name, tunnel)| {
            let behind: Vec<&str> =
                tunnel.networks_v4.iter().chain(&tunnel.networks_v6).map(String::as_str).collect();
            // The limits stand where people read what they get.
            let limits = match (tunnel.kind.as_str(), tunnel.in_tpm) {
                ("wireguard", _) => ", without certificates and revocation",
                (_, true) => ", its key in the TPM",
                _ => "",
            };
            format!(
                "{name}: {}{limits} with {} ({}) by {}; behind it {} ({})",
                tunnel.kind,
                tunnel.peer_name,
                tunnel.peer_address,
                tunnel.interface,
                behind.join(", "),
                tunnel.reason
            )
        }),
    );
    section(out, "what answers; everything else is silent", network.surface.iter().map(ToString::to_string));
}

/// How a flow passes, where there is more to say than that it does.
fn passing(tunnel: Option<&str>, risk: Option<&AcceptedRisk>) -> String {
    match (tunnel, risk) {
        (Some(tunnel), _) => format!("; through the tunnel `{tunnel}` only"),
        (None, Some(risk)) => format!("; IN CLEAR, accepted by {}: {}", risk.by, risk.reason),
        (None, None) => String::new(),
    }
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    out.push_str(&format!("\n{title}\n"));
    for line in lines {
        out.push_str(&format!("  {line}\n"));
    }
}
