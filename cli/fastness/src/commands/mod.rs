//! One file a verb: its arguments, its call of the rooms, its result.
//!
//! A verb returns the exit status that its result means, or a failure. A result is a
//! documented value (docs/file-formats.md, "What `--json` prints") with a text for people.

pub mod analyze;
pub mod attack;
pub mod attest;
pub mod boards;
pub mod boot;
pub mod build;
pub mod bundle;
pub mod check;
pub mod completions;
pub mod comply;
pub mod diff;
mod diff_facts;
pub mod events;
pub mod explain;
pub mod fit;
pub mod fit_described;
pub mod fit_elsewhere;
mod fit_file;
mod fit_list;
mod fit_sign;
mod fit_write;
pub mod generate;
pub mod inspect;
pub mod keys;
pub mod layers;
mod login;
pub mod man;
pub mod monitor;
pub mod new;
pub mod pki;
mod pki_arguments;
mod pki_text;
mod pki_verify;
pub mod plan;
pub mod provision;
mod provision_opcua;
mod provision_tpm;
mod provision_wireguard;
pub mod report;
pub mod sbom;
pub mod schema;
pub mod threats;
pub mod verify_evidence;
pub mod vulns;

use diag::{ExitStatus, Outcome};

use crate::cli::Command;
use crate::output::Output;

/// Runs a verb.
///
/// # Errors
/// Those of the verb.
pub fn run(command: &Command, output: &Output) -> Outcome<ExitStatus> {
    match command {
        Command::New(arguments) => new::run(arguments, output),
        Command::Check(arguments) => check::run(arguments, output),
        Command::Plan(arguments) => plan::run(arguments, output),
        Command::Explain(arguments) => explain::run(arguments, output),
        Command::Generate(arguments) => generate::run(arguments, output),
        Command::Build(arguments) => build::run(arguments, output),
        Command::Inspect(arguments) => inspect::run(arguments, output),
        Command::Analyze(arguments) => analyze::run(arguments, output),
        Command::Boot(arguments) => boot::run(arguments, output),
        Command::Attack(arguments) => attack::run(arguments, output),
        Command::Report(arguments) => report::run(arguments, output),
        Command::Comply(arguments) => comply::run(arguments, output),
        Command::Threats(arguments) => threats::run(arguments, output),
        Command::Monitor(arguments) => monitor::run(arguments, output),
        Command::Sbom(arguments) => sbom::run(arguments, output),
        Command::Vulns(arguments) => vulns::run(arguments, output),
        Command::Events(arguments) => events::run(arguments, output),
        Command::Bundle(arguments) => bundle::run(arguments, output),
        Command::Attest(arguments) => attest::run(arguments, output),
        Command::VerifyEvidence(arguments) => verify_evidence::run(arguments, output),
        Command::Boards(arguments) => boards::run(arguments, output),
        Command::Layers(arguments) => layers::run(arguments, output),
        Command::Keys(arguments) => keys::run(arguments, output),
        Command::Pki(arguments) => pki::run(arguments, output),
        Command::Provision(arguments) => provision::run(arguments, output),
        Command::Fit(arguments) => fit::run(arguments, output),
        Command::Diff(arguments) => diff::run(arguments, output),
        Command::Schema(arguments) => schema::run(arguments, output),
        Command::Completions(arguments) => completions::run(arguments, output),
        Command::Man(arguments) => man::run(arguments, output),
    }
}
