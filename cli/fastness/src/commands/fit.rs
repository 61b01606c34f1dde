//! `fastness fit`: FIT images by themselves; here the verbs that read.

use std::path::{Path, PathBuf};

use assemble::keys::KeyStore;
use clap::Subcommand;
use diag::{ExitStatus, Failure, Outcome};
use fit::control_fdt::{self, KeyNode};
use fit::verify::{VerifyReport, verify};

use super::fit_described::{TrustArguments, trust};
use super::fit_elsewhere::{AnswerArguments, AttachArguments, RequestArguments, answer, attach, request};
use super::fit_file::{read, refuse_in_store, wrong};
use super::fit_sign::{SignArguments, sign};
use super::fit_write::{BuildArguments, build};
use crate::output::{Output, clean};
use crate::places;

const EXAMPLE: &str = "\
Examples:
  fastness fit build --kernel Image --fdt board.dtb --load 0x40400000 --output unsigned.itb
  fastness fit build --its board.its --key dev --output fit.itb
  fastness fit build --list a.json --list b.json --key dev --output fits/
  fastness fit sign unsigned.itb --key dev --output fit.itb
  fastness fit sign described.itb --described --output fit.itb
  fastness fit trust u-boot.dtb --key dev --output keyed.dtb
  fastness fit verify fit.itb --control u-boot.bin
  fastness fit show fit.itb";

const SHOW: &str = "\
Examples:
  fastness fit show fit.itb
  fastness fit show u-boot.dtb
  fastness fit show fit.itb --json";

const ELSEWHERE: &str = "\
Examples:
  fastness keys add gateway --uri offline: --public gateway.pub.pem
  fastness fit sign-request unsigned.itb --key gateway --output requests
  fastness fit answer requests/0f3c….json              on the machine with the key
  fastness fit attach unsigned.itb requests --key gateway --output fit.itb";

/// Arguments of `fit`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Key store; otherwise `fastness/keys` in the user's data folder
    #[arg(long, value_name = "DIR", global = true)]
    keys: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Build a FIT from its parts, and sign it where a key is named
    #[command(after_help = EXAMPLE)]
    Build(Box<BuildArguments>),
    /// Sign every configuration of a FIT
    #[command(after_help = EXAMPLE)]
    Sign(SignArguments),
    /// Ask for the signatures of a FIT whose key is on another machine
    #[command(after_help = ELSEWHERE)]
    SignRequest(RequestArguments),
    /// Where the key is: show what a request covers, and sign it
    #[command(after_help = ELSEWHERE)]
    Answer(AnswerArguments),
    /// Put the signatures that came back into the FIT
    #[command(after_help = ELSEWHERE)]
    Attach(AttachArguments),
    /// Put a public key into a control FDT, as `fdt_add_pubkey` does
    #[command(after_help = EXAMPLE)]
    Trust(TrustArguments),
    /// Verify a FIT as U-Boot does
    #[command(after_help = EXAMPLE)]
    Verify(VerifyArguments),
    /// Show a FIT or another device tree
    #[command(after_help = SHOW)]
    Show {
        /// FIT, control FDT or other device tree
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("by").required(true).args(["control", "key"]))]
struct VerifyArguments {
    /// The FIT
    file: PathBuf,
    /// Verify with the keys in this U-Boot binary or control FDT
    #[arg(long, value_name = "FILE")]
    control: Option<PathBuf>,
    /// Verify with this key of the key store
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// The algorithm that the key is for; otherwise the usual one of the key, such as `sha256,rsa3072`
    #[arg(long, value_name = "ALGORITHM", conflicts_with = "control")]
    algorithm: Option<String>,
}

impl Verb {
    /// What it writes, where it writes a file.
    fn output(&self) -> Option<&Path> {
        match self {
            Self::Build(asked) => Some(&asked.output),
            Self::Sign(asked) => Some(&asked.output),
            Self::Attach(asked) => Some(&asked.output),
            Self::Trust(asked) => Some(&asked.output),
            Self::SignRequest(_) | Self::Answer(_) | Self::Verify(_) | Self::Show { .. } => None,
        }
    }
}

/// Runs one of them.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let store = || Ok(KeyStore::at(&places::keys(arguments.keys.as_deref())?));
    // Where there is no place for keys, nothing can lie in it.
    if let (Some(path), Ok(keys)) = (arguments.verb.output(), places::keys(arguments.keys.as_deref())) {
        refuse_in_store(path, &keys)?;
    }
    match &arguments.verb {
        Verb::Build(asked) => build(asked, store, output),
        Verb::Sign(asked) => sign(asked, &store()?, output),
        Verb::SignRequest(asked) => request(asked, &store()?, output),
        Verb::Answer(asked) => answer(asked, &store()?, output),
        Verb::Attach(asked) => attach(asked, &store()?, output),
        Verb::Trust(asked) => trust(asked, &store()?, output),
        Verb::Verify(asked) => verify_file(asked, store, output),
        Verb::Show { file } => {
            let blob = read(file)?;
            let text = fit::show::show(&blob).map_err(|e| wrong(file, &e))?;
            let tree = fit::show::shown_tree(&blob).map_err(|e| wrong(file, &e))?;
            output.result(&tree, |_| clean(&text));
            Ok(ExitStatus::Success)
        }
    }
}

fn verify_file(
    asked: &VerifyArguments,
    store: impl Fn() -> Outcome<KeyStore>,
    output: &Output,
) -> Outcome<ExitStatus> {
    let blob = read(&asked.file)?;
    let (keys, any) = match (&asked.control, &asked.key) {
        (Some(control), _) => keys_of_control(control)?,
        (None, Some(name)) => (vec![key_of_store(&store()?, name, asked.algorithm.as_deref())?], false),
        // clap requires one of the two.
        (None, None) => (Vec::new(), false),
    };
    let report = verify(&blob, &keys, any).map_err(|e| wrong(&asked.file, &e))?;
    output.result(&report, |_| text(&report));
    Ok(if report.ok { ExitStatus::Success } else { ExitStatus::Check })
}

/// The keys of a U-Boot binary, or of a bare control FDT.
fn keys_of_control(path: &Path) -> Outcome<(Vec<KeyNode>, bool)> {
    let bytes = read(path)?;
    // A bare control FDT is found at offset 0, one in a U-Boot binary behind the code.
    let control = control_fdt::find_control(&bytes).map_err(|e| wrong(path, &e))?;
    let keys = control_fdt::keys(control).map_err(|e| wrong(path, &e))?;
    let any = control_fdt::any_required(control).map_err(|e| wrong(path, &e))?;
    Ok((keys, any))
}

fn key_of_store(store: &KeyStore, name: &str, asked: Option<&str>) -> Outcome<KeyNode> {
    let public = store.public(name)?;
    let algorithm = super::fit_sign::algorithm(asked, &public.key)?;
    public
        .key
        .must_fit(algorithm, name)
        .map_err(|e| Failure::error(ExitStatus::Keys, "wrong-key", e.to_string()))?;
    Ok(KeyNode {
        node: format!("key-{name}"),
        name: name.to_owned(),
        algo: algorithm.name(),
        required: Some("conf".to_owned()),
        key: public.key,
    })
}

fn text(report: &VerifyReport) -> String {
    let mut out = String::new();
    for configuration in &report.configurations {
        let word = if configuration.problems.is_empty() { "verified" } else { "REFUSED" };
        out.push_str(&format!("{word}  configuration `{}`", configuration.name));
        if !configuration.signed_by.is_empty() {
            out.push_str(&format!(", signed by `{}`", configuration.signed_by.join("`, `")));
        }
        out.push('\n');
        for image in &configuration.images {
            out.push_str(&format!(
                "  {:<10} {:<16} {:>10} bytes  {}\n",
                image.role, image.name, image.bytes, image.hash
            ));
        }
    }
    for path in &report.outside {
        out.push_str(&format!("  not covered by a signature: `{path}`\n"));
    }
    for problem in report.all_problems() {
        out.push_str(&format!("  {}: {}\n", problem.code, problem.message));
    }
    for warning in &report.warnings {
        out.push_str(&format!("  warning: {}: {}\n", warning.code, warning.message));
    }
    out.push_str(if report.ok { "the FIT verifies\n" } else { "the FIT does not verify\n" });
    clean(&out)
}
