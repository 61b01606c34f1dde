//! `fastness fit sign-request`, `answer` and `attach`: the private key is on another machine.
//!
//! The build machine has the public key only. What goes over are the covered bytes, which hold no image; what
//! comes back is a signature, which is taken only if it is one of exactly these bytes.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use assemble::keys::{KeyRecord, KeyStore, KeyUri, OfflineSigner, stem};
use diag::{ExitStatus, Failure, Outcome};
use fit::build::Digests;
use fit::external::internalised;
use fit::key::{Hash, Padding};
use fit::request::{MAX_REGION, SigningRequest, describe};
use fit::sign::Message;
use serde::Serialize;

use super::fit_file::{read, refuse_input, refuse_store, write, wrong};
use super::fit_sign::{Signature, Trusted, signing_failure};
use super::fit_write::Outside;
use crate::output::{Output, clean};
use crate::stages::{self, Passphrase};

/// With which key, and how, a FIT is signed.
#[derive(Debug, clap::Args)]
struct SignWith {
    /// Key of the key store; also the `key-name-hint`
    #[arg(long, value_name = "NAME")]
    key: String,
    #[command(flatten)]
    how: Signature,
}

/// Arguments of `fit sign-request`.
#[derive(Debug, clap::Args)]
pub struct RequestArguments {
    /// The FIT
    file: PathBuf,
    #[command(flatten)]
    with: SignWith,
    /// Folder for the requests
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
}

/// Arguments of `fit attach`.
#[derive(Debug, clap::Args)]
pub struct AttachArguments {
    /// The FIT that the signatures were asked for
    file: PathBuf,
    /// Folder with the requests and their signatures
    requests: PathBuf,
    #[command(flatten)]
    with: SignWith,
    #[command(flatten)]
    outside: Outside,
    /// Where to write the signed FIT
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

/// Arguments of `fit answer`.
#[derive(Debug, clap::Args)]
pub struct AnswerArguments {
    /// The request (`….json`); the covered bytes are beside it (`….region`)
    request: PathBuf,
    /// Key of this machine's key store; otherwise the one of the request's name
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Only show what would be signed
    #[arg(long)]
    show: bool,
    /// Sign a request that was answered before once more: its signature was lost
    #[arg(long, conflicts_with = "show")]
    again: bool,
    #[command(flatten)]
    passphrase: Passphrase,
}

#[derive(Serialize)]
struct Requested {
    folder: PathBuf,
    /// The request of each signature that has to be made, as a path; empty when all are there.
    wanted: Vec<String>,
}

#[derive(Serialize)]
struct Answered<'a> {
    request: &'a SigningRequest,
    covered: Vec<String>,
    signature: Option<PathBuf>,
}

fn signer(with: &SignWith, store: &KeyStore, folder: &Path, asks: bool) -> Outcome<OfflineSigner> {
    let public = store.public(&with.key)?;
    public.record.refuse_ended()?;
    let key = public.key;
    Ok(OfflineSigner { folder: folder.to_owned(), name: with.key.clone(), key, asks })
}

/// A signature covers the images' hashes, and a request shows only these: the data has to be what they say on both ways.
///
/// # Errors
/// When it is not.
pub fn refuse_other_data(file: &Path, blob: &[u8]) -> Outcome<()> {
    let problems = fit::verify::data_problems(blob).map_err(|e| wrong(file, &e))?;
    let Some(problem) = problems.first() else { return Ok(()) };
    let message = format!("`{}`: {}", file.display(), problem.message);
    Err(Failure::error(ExitStatus::Input, "image-data", message).hint(
        "nothing was written; build the FIT anew from the images that are meant, and ask for its signature",
    ))
}

/// Writes a request for each signature that the FIT still wants; nothing is signed.
pub fn request(asked: &RequestArguments, store: &KeyStore, output: &Output) -> Outcome<ExitStatus> {
    refuse_store(&asked.output, store.folder())?;
    let blob = read(&asked.file)?;
    let mut tree = internalised(&blob).map_err(|e| wrong(&asked.file, &e))?;
    refuse_other_data(&asked.file, &blob)?;
    let signer = signer(&asked.with, store, &asked.output, true)?;
    let options = asked.with.how.options(&asked.with.key, &signer.key)?;
    let wanted = match fit::sign::sign_tree(&mut tree, &[(&options, &signer)]) {
        Ok(_) => Vec::new(),
        Err(fit::FitError::Unsigned(requests)) => requests,
        Err(e) => return Err(signing_failure(&asked.file, e)),
    };
    let result = Requested { folder: asked.output.clone(), wanted };
    output.result(&result, |_| match result.wanted.len() {
        0 => format!("every signature is in `{}`: `fastness fit attach` puts them in\n", asked.output.display()),
        count => format!(
            "a signature is asked for in `{}`\n{count} to be signed: `fastness fit answer REQUEST` where the key is, then `fastness fit attach` here\n",
            result.wanted.join("`\na signature is asked for in `")
        ),
    });
    Ok(ExitStatus::Success)
}

/// Puts signatures into the FIT, and verifies the result before it is written.
pub fn attach(asked: &AttachArguments, store: &KeyStore, output: &Output) -> Outcome<ExitStatus> {
    let blob = read(&asked.file)?;
    let mut tree = internalised(&blob).map_err(|e| wrong(&asked.file, &e))?;
    refuse_other_data(&asked.file, &blob)?;
    let signer = signer(&asked.with, store, &asked.requests, false)?;
    let options = asked.with.how.options(&asked.with.key, &signer.key)?;
    fit::sign::sign_tree(&mut tree, &[(&options, &signer)]).map_err(|e| signing_failure(&asked.file, e))?;
    let trusted = Trusted::new(&options, signer.key.clone());
    refuse_requests(&asked.output, &asked.requests)?;
    let pieces = asked.outside.pieces(&tree)?;
    write(&asked.output, &pieces, |signed| trusted.holds(&asked.file, signed, &Digests::default()), output)
}

/// A signed FIT in the place of a request or of its answer would take it away.
fn refuse_requests(output: &Path, folder: &Path) -> Outcome<()> {
    let files =
        std::fs::read_dir(folder).map(|all| all.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
    let files = files.unwrap_or_default();
    refuse_input(output, files.iter().map(PathBuf::as_path))
}

/// This machine may have the key as one of another machine, too: nothing here can answer, and to ask once more would be no answer.
fn refuse_offline(record: &KeyRecord, store: &KeyStore) -> Outcome<()> {
    if !matches!(record.place.as_deref().map(KeyUri::parse), Some(Ok(KeyUri::Offline))) {
        return Ok(());
    }
    let message = format!(
        "this machine does not have the private half of the key `{}`: in `{}` it is `offline:`",
        record.name,
        store.folder().display()
    );
    Err(Failure::error(ExitStatus::Keys, "no-private-key", message).hint(
        "answer on the machine that has it, or name another store with `--keys`, or another key with `--key`",
    ))
}

/// A request that comes back may be somebody's who wants a second signature of what was withdrawn since.
fn refuse_answered(
    asked: &AnswerArguments,
    request: &SigningRequest,
    store: &KeyStore,
    name: &str,
) -> Outcome<()> {
    let Some(seconds) = store.answered(name, &request.digest)? else { return Ok(()) };
    let message = format!(
        "`{}` was answered with the key `{name}` on {}",
        asked.request.display(),
        spec::time::rfc3339(seconds)
    );
    Err(Failure::error(ExitStatus::Keys, "answered-before", message)
        .hint("nothing was signed; if the signature was lost, and this is still to be signed: `--again`"))
}

/// Shows what a request is about, and signs it.
pub fn answer(asked: &AnswerArguments, store: &KeyStore, output: &Output) -> Outcome<ExitStatus> {
    let text = read(&asked.request)?;
    let request: SigningRequest = serde_json::from_slice(&text).map_err(|e| {
        Failure::error(
            ExitStatus::Input,
            "request",
            format!("expected a request for a signature, `{}` is none: {e}", asked.request.display()),
        )
    })?;
    let path = asked.request.with_extension("region");
    let region = read(&path)?;
    if region.len() > MAX_REGION {
        return Err(wrong(&path, &fit::FitError::Fit(format!("expected at most {MAX_REGION} bytes"))));
    }
    let name = asked.key.as_deref().unwrap_or(&request.key_name);
    let public = store.public(name)?;
    request.check(&region, &public.key).map_err(|e| match e {
        fit::FitError::Key(why) => {
            let message =
                format!("`{}` cannot be answered with the key `{name}`: {why}", asked.request.display());
            Failure::error(ExitStatus::Keys, "wrong-key", message)
                .hint("name the key that is meant with `--key`, or another store with `--keys`")
        }
        other => wrong(&asked.request, &other),
    })?;
    let covered = describe(&region).map_err(|e| wrong(&path, &e))?;
    let padding = request.padding.map(|padding| format!(" {}", padding.name())).unwrap_or_default();
    let head = format!("{}{padding} for `{}`", request.algorithm, request.key_name);
    let shown = clean(&format!("{head}, covering\n  {}\n", covered.join("\n  ")));
    let mut signature = None;
    if !asked.show {
        refuse_offline(&public.record, store)?;
        if !asked.again {
            refuse_answered(asked, &request, store, name)?;
        }
        // Before a passphrase is asked for: whoever signs sees what.
        output.note(shown.trim_end());
        let hash: Hash = request.hash().map_err(|e| wrong(&asked.request, &e))?;
        let secret = asked.passphrase.read(store, name)?;
        let key = store.load_signing(name, &secret)?;
        // Of RSA a request names one (`SigningRequest::check`); ECDSA has none.
        let padding = request.padding.unwrap_or(Padding::Pss);
        let message = Message { hash, padding, parts: &[&region] };
        let made = key.signer().sign(&message).map_err(|e| {
            Failure::error(ExitStatus::Keys, "signing", format!("the request cannot be signed: {e}"))
        })?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        store.note_answer(name, &request.digest, now)?;
        let file = asked.request.with_file_name(format!("{}.sig", stem(&request.digest)));
        stages::write_atomic(&file, &made)?;
        signature = Some(file);
    }
    let result = Answered { request: &request, covered, signature };
    output.result(&result, |_| match &result.signature {
        None => shown.clone(),
        Some(file) => format!("signed: bring `{}` back\n", file.display()),
    });
    Ok(ExitStatus::Success)
}
