//! `fastness fit sign --described` and `fastness fit trust`: what `mkimage -F -K` does, in two steps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use assemble::keys::{KeyStore, SigningKey};
use clap::ValueEnum;
use diag::{ExitStatus, Failure, Outcome};
use fit::FitError;
use fit::build::Digests;
use fit::control_fdt::{
    KeyNode, Required, RequiredMode, any_required, insert_key_for, keys, required_mode, set_required_mode,
};
use fit::external::internalised;
use fit::fdt::Tree;
use fit::key::{Algorithm, PublicKey};
use fit::sign::{Described, Part, SignOptions, Signer, described, sign_described};
use fit::verify::{Problem, VerifyReport};

use super::fit_file::{read, store_bytes, write, wrong};
use super::fit_sign::{SignArguments, Signature, algorithm, cause, refused, signing_failure, unproved};
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
    /// A signature by one of the required keys is enough (`required-mode`), as for the rotation of a key
    #[arg(long)]
    any: bool,
    /// Take the place of another key of the same name
    #[arg(long)]
    replace: bool,
    /// Where to write it
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

/// Puts a public key into a control FDT.
pub fn trust(asked: &TrustArguments, store: &KeyStore, output: &Output) -> Outcome<ExitStatus> {
    let key = store.public(&asked.key)?;
    // What may not sign any more is not to be believed any longer.
    key.record.refuse_ended()?;
    let public = key.key;
    let algorithm = algorithm(asked.algorithm.as_deref(), &public)?;
    let required = match asked.required {
        For::Configurations => Required::Configurations,
        For::Images => Required::Images,
        For::Nothing => Required::Nothing,
    };
    let mut warnings = Vec::new();
    if required != Required::Configurations {
        warnings.push(format!(
            "a U-Boot that trusts only this key starts configurations that `{}` did not sign",
            asked.key
        ));
    }
    let control = read(&asked.control)?;
    let tree = Tree::parse_unique(&control).map_err(|e| wrong(&asked.control, &e))?;
    if tree.root.child("images").is_some() {
        let message = format!("expected a control FDT, `{}` is a FIT", asked.control.display());
        return Err(Failure::error(ExitStatus::Input, "no-control-fdt", message)
            .hint("name U-Boot's own device tree, such as `u-boot.dtb`"));
    }
    any_required(&control).map_err(|e| wrong(&asked.control, &e))?;
    refuse_other_key(&control, &tree, asked, &public)?;
    let mut with_key =
        insert_key_for(&control, &asked.key, algorithm, &public, required).map_err(|e| match e {
            // The control FDT is as it should be: it is the key that does not fit.
            FitError::Key(why) => Failure::error(ExitStatus::Keys, "wrong-key", why),
            other => wrong(&asked.control, &other),
        })?;
    if asked.any {
        with_key = set_required_mode(&with_key, RequiredMode::Any).map_err(|e| wrong(&asked.control, &e))?;
    }
    warnings.extend(of_several(&with_key, asked.any).map_err(|e| wrong(&asked.control, &e))?);
    store_bytes(&asked.output, &with_key, &warnings, output)
}

/// A key of the same name that is another one: whoever signs with it would be locked out.
fn refuse_other_key(
    control: &[u8],
    tree: &Tree<'_>,
    asked: &TrustArguments,
    public: &PublicKey,
) -> Outcome<()> {
    let node = format!("key-{}", asked.key);
    let there = tree.root.child("signature").is_some_and(|signature| signature.child(&node).is_some());
    // One that cannot be read is another one.
    let same =
        || keys(control).is_ok_and(|keys| keys.iter().any(|key| key.node == node && key.key == *public));
    if !there || asked.replace || same() {
        return Ok(());
    }
    let (control, key) = (asked.control.display(), &asked.key);
    let message = format!("`{control}` has another key of the name `{key}`");
    Err(Failure::error(ExitStatus::Usage, "another-key", message).hint(
        "with `--replace` it is gone, and nothing that it signed starts; or give the new key a name of its own",
    ))
}

/// What several required keys mean.
fn of_several(control: &[u8], asked_any: bool) -> Result<Option<String>, FitError> {
    let tree = Tree::parse(control)?;
    let keys = tree.root.child("signature").map(|node| node.children.as_slice()).unwrap_or_default();
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| key.text("required") == Some("conf"))
        .map(|key| key.text("key-name-hint").unwrap_or(&key.name))
        .collect();
    let names = required.join("`, `");
    Ok(match required_mode(control)?.as_str() {
        _ if required.len() < 2 => None,
        "any" if asked_any => None,
        // It was so before, and nobody said that it is to be.
        "any" => {
            Some(format!("U-Boot starts what one of `{names}` has signed: its `required-mode` is `any`"))
        }
        _ => Some(format!(
            "U-Boot now starts only what all of `{names}` have signed: `--any` makes one of them enough"
        )),
    })
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
    // Each key is opened once, whatever it signs.
    let (mut keys, mut jobs) = (BTreeMap::<String, SigningKey>::new(), Vec::new());
    for one in wanted {
        let public = store.public(&one.key_name).map_err(|failure| odd_hint(&asked.file, &one, failure))?.key;
        jobs.push((options(&one, &asked.how, &public)?, one.part));
        if !keys.contains_key(&one.key_name) {
            let secret = asked.passphrase.read(store, &one.key_name)?;
            keys.insert(one.key_name.clone(), store.load_signing(&one.key_name, &secret)?);
        }
    }
    let signatures: Vec<(Part, SignOptions, &dyn Signer)> = jobs
        .into_iter()
        .filter_map(|(options, part)| Some((part, options.clone(), keys.get(&options.key_name)?.signer())))
        .collect();
    sign_described(&mut tree, &signatures).map_err(|e| signing_failure(&asked.file, e))?;
    let pieces = asked.outside.pieces(&tree)?;
    let holds = |signed: &[u8]| {
        prove(&asked.file, signed, &signatures, false, &Digests::default())
            .map_err(|failure| cause(&asked.file, &blob, failure))
    };
    write(&asked.output, &pieces, holds, output)
}

/// A name that is none of a key was written by whoever made the FIT, not by who called this.
fn odd_hint(file: &Path, one: &Described, failure: Failure) -> Failure {
    let Some(said) = failure.diagnostics.first().filter(|said| said.code == "key-name") else {
        return failure;
    };
    let place = one.place();
    let message = format!("`{}`: `key-name-hint` of {place}: {}", file.display(), said.message);
    Failure::error(ExitStatus::Input, "key-name", message)
        .hint("change the hint, or sign every configuration by a key of the store with `--key`")
}

/// What is to be signed with one key: what the description says of it, and a signature of each configuration that describes none.
///
/// # Errors
/// When a configuration describes signatures by other keys only, or what was asked for contradicts the description.
pub fn planned(
    file: &Path,
    tree: &Tree<'_>,
    name: &str,
    how: &Signature,
    public: &PublicKey,
) -> Outcome<Vec<(Part, SignOptions)>> {
    let described = described(tree).map_err(|e| wrong(file, &e))?;
    let mut out = Vec::new();
    for one in described.iter().filter(|one| one.key_name == name && matches!(one.part, Part::Image(_))) {
        out.push((one.part.clone(), options(one, how, public)?));
    }
    let configurations = tree.root.child("configurations").map(|node| node.children.as_slice());
    for configuration in configurations.unwrap_or_default() {
        let part = Part::Configuration(configuration.name.clone());
        let own: Vec<&Described> = described.iter().filter(|one| one.part == part).collect();
        if own.is_empty() {
            out.push((part, how.options(name, public)?));
            continue;
        }
        let count = out.len();
        for one in own.iter().filter(|one| one.key_name == name) {
            out.push((part.clone(), options(one, how, public)?));
        }
        if out.len() == count {
            let hints: Vec<&str> = own.iter().map(|one| one.key_name.as_str()).collect();
            let message = format!(
                "`{}`: the configuration `{}` describes a signature by `{}`, and none by `{name}`",
                file.display(),
                configuration.name,
                hints.join("`, `")
            );
            return Err(Failure::error(ExitStatus::Input, "other-key", message).hint(
                "change its `key-name-hint`, or build without `--key` and sign with `fit sign --described`",
            ));
        }
    }
    Ok(out)
}

/// As it is described; what is not said there may be asked for, and what is said there may not be asked for otherwise.
fn options(one: &Described, how: &Signature, public: &PublicKey) -> Outcome<SignOptions> {
    let asked = how.options(&one.key_name, public)?;
    let contradicts = |option: &str, asked: &str, described: &str| {
        let place = one.place();
        let message = format!("`{option} {asked}` contradicts {place}, which says `{described}`");
        Err(Failure::error(ExitStatus::Usage, "contradiction", message)
            .hint("leave the option out, or change the description"))
    };
    let algorithm = match one.algorithm {
        Some(described) if how.algorithm.is_some() && described != asked.algorithm => {
            return contradicts("--algorithm", &asked.algorithm.name(), &described.name());
        }
        Some(described) => described,
        None => asked.algorithm,
    };
    if how.padding.is_some() && asked.padding != one.padding {
        return contradicts("--padding", asked.padding.name(), one.padding.name());
    }
    Ok(SignOptions { algorithm, padding: one.padding, node: one.node.clone(), ..asked })
}

/// Verifies what was signed with the public keys only: each configuration as U-Boot does, each image's own signature.
/// `whole` also wants that no image is without a signature.
///
/// # Errors
/// As [`refused`] says it.
pub fn prove(
    file: &Path,
    signed: &[u8],
    signatures: &[(Part, SignOptions, &dyn Signer)],
    whole: bool,
    known: &Digests<'_>,
) -> Outcome<()> {
    let tree = internalised(signed).map_err(|e| wrong(file, &e))?;
    // One look at the FIT for each key, however many configurations it signed.
    let mut reports: BTreeMap<(&str, Algorithm), VerifyReport> = BTreeMap::new();
    for (_, options, signer) in signatures.iter().filter(|(part, ..)| matches!(part, Part::Configuration(_)))
    {
        if let Entry::Vacant(place) = reports.entry((&options.key_name, options.algorithm)) {
            let trusted = KeyNode::required(&options.key_name, options.algorithm, signer.public_key());
            let report = fit::verify::verify_knowing(signed, &[trusted], false, known);
            place.insert(report.map_err(|e| wrong(file, &e))?);
        }
    }
    let whole = whole && reports.len() == 1;
    for (part, options, signer) in signatures {
        match part {
            Part::Configuration(name) => {
                let Some(report) = reports.get(&(options.key_name.as_str(), options.algorithm)) else {
                    continue;
                };
                // Others may be signed by other keys, or are not to be signed.
                let own = report.configurations.iter().find(|found| &found.name == name);
                let own = own.ok_or_else(|| unproved(&format!("the configuration `{name}` is gone")))?;
                let uncovered = |problem: &&Problem| problem.code.starts_with("uncovered");
                let certain = report.problems.iter().filter(|problem| !uncovered(problem));
                let rest = report.problems.iter().filter(|problem| whole && uncovered(problem));
                if let Some(problem) = own.problems.iter().chain(certain).chain(rest).next() {
                    return Err(refused(file, problem));
                }
            }
            Part::Image(name) => {
                let image = tree.root.at(&format!("/images/{name}"));
                let data = image.and_then(|image| image.get("data"));
                let value = image.and_then(|image| image.child(&options.node)?.get("value"));
                let holds = data.zip(value).is_some_and(|(data, value)| {
                    let digest = options.algorithm.hash.digest(&[data]);
                    signer.public_key().holds(options.algorithm.hash, options.padding, &digest, value)
                });
                if !holds {
                    return Err(unproved(&format!("the signature of the image `{name}` does not hold")));
                }
            }
        }
    }
    Ok(())
}
