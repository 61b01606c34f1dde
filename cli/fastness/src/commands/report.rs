//! `fastness report`: from what build, boot and attack left.

use std::path::PathBuf;

use assemble::keys::KeyStore;
use diag::{ExitStatus, Failure, Outcome};
use evidence::report::{of_other_image, terminal};
use exec::FolderLock;

use crate::output::Output;
use crate::places::{self, Built, PRODUCT};
use crate::progress::Steps;
use crate::stages::{self, Passphrase};

const EXAMPLE: &str = "\
Examples:
  fastness report && xdg-open out/qemu-aarch64/report.html
  fastness report --sign evidence        also report.json.sig, by an Ed25519 key";

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Arguments {
    /// The product file, or the output folder of one board
    #[arg(default_value = PRODUCT)]
    path: PathBuf,
    /// The board; otherwise the product's first
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
    /// Output folder, when PATH is a product file; otherwise `out` beside it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Sign report.json with this evidence key
    #[arg(long, value_name = "KEY")]
    sign: Option<String>,
    /// Check the signature of report.json with this evidence key, and write nothing
    #[arg(long, value_name = "KEY", conflicts_with = "sign")]
    verify: Option<String>,
    /// Key store; otherwise `fastness/keys` in the user's data folder
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The passphrase of the evidence key
    #[command(flatten)]
    passphrase: Passphrase,
}

/// Writes the report and prints its summary.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    if let Some(name) = &arguments.verify {
        return verify(arguments, &folder, name, output);
    }
    let built = Built::open_of(&arguments.path, &folder)?;
    // Before any work, and before a passphrase is asked for.
    let store = KeyStore::at(&places::keys(arguments.keys.as_deref())?);
    if let Some(name) = &arguments.sign {
        store.evidence_public(name)?;
    }
    let _lock = FolderLock::take(&folder)?;
    let report = stages::report(&built, stages::findings_of(&built, &Steps::new(*output))?)?;
    let of_other_images = stages::of_other_images(&built)?;
    stages::write_report(&report, &folder)?;
    if let Some(name) = &arguments.sign {
        let secret = arguments.passphrase.read(&store, name)?;
        let key = store.load_evidence(name, &secret)?;
        let path = folder.join("report.json");
        let bytes = std::fs::read(&path).map_err(|e| Failure::io("read", &path, &e))?;
        stages::write_atomic(&folder.join("report.json.sig"), &key.sign(&bytes))?;
    } else {
        // A signature of an earlier report would only look like one of this.
        let _ = std::fs::remove_file(folder.join("report.json.sig"));
    }
    output.result(&report, |colour| {
        let other = of_other_images.iter().map(|name| of_other_image(name) + "\n").collect::<String>();
        let page = folder.join("report.html");
        format!("{}\n{other}report  {}\n", terminal::render(&report, colour), page.display())
    });
    Ok(report.status)
}

fn verify(
    arguments: &Arguments,
    folder: &std::path::Path,
    name: &str,
    output: &Output,
) -> Outcome<ExitStatus> {
    let read = |file: &str| {
        let path = folder.join(file);
        std::fs::read(&path).map_err(|e| Failure::io("read", &path, &e))
    };
    let key = KeyStore::at(&places::keys(arguments.keys.as_deref())?).evidence_public(name)?;
    key.verify(&read("report.json")?, &read("report.json.sig")?)?;
    output.result(&serde_json::json!({"verified": true, "key": key.record}), |_| {
        format!("report.json is signed by `{name}` ({})\n", key.record.fingerprint)
    });
    Ok(ExitStatus::Success)
}
