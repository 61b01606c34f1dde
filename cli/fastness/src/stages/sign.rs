//! artefacts → image: the key, its passphrase, and assembly.

use std::path::{Path, PathBuf};

use assemble::keys::{KeyStore, PassphraseSource, Secret, SigningKey};
use diag::Outcome;
use record::{Artefacts, ImageRecord};
use spec::plan::Plan;

use super::Options;
use crate::passphrase;
use crate::progress::Steps;

/// Where the user said the passphrase comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Passphrase {
    /// File with the passphrase; only its owner may be able to read it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Open file descriptor to read the passphrase from
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    passphrase_fd: Option<u32>,
    /// Socket of an agent that gives passphrases
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
    passphrase_agent: Option<PathBuf>,
}

impl Passphrase {
    /// The source that was named, if any.
    pub fn source(&self) -> Option<PassphraseSource> {
        let file = self.passphrase_file.clone().map(PassphraseSource::File);
        let descriptor = self.passphrase_fd.map(PassphraseSource::Descriptor);
        file.or(descriptor).or_else(|| self.passphrase_agent.clone().map(PassphraseSource::Agent))
    }

    /// The file that was named, if any.
    pub fn file(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }

    /// The passphrase of a key: from the source that was named, else from the file beside a
    /// development key, else from a person. Nobody is asked for that of a key that is not there.
    ///
    /// # Errors
    /// `missing-key`, and those of the source.
    pub fn read(&self, store: &KeyStore, name: &str) -> Outcome<Secret> {
        if !store.record(name)?.needs_secret() {
            return Ok(Secret::new(Vec::new()));
        }
        self.source().unwrap_or_else(|| store.default_passphrase(name)).read(name, &passphrase::ask)
    }

    /// The passphrase of a key that is in no key store: from the source that was named, else from a person.
    ///
    /// # Errors
    /// Those of the source.
    pub fn ask(&self, name: &str) -> Outcome<Secret> {
        self.source().unwrap_or(PassphraseSource::Prompt).read(name, &passphrase::ask)
    }

    /// The same for a key that is made now; a person is asked twice.
    ///
    /// # Errors
    /// Those of the source.
    pub fn ask_new(&self, name: &str) -> Outcome<Secret> {
        self.source().unwrap_or(PassphraseSource::Prompt).read(name, &passphrase::ask_new)
    }
}

/// Whether the plan's key is there and may sign it; asks for no passphrase.
///
/// # Errors
/// When the key is missing, or may not sign this plan.
pub fn key_fits(plan: &Plan, options: &Options) -> Outcome<()> {
    assemble::keys_fit(plan, &KeyStore::at(&options.keys).public(&plan.signing.key)?.record)
}

/// The plan's key, opened before anything is built when it is plain that an image is to be signed:
/// a wrong passphrase is then told at once, and nobody is asked after an hour of building.
///
/// # Errors
/// Those of the key store.
pub fn open_key_early(plan: &Plan, folder: &Path, options: &Options) -> Outcome<Option<SigningKey>> {
    let same_plan = record::read_json::<Plan>(&folder.join("plan.json")).is_ok_and(|old| old == *plan);
    if same_plan && folder.join("image.json").is_file() {
        Ok(None)
    } else {
        open_key(plan, options).map(Some)
    }
}

fn open_key(plan: &Plan, options: &Options) -> Outcome<SigningKey> {
    let store = KeyStore::at(&options.keys);
    let secret = options.passphrase.read(&store, &plan.signing.key)?;
    store.load_signing(&plan.signing.key, &secret)
}

/// The image in the folder, if it is already the one that was asked for; asks for no passphrase.
///
/// # Errors
/// When the key is missing, or may not sign this plan.
pub fn image_is_current(
    plan: &Plan,
    artefacts: &Artefacts,
    folder: &Path,
    options: &Options,
) -> Outcome<Option<ImageRecord>> {
    let key = KeyStore::at(&options.keys).public(&plan.signing.key)?;
    key.record.fits(&plan.signing)?;
    assemble::up_to_date(plan, artefacts, &key.record, folder)
}

/// Makes the image, unless it is there already, with the key that is open or is opened now; then
/// writes `plan.json`.
///
/// Only now, because a build that fails must leave the old image with its own plan. Killed just
/// before, the folder has an image of another plan, which `Built::open` refuses by name.
///
/// # Errors
/// Those of the key store and of assembly.
pub fn sign(
    plan: &Plan,
    artefacts: &Artefacts,
    folder: &Path,
    options: &Options,
    key: Option<SigningKey>,
    steps: &Steps,
) -> Outcome<ImageRecord> {
    let image = match image_is_current(plan, artefacts, folder, options)? {
        Some(image) => steps.step("assemble and sign", None, || Ok((image, true)))?,
        None => {
            let key = key.map_or_else(|| open_key(plan, options), Ok)?;
            make(plan, artefacts, folder, &key, steps)?
        }
    };
    record::write_json_atomic(&folder.join("plan.json"), plan)?;
    Ok(image)
}

fn make(
    plan: &Plan,
    artefacts: &Artefacts,
    folder: &Path,
    key: &SigningKey,
    steps: &Steps,
) -> Outcome<ImageRecord> {
    let log = folder.join("logs/data-partition.log");
    steps.step("assemble and sign", Some(&log), || {
        let image = assemble::assemble(plan, artefacts, folder, key, &|what| steps.detail(what))?;
        Ok((image, false))
    })
}
