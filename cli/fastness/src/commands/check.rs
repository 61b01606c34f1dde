//! `fastness check`: is the product right, on each of its boards?

use std::path::PathBuf;

use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use evidence::threats::is_everybody;
use serde::Serialize;
use spec::plan::Plan;

use crate::cli::BackendName;
use crate::output::Output;
use crate::places::PRODUCT;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness check examples/cell-gateway/product.yaml
  fastness check --backend buildroot";

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The product file
    #[arg(default_value = PRODUCT)]
    product: PathBuf,
    /// Only this board; otherwise every board of the product
    #[arg(long, value_name = "BOARD")]
    board: Vec<String>,
    /// Only for this backend; otherwise for the product's, and for each that it has settings of
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendName>,
}

#[derive(Serialize)]
struct Checked {
    product: String,
    version: String,
    boards: Vec<BoardCheck>,
    /// What is allowed, and hardly meant.
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct BoardCheck {
    board: String,
    backend: String,
    plan_sha256: String,
    layers: Vec<String>,
    packages: usize,
    files: usize,
    linux_symbols: usize,
    uboot_symbols: usize,
    flows: usize,
    checks: usize,
    waivers: usize,
}

/// Resolves the plan for every board; reports every mistake once.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let boards = if arguments.board.is_empty() {
        stages::boards_of(&arguments.product)?
    } else {
        arguments.board.clone()
    };
    let mut plans = Vec::new();
    let mut trouble: Vec<Diagnostic> = Vec::new();
    let mut status = ExitStatus::Input;
    let backends = match arguments.backend {
        Some(backend) => vec![Some(backend)],
        None => stages::backends_of(&arguments.product)?,
    };
    for (board, backend) in boards.iter().flat_map(|board| backends.iter().map(move |b| (board, *b))) {
        // The keys that are trusted besides lie beside the product; its own is in a store that may be elsewhere.
        let plan = stages::plan(&arguments.product, Some(board), backend, None)
            .and_then(|plan| assemble::trusted(&plan).map(|_| plan));
        match plan {
            Ok(plan) => plans.push(plan),
            Err(failure) => {
                status = failure.status;
                for diagnostic in failure.diagnostics {
                    if !trouble.contains(&diagnostic) {
                        trouble.push(diagnostic);
                    }
                }
            }
        }
    }
    let Some(first) = plans.first().filter(|_| trouble.is_empty()) else {
        return Err(Failure { status, diagnostics: trouble });
    };
    let checked = Checked {
        product: first.product.name.clone(),
        version: first.product.version.clone(),
        boards: plans.iter().map(board_check).collect(),
        warnings: warnings(first),
    };
    output.result(&checked, |_| text(&checked));
    Ok(ExitStatus::Success)
}

/// Conduits to the device from everybody: which zone is trusted no plan says.
fn warnings(plan: &Plan) -> Vec<String> {
    let open = plan.network.flows.iter().filter_map(|flow| {
        let mut peers = flow.peers_v4.iter().chain(&flow.peers_v6);
        let everybody = peers.find(|peer| flow.direction == "in" && is_everybody(peer))?;
        Some(format!(
            "the conduit `{}` lets everybody in (`{everybody}`): name the peers that need it",
            flow.name
        ))
    });
    open.collect()
}

fn board_check(plan: &Plan) -> BoardCheck {
    BoardCheck {
        board: plan.board.name.clone(),
        backend: plan.backend.clone(),
        plan_sha256: plan.sha256(),
        layers: plan.layers.iter().map(|layer| layer.name.clone()).collect(),
        packages: plan.packages.len(),
        files: plan.files.len(),
        linux_symbols: plan.linux.symbols.len(),
        uboot_symbols: plan.uboot.symbols.len(),
        flows: plan.network.flows.len(),
        checks: plan.checks.len(),
        waivers: plan.waivers.len(),
    }
}

fn text(checked: &Checked) -> String {
    let mut out = format!("{} {} is right\n", checked.product, checked.version);
    let several = checked.boards.iter().any(|board| board.backend != checked.boards[0].backend);
    for board in &checked.boards {
        out.push_str(&format!(
            "  {}{}: {} layers, {} packages, {} files, {} Linux and {} U-Boot symbols, {} flows, {} checks, \
             {} waivers\n",
            board.board,
            if several { format!(" with {}", board.backend) } else { String::new() },
            board.layers.len(),
            board.packages,
            board.files,
            board.linux_symbols,
            board.uboot_symbols,
            board.flows,
            board.checks,
            board.waivers
        ));
    }
    for warning in &checked.warnings {
        out.push_str(&format!("warning: {warning}\n"));
    }
    out
}
