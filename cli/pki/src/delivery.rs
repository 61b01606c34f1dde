//! What is provisioned, in the form of a backup that adds to what a device has: handed over in the field by whoever may hand over
//! backups, without root, and taken only with the key that this one device was given.
//!
//! The form is `docs/backup.md`'s: 512 bytes of lines, HMAC-SHA-256 (FIPS 198-1) of all else, and what
//! `openssl enc -aes-256-ctr -pbkdf2 -iter 1000 -md sha256` makes (SP 800-38A; RFC 8018).

use std::fmt::Write as _;

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use diag::{ExitStatus, Failure, Outcome};
use hmac::{Hmac, Mac as _};
use rand_core::{OsRng, RngCore as _};
use secret::Secret;
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

use crate::provision::Items;

const HEAD: usize = 512;
const ROUNDS: u32 = 1000;
/// Where a device's archive is unpacked.
const ROOT: &str = "/var";

/// What a device takes: its layer `backup`.
#[derive(Clone, Debug)]
pub struct Device {
    /// Name of the product.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Folders in which it takes files, from `/`.
    pub kept: Vec<String>,
    /// Folders in these in which it takes none.
    pub never: Vec<String>,
    /// Bytes that it takes at most.
    pub limit: u64,
}

impl Device {
    fn takes(&self, path: &str) -> bool {
        let within = |place: &String| {
            // An empty one would hold every path.
            !place.is_empty()
                && path
                    .strip_prefix(place.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._/@:+=-".contains(c);
        path.chars().all(plain) && !self.never.iter().any(within) && self.kept.iter().any(within)
    }
}

/// The delivery of `items`, made at `made` (as RFC 3339 in UTC writes it), for the device with the key of backups `key`.
///
/// # Errors
/// `bad-backup-key` for what is no such key; `not-delivered` for a file that the device would not take, `too-large`.
pub fn sealed(items: &Items, device: &Device, made: &str, key: &Secret) -> Outcome<Vec<u8>> {
    let key = key.bytes();
    if key.len() != 64 || !key.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        let message =
            "expected 64 hexadecimal digits in small letters as the key of backups, found something else";
        return Err(Failure::error(ExitStatus::Keys, "bad-backup-key", message)
            .hint("`openssl rand -hex 32` makes one; it is the one in the device's `backup/key`"));
    }
    let plain = plain(items, device)?;
    let marks = {
        let mut hash = Sha512::new();
        hash.update(b"fastness-backup\n");
        hash.update(key);
        hash.update(b"\n");
        Zeroizing::new(hash.finalize().to_vec())
    };
    // The second half in hexadecimal digits is what openssl takes for a passphrase.
    let mut passphrase = Zeroizing::new(String::with_capacity(64));
    for byte in &marks[32..] {
        let _ = write!(passphrase, "{byte:02x}");
    }
    let mut salt = [0; 8];
    OsRng.fill_bytes(&mut salt);
    let mut out =
        format!("fastness-delivery=1\nproduct={}\nversion={}\nmade={made}\n", device.product, device.version)
            .into_bytes();
    if out.len() >= HEAD {
        let message =
            format!("expected less than {HEAD} bytes of product, version and time, found {}", out.len());
        return Err(Failure::error(ExitStatus::Input, "too-large", message)
            .hint("give the product a shorter `version`"));
    }
    out.resize(HEAD, b'\n');
    let sealed = encrypted(&plain, passphrase.as_bytes(), salt);
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(&marks[..32])
        .map_err(|e| Failure::error(ExitStatus::Internal, "bad-backup-key", e.to_string()))?;
    mac.update(&out);
    mac.update(&sealed);
    let mut digits = String::with_capacity(64);
    for byte in mac.finalize().into_bytes() {
        let _ = write!(digits, "{byte:02x}");
    }
    out.extend(digits.as_bytes());
    out.extend(sealed);
    Ok(out)
}

/// Length of the manifest, the manifest, the contents.
fn plain(items: &Items, device: &Device) -> Outcome<Zeroizing<Vec<u8>>> {
    let (mut manifest, mut total) = (String::new(), 0_u64);
    let mut contents: Vec<&[u8]> = Vec::new();
    for (path, item) in items {
        let path = format!("{ROOT}/{path}");
        let Some(content) = &item.content else {
            // A folder above is there, and no business of a delivery.
            if device.takes(&path) {
                let _ = writeln!(manifest, "d {:o} 0 {} 0 - {path}", item.mode, item.group);
            }
            continue;
        };
        if !device.takes(&path) {
            let message = format!("expected files in {}, found `{path}`", device.kept.join(", "));
            return Err(Failure::error(ExitStatus::Input, "not-delivered", message)
                .hint("leave it out; it is provisioned before the device's first start"));
        }
        total += content.len() as u64;
        let sum = record::sha256_hex(content);
        let _ = writeln!(manifest, "f {:o} 0 {} {} {sum} {path}", item.mode, item.group, content.len());
        contents.push(content);
    }
    if total > device.limit {
        let message = format!("expected at most {} bytes, found {total}", device.limit);
        return Err(Failure::error(ExitStatus::Input, "too-large", message)
            .hint("give the layer `backup` a larger `limit`, and the devices that image first"));
    }
    // One allocation, so that no copy of a key is left behind by a growing buffer.
    let length: usize = contents.iter().map(|content| content.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(16 + manifest.len() + length));
    out.extend(format!("{:015}\n", manifest.len()).as_bytes());
    out.extend(manifest.as_bytes());
    for content in contents {
        out.extend(content);
    }
    Ok(out)
}

/// As `openssl enc` writes it.
fn encrypted(plain: &[u8], passphrase: &[u8], salt: [u8; 8]) -> Vec<u8> {
    let mut derived = Zeroizing::new([0; 48]);
    pbkdf2::pbkdf2_hmac::<Sha256>(passphrase, &salt, ROUNDS, &mut *derived);
    let (mut key, mut vector) = (Zeroizing::new([0; 32]), [0; 16]);
    key.copy_from_slice(&derived[..32]);
    vector.copy_from_slice(&derived[32..]);
    let mut out = [b"Salted__".as_slice(), &salt, plain].concat();
    Ctr128BE::<Aes256>::new((&*key).into(), &vector.into()).apply_keystream(&mut out[16..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::{file, folders};

    const KEY: &str = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";

    fn device() -> Device {
        Device {
            product: "gw".to_owned(),
            version: "1.0.0".to_owned(),
            kept: vec!["/var/lib/fastness".to_owned()],
            never: vec!["/var/lib/fastness/backup".to_owned()],
            limit: 1000,
        }
    }

    fn items(path: &str) -> Items {
        let mut items = Items::new();
        folders(&mut items, "lib/fastness/ipsec", 0o700).unwrap();
        file(&mut items, path.to_owned(), 0o600, b"a list");
        items
    }

    fn refused(items: &Items, key: &str) -> String {
        sealed(items, &device(), "2026-01-02T03:04:05Z", &Secret::new(key.into())).unwrap_err().to_string()
    }

    #[test]
    fn the_manifest_names_what_is_delivered_and_no_folder_above() {
        let plain = plain(&items("lib/fastness/ipsec/crl.pem"), &device()).unwrap();
        let text = String::from_utf8(plain.to_vec()).unwrap();
        let sum = record::sha256_hex(b"a list");
        let manifest = format!(
            "d 755 0 0 0 - /var/lib/fastness\nd 700 0 0 0 - /var/lib/fastness/ipsec\nf 600 0 0 6 {sum} /var/lib/fastness/ipsec/crl.pem\n"
        );
        assert_eq!(text, format!("{:015}\n{manifest}a list", manifest.len()));
    }

    #[test]
    fn two_of_the_same_have_another_salt_and_so_other_bytes() {
        let one = || {
            let key = Secret::new(KEY.into());
            sealed(&items("lib/fastness/ipsec/crl.pem"), &device(), "2026-01-02T03:04:05Z", &key).unwrap()
        };
        let (first, second) = (one(), one());
        assert!(
            first.starts_with(
                b"fastness-delivery=1\nproduct=gw\nversion=1.0.0\nmade=2026-01-02T03:04:05Z\n\n"
            )
        );
        assert_eq!(first[..HEAD], second[..HEAD]);
        assert_ne!(first[HEAD..], second[HEAD..]);
        assert!(!first.windows(6).any(|window| window == b"a list"));
    }

    #[test]
    fn what_the_device_would_not_take_is_refused_here() {
        for (path, found) in [
            ("lib/fastness/backup/key", "/var/lib/fastness/backup/key"),
            ("log/events/state/seal", "/var/log/events/state/seal"),
            ("lib/fastness2/x", "/var/lib/fastness2/x"),
        ] {
            let text = refused(&items(path), KEY);
            assert!(
                text.contains(&format!("expected files in /var/lib/fastness, found `{found}`")),
                "{text}"
            );
        }
        let nowhere = Device { kept: vec![String::new()], ..device() };
        assert!(!nowhere.takes("/var/lib/fastness/a") && device().takes("/var/lib/fastness/a"));
        let mut large = items("lib/fastness/a");
        file(&mut large, "lib/fastness/b".to_owned(), 0o600, &[0; 995]);
        assert!(refused(&large, KEY).contains("expected at most 1000 bytes, found 1001"));
        let long = Device { version: "1".repeat(460), ..device() };
        let key = Secret::new(KEY.into());
        let refused_long = sealed(&items("lib/fastness/a"), &long, "2026-01-02T03:04:05Z", &key).unwrap_err();
        assert!(
            refused_long.to_string().contains("expected less than 512 bytes of product, version and time")
        );
        for key in ["", &KEY[1..], &KEY.to_uppercase(), &KEY.replace('0', "g")] {
            assert!(refused(&items("lib/fastness/a"), key).contains("expected 64 hexadecimal digits"));
        }
    }
}
