//! `fastness bundle`: the update of a finished image, for devices that are in the field.

use std::path::PathBuf;

use assemble::bundle;
use assemble::keys::KeyStore;
use diag::{ExitStatus, Outcome};
use exec::FolderLock;

use crate::output::Output;
use crate::places::{self, Built, PRODUCT};
use crate::stages::Passphrase;

const EXAMPLE: &str = "\
Examples:
  fastness bundle                              writes out/BOARD/PRODUCT-VERSION-BOARD.update
  fastness bundle out/qemu-aarch64 -o new.update
  fastness boot --device dev --update new.update     a device takes it, and tries it at its next start";

/// Arguments of `bundle`.
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
    /// Where to write it; otherwise `PRODUCT-VERSION-BOARD.update` in the output folder
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Key store; otherwise `fastness/keys` in the user's data folder
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The passphrase of the product's key
    #[command(flatten)]
    passphrase: Passphrase,
}

/// Writes the update.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    let built = Built::open(&folder)?;
    bundle::refuse_without_slots(&built.plan)?;
    let name = &built.plan.signing.key;
    let store = KeyStore::at(&places::keys(arguments.keys.as_deref())?);
    store.public(name)?.record.fits(&built.plan.signing)?;
    let secret = arguments.passphrase.read(&store, name)?;
    let key = store.load_signing(name, &secret)?;
    let path = arguments.output.clone().unwrap_or_else(|| {
        let product = &built.plan.product;
        folder.join(format!("{}-{}-{}.update", product.name, product.version, built.plan.board.name))
    });
    let _lock = FolderLock::take(&folder)?;
    let written = bundle::write(&built.plan, &built.image, &folder, &key, &path)?;
    output.result(&written, |_| {
        let oldest = match written.rollback_version {
            0 => String::new(),
            version => {
                format!(", refused by devices that have accepted more than rollback version {version}")
            }
        };
        format!(
            "update of {} to version {} for {}, signed by `{}`{oldest}\nwrote {} ({:.1} MB, sha256 {})\n",
            written.product,
            written.version,
            written.board,
            written.key,
            written.path.display(),
            written.bytes as f64 / 1e6,
            written.sha256
        )
    });
    Ok(ExitStatus::Success)
}
