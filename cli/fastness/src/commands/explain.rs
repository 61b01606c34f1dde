//! `fastness explain`: where does this come from?

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use spec::Explanation;
use spec::plan::Plan;

use crate::cli::BackendName;
use crate::output::Output;
use crate::places::PRODUCT;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness explain CONFIG_DEVMEM
  fastness explain BR2_PACKAGE_AUDIT --backend buildroot
  fastness explain /etc/ssh/sshd_config --product examples/cell-gateway/product.yaml";

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// A Kconfig symbol, path, package, unit, user, sysctl key, kernel argument, check or waiver
    name: String,
    /// The product file
    #[arg(long, value_name = "FILE", default_value = PRODUCT)]
    product: PathBuf,
    /// The board; otherwise the product's first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// The backend; otherwise the product's. A name of Buildroot's or BitBake's is only in the plan of that backend
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendName>,
}

/// Explains a name of the plan.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let plan = stages::plan(&arguments.product, arguments.board.as_deref(), arguments.backend, None)?;
    let found = spec::explain(&plan, &arguments.name);
    let (suggestions, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|e| e.what == "suggestion");
    if found.is_empty() {
        let failure = Failure::error(
            ExitStatus::Input,
            "not-in-plan",
            format!("nothing in the plan is named `{}`", arguments.name),
        );
        return Err(match suggestions.first() {
            Some(near) => failure.hint(format!("did you mean `{}`?", near.name)),
            None => failure.hint(hint(&arguments.name, &plan)),
        });
    }
    output.result(&found, |_| found.iter().map(text).collect());
    Ok(ExitStatus::Success)
}

/// Where else a name may come from.
fn hint(name: &str, plan: &Plan) -> &'static str {
    match name {
        _ if name.starts_with("BR2_") && plan.buildroot.is_none() => {
            "Buildroot's symbols are in the plan of that backend: add `--backend buildroot`"
        }
        "/etc/passwd" | "/etc/group" | "/etc/shadow" | "/etc/gshadow" => {
            "it is written from the plan's and the packages' users and groups; explain one of those, such as `sshd`"
        }
        _ if name.starts_with('/') => {
            "the plan has the files that layers ask for; what packages bring is not in it (`fastness plan` shows both)"
        }
        _ => "`fastness plan --json` shows every name",
    }
}

fn text(explanation: &Explanation) -> String {
    let mut out = format!("{} {}\n  {}\n", explanation.what, explanation.name, explanation.value);
    for origin in &explanation.origins {
        out.push_str(&format!(
            "  asked by {} ({}:{}): {}\n",
            origin.who, origin.file, origin.line, origin.reason
        ));
    }
    out
}
