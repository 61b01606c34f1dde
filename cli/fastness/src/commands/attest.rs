//! `fastness attest`: signs the provenance of an image and its evidence.

use std::path::PathBuf;

use assemble::keys::KeyStore;
use diag::{Diagnostic, ExitStatus, Failure, Outcome};
use exec::FolderLock;
use record::read_inside;
use supply::Bill;
use supply::dsse::Envelope;
use supply::provenance::{self, LOCAL_BUILDER, PAYLOAD_TYPE};
use supply::verify::State;

use crate::output::Output;
use crate::places::{self, Built, PRODUCT};
use crate::progress::Steps;
use crate::stages::{self, Passphrase};

/// The envelope, in the output folder.
pub const FILE: &str = "evidence.intoto.json";

const EXAMPLE: &str = "\
Examples:
  fastness keys new evidence --evidence      once: the key that signs evidence
  fastness attest --key evidence             writes evidence.intoto.json beside the report
  fastness verify-evidence --key evidence";

/// Arguments of `attest`.
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
    /// The evidence key
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Who builds, as a URI
    #[arg(long, value_name = "URI", default_value = LOCAL_BUILDER)]
    builder: String,
    /// Key store; otherwise `fastness/keys` in the user's data folder
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The passphrase of the evidence key
    #[command(flatten)]
    passphrase: Passphrase,
}

/// Writes the envelope; refuses to sign files that speak of different images, and reports of other records than are beside them.
pub fn run(arguments: &Arguments, output: &Output) -> Outcome<ExitStatus> {
    if !is_uri(&arguments.builder) {
        let message = format!("expected a URI as `--builder`, found `{}`", arguments.builder);
        return Err(Failure::error(ExitStatus::Usage, "builder", message)
            .hint("such as `https://ci.example.com/runner-7`"));
    }
    let folder = places::board_folder(&arguments.path, arguments.board.as_deref(), arguments.out.as_deref())?;
    let built = Built::open_of(&arguments.path, &folder)?;
    let store = KeyStore::at(&places::keys(arguments.keys.as_deref())?);
    store.evidence_public(&arguments.key)?;
    let _lock = FolderLock::take(&folder)?;
    let contradictions = supply::verify::contradictions(&folder, &exec::check_interrupt)?;
    if !contradictions.is_empty() {
        let diagnostics = contradictions.into_iter().map(|one| {
            let file = diag::clean(&one.file);
            let (code, message) = match one.state {
                State::Missing => ("no-evidence", format!("`{file}` cannot be signed: {}", one.why)),
                State::NotRead => ("not-read", format!("`{file}` cannot be signed: {}", one.why)),
                _ => ("other-image", format!("`{file}` is not of this image: {}", one.why)),
            };
            Diagnostic::error(code, message)
                .hint("make it again with `fastness build`, `boot` or `attack`, or remove it")
        });
        return Err(Failure { status: ExitStatus::Check, diagnostics: diagnostics.collect() });
    }
    let bill = Bill::of(&built.plan, &built.image, &folder)?;
    as_rendered(&built, &bill, &Steps::new(*output))?;
    let statement = provenance::statement(&built.plan, &built.image, &bill, &folder, &arguments.builder)?;
    let secret = arguments.passphrase.read(&store, &arguments.key)?;
    let key = store.load_evidence(&arguments.key, &secret)?;
    let payload = statement.to_string();
    let sign = |bytes: &[u8]| key.sign(bytes);
    let envelope = Envelope::seal(PAYLOAD_TYPE, payload.as_bytes(), &key.record.fingerprint, sign);
    let path = folder.join(FILE);
    record::write_json_atomic(&path, &envelope)?;
    output.result(&statement, |_| {
        let count = |pointer: &str| statement.pointer(pointer).and_then(|v| v.as_array()).map_or(0, Vec::len);
        format!(
            "signed by `{}`: {} files of the image, {} of its evidence, {} inputs\nwrote {}\n",
            key.record.name,
            count("/subject"),
            count("/predicate/runDetails/byproducts"),
            count("/predicate/buildDefinition/resolvedDependencies"),
            path.display()
        )
    });
    Ok(ExitStatus::Success)
}

/// Whether the report's forms and the bills of materials are those of the records beside them, byte by byte: what a person reads
/// must not say something else than what is signed with it.
fn as_rendered(built: &Built, bill: &Bill, steps: &Steps) -> Outcome<()> {
    let report = stages::report(built, stages::findings_of(built, steps)?)?;
    let mut diagnostics = Vec::new();
    let files = stages::report_files(&report)?.into_iter().map(|file| (file, "fastness report"));
    for ((name, bytes), verb) in files.chain(stages::bill_files(bill).map(|file| (file, "fastness build"))) {
        if read_inside(&built.folder, name.as_ref()).ok().as_ref() != Some(&bytes) {
            let message = format!("`{name}` is not what the records beside it come to");
            let hint = format!(
                "`{verb}` writes it anew: a proof or an inspection may have come after it, or another version made it"
            );
            diagnostics.push(Diagnostic::error("stale-report", message).hint(hint));
        }
    }
    if diagnostics.is_empty() { Ok(()) } else { Err(Failure { status: ExitStatus::Check, diagnostics }) }
}

/// A scheme and something behind it (RFC 3986, 3.1), without spaces.
fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            && !rest.is_empty()
            && rest.chars().all(|c| c.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_a_uri() {
        assert!(is_uri(LOCAL_BUILDER) && is_uri("https://ci.example.com/7"));
        assert!(!is_uri("me") && !is_uri(":x") && !is_uri("https:") && !is_uri("a:b c"));
    }
}
