//! `fastness explain`: where does this come from?

use std::path::PathBuf;

use diag::{ExitStatus, Failure, Outcome};
use evidence::requirements::Catalogue;
use qemu::attack::library;
use spec::Explanation;
use spec::plan::{Asked, CheckPlan, Plan};

use crate::cli::BackendName;
use crate::output::Output;
use crate::places::PRODUCT;
use crate::stages;

const EXAMPLE: &str = "\
Examples:
  fastness explain CONFIG_DEVMEM
  fastness explain BR2_PACKAGE_AUDIT --backend buildroot
  fastness explain \"CR 1.1\"
  fastness explain /etc/ssh/sshd_config --product examples/cell-gateway/product.yaml";

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// A Kconfig symbol, path, package, unit, user, sysctl key, kernel argument, check, waiver, requirement or attack
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
    let (suggestions, mut found): (Vec<_>, Vec<_>) = found.into_iter().partition(|e| e.what == "suggestion");
    let elsewhere = elsewhere(&plan, spec::folder_of(&arguments.product))?;
    let is_meant = |one: &&Explanation| {
        let name = arguments.name.strip_prefix("attack.").unwrap_or(&arguments.name);
        one.name.eq_ignore_ascii_case(if one.what == "attack" { name } else { &arguments.name })
    };
    found.extend(elsewhere.iter().filter(is_meant).cloned());
    if found.is_empty() {
        let failure = Failure::error(
            ExitStatus::Input,
            "not-in-plan",
            format!("nothing in the plan is named `{}`", arguments.name),
        );
        let near = diag::did_you_mean(&arguments.name, elsewhere.iter().map(|one| one.name.as_str()));
        return Err(match suggestions.first().map(|near| near.name.as_str()).or(near) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint(hint(&arguments.name, &plan)),
        });
    }
    output.result(&found, |_| found.iter().map(text).collect());
    Ok(ExitStatus::Success)
}

/// What is in no plan and has a name: requirements with the plan's checks that serve them, and attacks.
fn elsewhere(plan: &Plan, folder: &std::path::Path) -> Outcome<Vec<Explanation>> {
    let catalogue =
        Catalogue::built_in().map_err(|why| Failure::error(ExitStatus::Internal, "catalogue", why))?;
    let requirements = catalogue.all().map(|(item, _)| {
        let serves = |(id, asked): &(&String, &Asked<CheckPlan>)| {
            asked.value.requirements.contains(&item.id)
                || item.evidence.checks.contains(id)
                || item.evidence.runtime.contains(id)
        };
        let checks: Vec<&str> = plan.checks.iter().filter(serves).map(|(id, _)| id.as_str()).collect();
        let checks = if checks.is_empty() {
            "no check of the plan serves it".to_owned()
        } else {
            format!("checks of the plan: {}", checks.join(", "))
        };
        let what = if item.paraphrase.is_empty() { &item.note } else { &item.paraphrase };
        let value = format!(
            "{}: {what}\n  {checks}\n  what a run shows of it: `fastness comply --show \"{}\"`",
            item.title, item.id
        );
        Explanation { what: "requirement".to_owned(), name: item.id.clone(), value, origins: Vec::new() }
    });
    let mut all: Vec<Explanation> = requirements.collect();
    all.extend(library(Some(folder))?.into_iter().map(|attack| {
        let serves = attack.requirements.join(", ");
        let value = format!(
            "{}\n  {}\n  known from {}; serves {serves}; defined at {}\n  what happens: `fastness attack {}`",
            attack.title, attack.threat, attack.source, attack.defined_at, attack.name
        );
        Explanation { what: "attack".to_owned(), name: attack.name, value, origins: Vec::new() }
    }));
    Ok(all)
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
