//! `fastness fit sign --described` and `fastness fit trust`: what `mkimage -F -K` does, in two steps.

use std::path::{Path, PathBuf};

use assemble::keys::{KeyStore, SigningKey};
use clap::ValueEnum;
use diag::{ExitStatus, Failure, Outcome};
use fit::control_fdt::{KeyNode, Required, insert_key_for};
use fit::external::internalised;
use fit::key::PublicKey;
use fit::sign::{Described, Part, SignOptions, Signer, described, sign_described};

use super::fit_file::{read, store_bytes, write, wrong};
use super::fit_sign::{SignArguments, algorithm, signing_failure, unproved};
use crate::output::Output;

/// What a trusted key is required for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum For {
    /// Every configuration that is started
    #[default]
    Configurations,
    /// Every image by itself: images can be recombined
    Images,
    /// Nothing: unsigned images start
    Nothing,
}

/// Arguments of `fit trust`.
#[derive(Debug, clap::Args)]
pub struct TrustArguments {
    /// The control FDT
    control: PathBuf,
    /// Key of the key store
    #[arg(long, value_name = "NAME")]
    key: String,
    /// Hash and kind of key, as U-Boot spells them; otherwise the usual one of the key, such as `sha256,rsa3072`
    #[arg(long, value_name = "ALGORITHM")]
    algorithm: Option<String>,
    /// What U-Boot must find signed with it
    #[arg(long, value_enum, default_value_t)]
    required: For,
    /// Where to write it
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// Puts a public key into a control FDT.
pub fn trust(asked: &TrustArguments, store: &KeyStore, output: &Output) -> Outcome<ExitStatus> {
    let public = store.public(&asked.key)?.key;
    let algorithm = algorithm(asked.algorithm.as_deref(), &public)?;
    let required = match asked.required {
        For::Configurations => Required::Configurations,
        For::Images => Required::Images,
        For::Nothing => Required::Nothing,
    };
    if required != Required::Configurations {
        output.note(&format!(
            "warning: a U-Boot that trusts only this key starts configurations that `{}` did not sign",
            asked.key
        ));
    }
    let control = read(&asked.control)?;
    let with_key = insert_key_for(&control, &asked.key, algorithm, &public, required)
        .map_err(|e| wrong(&asked.control, &e))?;
    store_bytes(&asked.output, &with_key, output)
}

/// Fills every signature that the FIT describes, each by the key of its hint, and verifies the result.
pub fn sign_as_described(asked: &SignArguments, store: &KeyStore, output: &Output) -> Outcome<ExitStatus> {
    let blob = read(&asked.file)?;
    let mut tree = internalised(&blob).map_err(|e| wrong(&asked.file, &e))?;
    let wanted = described(&tree).map_err(|e| wrong(&asked.file, &e))?;
    if wanted.is_empty() {
        let message = format!("`{}` describes no signature", asked.file.display());
        return Err(Failure::error(ExitStatus::Input, "no-signature-node", message)
            .hint("name a key with `--key`: every configuration is signed then"));
    }
    let mut jobs: Vec<(Part, SignOptions, SigningKey)> = Vec::new();
    for one in wanted {
        let public = store.public(&one.key_name)?.key;
        let options = options(&one, asked, &public)?;
        let secret = asked.passphrase.read(store, &one.key_name)?;
        jobs.push((one.part, options, store.load_signing(&one.key_name, &secret)?));
    }
    let signatures: Vec<(Part, SignOptions, &dyn Signer)> =
        jobs.iter().map(|(part, options, key)| (part.clone(), options.clone(), key.signer())).collect();
    sign_described(&mut tree, &signatures).map_err(|e| signing_failure(&asked.file, e))?;
    let pieces = asked.outside.pieces(&tree)?;
    write(&asked.output, &pieces, |signed| prove(&asked.file, signed, &signatures), output)
}

fn options(one: &Described, asked: &SignArguments, public: &PublicKey) -> Outcome<SignOptions> {
    let algorithm = match one.algorithm {
        Some(algorithm) => algorithm,
        None => algorithm(asked.how.algorithm.as_deref(), public)?,
    };
    Ok(SignOptions {
        key_name: one.key_name.clone(),
        algorithm,
        padding: one.padding,
        timestamp: asked.how.timestamp(),
        node: one.node.clone(),
    })
}

/// Verifies what was signed with the public keys only: each configuration as U-Boot does, each image's own signature.
fn prove(file: &Path, signed: &[u8], signatures: &[(Part, SignOptions, &dyn Signer)]) -> Outcome<()> {
    let tree = internalised(signed).map_err(|e| wrong(file, &e))?;
    for (part, options, signer) in signatures {
        let key = signer.public_key();
        match part {
            Part::Configuration(name) => {
                let trusted = KeyNode::required(&options.key_name, options.algorithm, key);
                let report = fit::verify::verify(signed, &[trusted], false).map_err(|e| wrong(file, &e))?;
                // Others may be signed by other keys, or are not to be signed.
                let own = report.configurations.iter().find(|found| &found.name == name);
                let own = own.ok_or_else(|| unproved(&format!("the configuration `{name}` is gone")))?;
                let whole = report.problems.iter().filter(|problem| !problem.code.starts_with("uncovered"));
                if let Some(problem) = own.problems.iter().chain(whole).next() {
                    return Err(unproved(&problem.message));
                }
            }
            Part::Image(name) => {
                let image = tree.root.at(&format!("/images/{name}"));
                let data = image.and_then(|image| image.get("data"));
                let value = image.and_then(|image| image.child(&options.node)?.get("value"));
                let holds = data.zip(value).is_some_and(|(data, value)| {
                    let digest = options.algorithm.hash.digest(&[data]);
                    key.holds(options.algorithm.hash, options.padding, &digest, value)
                });
                if !holds {
                    return Err(unproved(&format!("the signature of the image `{name}` does not hold")));
                }
            }
        }
    }
    Ok(())
}
