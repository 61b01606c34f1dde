//! Private keys at rest: PKCS#8 `ENCRYPTED PRIVATE KEY` (RFC 5958), PBES2 of PBKDF2-HMAC-SHA256 and
//! AES-256-CBC (RFC 8018).
//!
//! PBKDF2 rather than scrypt, because OpenSSL refuses the scrypt parameters that would be worth it (its
//! limit is 32 MiB), and these files have to be usable with `openssl pkey -in NAME.key.pem`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo, SecretDocument};
use rand_core::{OsRng, RngCore};
use zeroize::Zeroizing;

use super::files::refuse_open_permissions;
use super::passphrase::Secret;

/// PBKDF2 rounds of a new key (the OWASP password storage recommendation of 2023 for HMAC-SHA256).
const ROUNDS: u32 = 600_000;
/// A file that asks for more than this is not worked on: it would run for minutes.
const MOST_ROUNDS: u32 = 20_000_000;
/// PEM of an RSA-4096 key has less than 4 KiB.
const LONGEST_PEM: u64 = 64 * 1024;
const LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Encrypts a PKCS#8 private key (DER) and returns its PEM.
///
/// # Errors
/// `key-format`, when the DER is no private key.
pub fn encrypt(der: &SecretDocument, secret: &Secret) -> Outcome<Zeroizing<String>> {
    let internal = |e: &dyn std::fmt::Display| {
        Failure::error(ExitStatus::Internal, "key-format", format!("cannot encrypt a new key: {e}"))
    };
    let (mut salt, mut vector) = ([0; 16], [0; 16]);
    OsRng.fill_bytes(&mut salt);
    OsRng.fill_bytes(&mut vector);
    let parameters = Parameters::pbkdf2_sha256_aes256cbc(ROUNDS, &salt, &vector).map_err(|e| internal(&e))?;
    let info = PrivateKeyInfo::try_from(der.as_bytes()).map_err(|e| internal(&e))?;
    let encrypted = info.encrypt_with_params(parameters, secret.bytes()).map_err(|e| internal(&e))?;
    encrypted.to_pem(LABEL, LineEnding::LF).map_err(|e| internal(&e))
}

/// Reads and decrypts the private key of the key `name`; the result is PKCS#8 DER.
///
/// # Errors
/// `key-permissions`, `key-format` and `wrong-passphrase`.
pub fn decrypt(path: &Path, name: &str, secret: &Secret) -> Outcome<SecretDocument> {
    let pem = read_private(path)?;
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::error(
            ExitStatus::Keys,
            "key-format",
            format!(
                "expected `{}` to be an encrypted PKCS#8 key in PEM, found something else: {why}",
                path.display()
            ),
        )
        .hint("take it from a backup, or make a new key with `fastness keys new`")
    };
    let (label, document) = SecretDocument::from_pem(&pem).map_err(|e| unreadable(&e))?;
    if label != LABEL {
        return Err(unreadable(&format!("it is labelled `{label}`")).hint(
            "encrypt it: `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in OLD -out NEW`",
        ));
    }
    let info = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|e| unreadable(&e))?;
    refuse_endless(&info).map_err(|why| unreadable(&why))?;
    // A wrong passphrase shows as wrong padding, or with one chance in 256 as broken DER.
    let wrong = || {
        Failure::error(
            ExitStatus::Keys,
            "wrong-passphrase",
            format!("the passphrase does not open the key `{name}` (`{}`)", path.display()),
        )
        .hint("check the passphrase and that it belongs to this key")
    };
    let plain = info.decrypt(secret.bytes()).map_err(|_| wrong())?;
    PrivateKeyInfo::try_from(plain.as_bytes()).map_err(|_| wrong())?;
    Ok(plain)
}

fn read_private(path: &Path) -> Outcome<Zeroizing<String>> {
    let io = |e: &std::io::Error| Failure { status: ExitStatus::Keys, ..Failure::io("read", path, e) };
    let file = File::open(path).map_err(|e| io(&e))?;
    refuse_open_permissions(path, &file)?;
    let mut pem = Zeroizing::new(String::new());
    file.take(LONGEST_PEM).read_to_string(&mut pem).map_err(|e| io(&e))?;
    Ok(pem)
}

fn refuse_endless(info: &EncryptedPrivateKeyInfo<'_>) -> Result<(), String> {
    let Some(parameters) = info.encryption_algorithm.pbes2() else {
        return Err("expected PBES2 encryption".to_owned());
    };
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) if kdf.iteration_count > MOST_ROUNDS => {
            Err(format!("it asks for {} PBKDF2 rounds, more than {MOST_ROUNDS}", kdf.iteration_count))
        }
        // N·r is what takes memory and time; 2^24 of 128 bytes are 2 GiB.
        Kdf::Scrypt(kdf) if kdf.cost_parameter.saturating_mul(u64::from(kdf.block_size)) > 1 << 24 => {
            Err(format!("it asks for scrypt with N = {}", kdf.cost_parameter))
        }
        _ => Ok(()),
    }
}
