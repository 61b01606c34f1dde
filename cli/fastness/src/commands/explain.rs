//! `fastness explain`: where does this come from?

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use spec::Explanation;

use crate::output::Output;
use crate::places::PRODUCT;

const EXAMPLE: &str = "\
Examples:
  fastness explain CONFIG_DEVMEM
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
}

/// Explains a name of the plan.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let plan = spec::load(&arguments.product, arguments.board.as_deref())?;
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
            None => failure.hint(hint(&arguments.name)),
        });
    }
    output.result(&found, |_| found.iter().map(text).collect());
    Ok(ExitStatus::Success)
}

/// Where else a name may come from.
fn hint(name: &str) -> &'static str {
    match name {
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
