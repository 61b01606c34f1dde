//! What sshd must no longer take: certificates and bare keys, in OpenSSH's list (OpenSSH, `PROTOCOL.krl`).
//!
//! The list is not signed: whoever can write it on a device is root there. It never shrinks, and its number is how
//! much is revoked.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use diag::{Failure, Outcome};
use secret::open_store;
use ssh_key::{HashAlg, PublicKey};

use crate::authority::{Authority, not_issued};
use crate::key::broken;
use crate::ssh::{SshEntry, SshKind, public_key};

/// `SSHKRL\n\0`, and the version of the format.
const MAGIC: u64 = 0x5353_484b_524c_0a00;
const FORMAT: u32 = 1;
/// Kinds of sections.
const CERTIFICATES: u8 = 1;
const FINGERPRINTS_SHA256: u8 = 5;
/// Kind of a part of a section of certificates.
const SERIAL_LIST: u8 = 0x20;

impl Authority {
    /// Revokes all certificates of OpenSSH of an identity; the list is written anew.
    ///
    /// # Errors
    /// `not-issued`, or when a file cannot be written.
    pub fn revoke_ssh(&mut self, name: &str) -> Outcome<Vec<SshEntry>> {
        let now = self.now;
        let fresh = self.index.ssh.iter_mut().filter(|entry| entry.name == name && entry.revoked.is_none());
        let revoked: Vec<SshEntry> = fresh
            .map(|entry| {
                entry.revoked = Some(now);
                entry.clone()
            })
            .collect();
        if revoked.is_empty() {
            return Err(not_issued(name));
        }
        self.save()?;
        self.write_krl()?;
        Ok(revoked)
    }

    /// Revokes a bare public key, and every certificate of it; the list is written anew. Gives its fingerprint.
    ///
    /// # Errors
    /// `bad-public-key`, or when a file cannot be written.
    pub fn revoke_ssh_key(&mut self, line: &str) -> Outcome<String> {
        let fingerprint = public_key(line)?.fingerprint(HashAlg::Sha256).to_string();
        if !self.index.ssh_keys_revoked.contains(&fingerprint) {
            self.index.ssh_keys_revoked.push(fingerprint.clone());
        }
        self.save()?;
        self.write_krl()?;
        Ok(fingerprint)
    }

    /// `ssh/revoked_keys`, as a device gets it.
    fn write_krl(&self) -> Outcome<PathBuf> {
        let folder = self.folder.join("ssh");
        open_store(&folder)?;
        let bytes = self.krl()?;
        let (path, part) = (folder.join("revoked_keys"), folder.join("revoked_keys.part"));
        fs::write(&part, bytes).map_err(|e| Failure::io("write", &part, &e))?;
        fs::rename(&part, &path).map_err(|e| Failure::io("write", &path, &e))?;
        Ok(path)
    }

    fn krl(&self) -> Outcome<Vec<u8>> {
        let revoked = self.index.ssh.iter().filter(|entry| entry.revoked.is_some());
        let count = revoked.clone().count() + self.index.ssh_keys_revoked.len();
        let mut out = Vec::new();
        out.extend(MAGIC.to_be_bytes());
        out.extend(FORMAT.to_be_bytes());
        out.extend((count as u64).to_be_bytes());
        out.extend(self.now.to_be_bytes());
        // No flags, nothing reserved.
        out.extend(0u64.to_be_bytes());
        string(&mut out, &[]);
        string(&mut out, b"fastness");
        for kind in [SshKind::Host, SshKind::User] {
            let serials: BTreeSet<u64> =
                revoked.clone().filter(|entry| entry.kind == kind).map(|entry| entry.serial).collect();
            if !serials.is_empty() {
                let mut section = Vec::new();
                string(&mut section, &self.ssh_authority_blob(kind)?);
                string(&mut section, &[]);
                section.push(SERIAL_LIST);
                string(&mut section, &serials.into_iter().flat_map(u64::to_be_bytes).collect::<Vec<u8>>());
                out.push(CERTIFICATES);
                string(&mut out, &section);
            }
        }
        let keys: BTreeSet<Vec<u8>> = self
            .index
            .ssh_keys_revoked
            .iter()
            .map(|text| text.parse::<ssh_key::Fingerprint>().map(|print| print.as_bytes().to_vec()))
            .collect::<Result<_, _>>()
            .map_err(|e| broken(&e))?;
        if !keys.is_empty() {
            let mut section = Vec::new();
            keys.iter().for_each(|print| string(&mut section, print));
            out.push(FINGERPRINTS_SHA256);
            string(&mut out, &section);
        }
        Ok(out)
    }

    /// The public key that signed, as it stands in certificates.
    fn ssh_authority_blob(&self, kind: SshKind) -> Outcome<Vec<u8>> {
        let path = self.folder.join(format!("ssh-{}-ca.pub", kind.name()));
        let text = fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, &e))?;
        PublicKey::from_openssh(text.trim_end()).and_then(|key| key.to_bytes()).map_err(|e| broken(&e))
    }
}

/// A length of four bytes, and the bytes (RFC 4251, 5).
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(bytes);
}
