//! `fastness fit sign`, and what every verb that signs shares: the key, and the proof that it was it.

use std::path::{Path, PathBuf};

use assemble::keys::{KeyStore, SigningKey, brought};
use diag::{ExitStatus, Failure, Outcome};
use fit::FitError;
use fit::build::Digests;
use fit::control_fdt::KeyNode;
use fit::external::internalised;
use fit::fdt::Tree;
use fit::key::{Algorithm, Padding, PublicKey};
use fit::sign::{Part, SignOptions, Signer, sign_described};
use fit::verify::Problem;

use super::fit_described::{planned, sign_as_described};
use super::fit_elsewhere::refuse_other_data;
use super::fit_file::{read, refuse_input, write, wrong};
use super::fit_write::{Outside, usage};
use crate::output::Output;
use crate::stages::Passphrase;

/// How a FIT is signed, whichever the key.
#[derive(Clone, Debug, clap::Args)]
pub struct Signature {
    /// Hash and kind of key, as U-Boot spells them; otherwise the usual one of the key, such as `sha256,rsa3072`
    #[arg(long, value_name = "ALGORITHM")]
    pub algorithm: Option<String>,
    /// `pss` or `pkcs-1.5`; of RSA only, there otherwise `pss`
    #[arg(long)]
    pub padding: Option<String>,
    /// Time stamp, in seconds since 1970
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        hide_env_values = true,
        default_value_t = 0,
        value_parser = seconds
    )]
    timestamp: u32,
}

/// A time that fits a FIT.
///
/// # Errors
/// What was expected, and where else it may have come from.
fn seconds(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| {
        format!(
            "expected seconds since 1970, at most {}; without the option they are those of `SOURCE_DATE_EPOCH`",
            u32::MAX
        )
    })
}

impl Signature {
    /// Time stamp of the FIT or its signatures, in seconds since 1970.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// As the signer takes it, with that public key.
    ///
    /// # Errors
    /// For an algorithm or a padding that is unknown or too weak.
    pub fn options(&self, name: &str, key: &PublicKey) -> Outcome<SignOptions> {
        let padding = self.padding.as_deref().map_or(Ok(Padding::Pss), Padding::parse);
        let padding = padding.map_err(|e| usage(&e))?;
        if self.padding.is_some() && !matches!(key, PublicKey::Rsa(_)) {
            let kind = key.kind_name();
            let message = format!("`--padding` is of RSA, and the key `{name}` is {kind}: leave it out");
            return Err(Failure::error(ExitStatus::Usage, "padding", message));
        }
        Ok(SignOptions {
            key_name: name.to_owned(),
            algorithm: algorithm(self.algorithm.as_deref(), key)?,
            padding,
            timestamp: self.timestamp,
            node: "signature-1".to_owned(),
        })
    }
}

/// The algorithm that was asked for, or the usual one of the key.
///
/// # Errors
/// When it is unknown or too weak.
pub fn algorithm(asked: Option<&str>, key: &PublicKey) -> Outcome<Algorithm> {
    match (asked, key.kind()) {
        (None, Some(kind)) => Ok(kind.usual()),
        (asked, _) => Algorithm::parse(asked.unwrap_or(&key.kind_name())).map_err(|e| usage(&e)),
    }
}

/// Arguments of `fit sign`.
#[derive(Debug, clap::Args)]
pub struct SignArguments {
    /// The FIT
    pub file: PathBuf,
    /// Key of the key store; also the `key-name-hint`
    #[arg(long, value_name = "NAME", required_unless_present = "described")]
    key: Option<String>,
    /// Fill the signatures that the FIT describes, each by the key of its hint, as `mkimage -F` does
    #[arg(long, conflicts_with_all = ["key", "padding"])]
    described: bool,
    #[command(flatten)]
    pub how: Signature,
    #[command(flatten)]
    pub outside: Outside,
    /// Where to write it
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    #[command(flatten)]
    pub passphrase: Passphrase,
}

/// A public key that a U-Boot would be given, for the proof of what was signed.
pub struct Trusted(KeyNode);

impl Trusted {
    /// The key of these options.
    pub fn new(options: &SignOptions, key: PublicKey) -> Self {
        Self(KeyNode::required(&options.key_name, options.algorithm, key))
    }

    /// Whether what was signed verifies with the public key. Content whose digest is known is compared with it.
    ///
    /// # Errors
    /// As [`refused`] says it.
    pub fn holds(&self, file: &Path, signed: &[u8], known: &Digests<'_>) -> Outcome<()> {
        let keys = std::slice::from_ref(&self.0);
        let report = fit::verify::verify_knowing(signed, keys, false, known).map_err(|e| wrong(file, &e))?;
        // What no signature covers follows from what is wrong with the signatures.
        let follows = |problem: &&Problem| problem.code.starts_with("uncovered");
        match report.all_problems().find(|p| !follows(p)).or_else(|| report.all_problems().next()) {
            Some(problem) => Err(refused(file, problem)),
            None => Ok(()),
        }
    }
}

/// Codes of problems that a signature may have brought; every other was in what was to be signed.
const OF_SIGNING: [&str; 11] = [
    "algorithm-mismatch",
    "bad-padding",
    "bad-signature",
    "hash-mismatch",
    "hashed-nodes",
    "hashed-strings",
    "missing-signature",
    "no-required-key",
    "no-value",
    "unknown-key",
    "unsigned",
];

/// What was signed is not written: `readback` where the signing is at fault, `fit` where `file` is no FIT to be signed.
pub fn refused(file: &Path, problem: &Problem) -> Failure {
    if OF_SIGNING.contains(&problem.code.as_str()) {
        return unproved(&problem.message);
    }
    let message = format!("`{}` is no FIT to be signed: {}", file.display(), problem.message);
    Failure::error(ExitStatus::Input, "fit", message)
        .hint("nothing was written; a signature would hold, and U-Boot refuse it or start what nobody signed")
}

/// What was signed does not verify.
pub fn unproved(what: &str) -> Failure {
    Failure::error(ExitStatus::Check, "readback", format!("the signed FIT does not verify: {what}"))
        .hint("nothing was written; the FIT has what U-Boot would refuse")
}

/// Why what was signed does not verify: where the data of the file is not what its hashes say, no signature can hold.
pub fn cause(file: &Path, blob: &[u8], failure: Failure) -> Failure {
    refuse_other_data(file, blob).err().unwrap_or(failure)
}

/// The one key that signs everything, opened.
pub struct OneKey {
    key: SigningKey,
    options: SignOptions,
    how: Signature,
    pub trusted: Trusted,
}

impl OneKey {
    /// Opens a key of the store.
    ///
    /// # Errors
    /// When it is not there, cannot be opened, or does not fit what was asked for.
    pub fn open(name: &str, how: &Signature, passphrase: &Passphrase, store: &KeyStore) -> Outcome<Self> {
        let public = store.public(name)?.key;
        let options = how.options(name, &public)?;
        let key = store.load_signing(name, &passphrase.read(store, name)?)?;
        Ok(Self { key, trusted: Trusted::new(&options, public), options, how: how.clone() })
    }

    /// Signs what a description wants signed by this key, and what describes nothing.
    ///
    /// # Errors
    /// When what is described contradicts what was asked for, and as [`signing_failure`] says it.
    pub fn sign_planned(
        &self,
        file: &Path,
        tree: &mut Tree<'_>,
    ) -> Outcome<Vec<(Part, SignOptions, &dyn Signer)>> {
        let planned =
            planned(file, tree, &self.options.key_name, &self.how, &self.key.signer().public_key())?;
        let signatures: Vec<_> =
            planned.into_iter().map(|(part, options)| (part, options, self.key.signer())).collect();
        sign_described(tree, &signatures).map_err(|e| signing_failure(file, e))?;
        Ok(signatures)
    }

    /// Signs every configuration of the tree.
    ///
    /// # Errors
    /// As [`signing_failure`] says it.
    pub fn sign(&self, file: &Path, tree: &mut Tree<'_>) -> Outcome<()> {
        fit::sign::sign_tree(tree, &[(&self.options, self.key.signer())])
            .map_err(|e| signing_failure(file, e))
    }
}

/// Signs every configuration of a FIT, and verifies the result with the public key before it is put in place.
pub fn sign(asked: &SignArguments, store: &KeyStore, output: &Output) -> Outcome<ExitStatus> {
    let Some(name) = &asked.key else { return sign_as_described(asked, store, output) };
    refuse_input(&asked.output, asked.passphrase.file())?;
    // The FIT first: nobody is asked for a passphrase for what is none. A key that is not there comes before both.
    store.public(name)?;
    let blob = read(&asked.file)?;
    let mut tree = internalised(&blob).map_err(|e| wrong(&asked.file, &e))?;
    let key = OneKey::open(name, &asked.how, &asked.passphrase, store)?;
    key.sign(&asked.file, &mut tree)?;
    let pieces = asked.outside.pieces(&tree)?;
    let holds = |signed: &[u8]| {
        key.trusted
            .holds(&asked.file, signed, &Digests::default())
            .map_err(|failure| cause(&asked.file, &blob, failure))
    };
    write(&asked.output, &pieces, holds, output)
}

/// Why a FIT was not signed.
pub fn signing_failure(file: &Path, error: FitError) -> Failure {
    if let Some(failure) = brought(&error) {
        return failure;
    }
    match error {
        FitError::Unsigned(_) => Failure::error(ExitStatus::Keys, "signature-wanted", error.to_string())
            .hint(
                "run `fastness fit answer REQUEST` where the key is, bring the `.sig` back, and sign again",
            ),
        FitError::Key(why) => {
            Failure::error(ExitStatus::Keys, "signing", format!("`{}`: {why}", file.display()))
        }
        e => wrong(file, &e),
    }
}
