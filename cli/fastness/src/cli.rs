//! The command line: global options and verbs. The arguments of a verb are in its own file.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;

const ABOUT: &str = "From one product file to an image that is signed, inspected, booted and attacked";

const EXAMPLES: &str = "\
Examples:
  fastness new cell-gateway              write a commented product.yaml
  fastness check                         is product.yaml right?
  fastness build --prove                 build, sign, inspect, boot, attack, report
  fastness explain CONFIG_DEVMEM         who asked for this, where, and why?";

/// Fastness turns one product file into a device image that is secure by design, and proves it.
#[derive(Debug, Parser)]
#[command(name = "fastness", version, about = ABOUT, long_about = long_about(), after_help = EXAMPLES)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every verb")]
pub struct Global {
    /// Print the result as one JSON document on standard output, and errors as JSON on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Do not tell the steps
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Colour: `always`, `never`, or `auto`, which follows the terminal and `NO_COLOR`
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: Colour,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Build systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendName {
    /// Debian packages.
    Debian,
    /// A Buildroot external tree.
    Buildroot,
    /// Layers for Yocto.
    Yocto,
}

/// The verbs, in the order of the work.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented first product.yaml
    New(commands::new::Arguments),
    /// Check a product file: every mistake at once, with its place
    Check(commands::check::Arguments),
    /// Show the plan: product, board and layers, fully resolved
    Plan(commands::plan::Arguments),
    /// Say who asked for a symbol, path, package, unit or check, where and why
    Explain(commands::explain::Arguments),
    /// Write the plan in the form of the build system, without building
    Generate(commands::generate::Arguments),
    /// Build, sign and inspect an image; with --prove also boot, attack and report
    Build(commands::build::Arguments),
    /// Look into a finished image, without mounting it and without root
    Inspect(commands::inspect::Arguments),
    /// Say how strong a firmware image is, whoever made it, without running anything of it
    Analyze(commands::analyze::Arguments),
    /// Boot the image in QEMU and read the device's own report
    Boot(commands::boot::Arguments),
    /// Boot tampered copies of the image; each must be refused
    Attack(commands::attack::Arguments),
    /// Write the report from what build, boot and attack left
    Report(commands::report::Arguments),
    /// Say what the last run shows of IEC 62443-4-2, requirement by requirement
    Comply(commands::comply::Arguments),
    /// Say what may happen to the device, and what of the plan answers it
    Threats(commands::threats::Arguments),
    /// Derive monitoring from an image: rules of the audit, sandboxes of services, what may run
    Monitor(commands::monitor::Arguments),
    /// Write the bill of materials of a built image: CycloneDX and SPDX
    Sbom(commands::sbom::Arguments),
    /// Look the image's packages up in databases of vulnerabilities that you bring
    Vulns(commands::vulns::Arguments),
    /// Verify the records of security events that a device wrote
    Events(commands::events::Arguments),
    /// Write the signed update of a built image, for devices in the field
    Bundle(commands::bundle::Arguments),
    /// Sign what an image was made from and the evidence of it: in-toto, SLSA provenance
    Attest(commands::attest::Arguments),
    /// Check image, report and bill of materials against what was signed
    VerifyEvidence(commands::verify_evidence::Arguments),
    /// List the boards
    Boards(commands::boards::Arguments),
    /// List the layers with their parameters and checks
    Layers(commands::layers::Arguments),
    /// Make, list and check keys
    Keys(commands::keys::Arguments),
    /// Issue, request, revoke and verify the certificates of a product's network
    Pki(commands::pki::Arguments),
    /// Write the secrets of one device, for that device alone
    Provision(commands::provision::Arguments),
    /// Build, sign, verify and show FIT images
    Fit(commands::fit::Arguments),
    /// Compare two products, plans or images
    Diff(commands::diff::Arguments),
    /// Print the JSON Schema of a file that people write, or of the report
    Schema(commands::schema::Arguments),
    /// Print a completion script for a shell
    Completions(commands::completions::Arguments),
    /// Print the manual page, or write all of them
    Man(commands::man::Arguments),
}

fn long_about() -> String {
    let codes: String = diag::ExitStatus::ALL
        .iter()
        .map(|status| format!("\n  {:>3}  {}", status.code(), status.meaning()))
        .collect();
    format!("{ABOUT}.\n\nExit codes:{codes}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("fastness "), "`{}` shows no example", verb.get_name());
        }
    }
}
