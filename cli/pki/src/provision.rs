//! What one device, or its peer, gets: its private key, certificates and lists, where their programs look for them.
//!
//! The archive holds a private key in clear. It is made for one device and goes to that device; it must never
//! be part of an image that several devices share.

use std::collections::BTreeMap;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use secret::Secret;
use zeroize::Zeroizing;

use crate::identity::{Holder, Identity};
use crate::index::Entry;
use crate::key::broken;
use crate::role::Role;

/// Where sshd looks for its list, below `/var`.
const SSH: &str = "lib/fastness/ssh";

/// Which end of the tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The device.
    Device,
    /// The plant.
    Peer,
}

impl End {
    fn role(self) -> Role {
        match self {
            Self::Device => Role::Device,
            Self::Peer => Role::Peer,
        }
    }

    /// Stem of the files.
    fn stem(self) -> &'static str {
        self.role().name()
    }

    /// What `openvpn --genkey` writes.
    fn tls_crypt(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Device => (
                "tls-crypt-v2.key",
                "-----BEGIN OpenVPN tls-crypt-v2 client key-----",
                "`openvpn --tls-crypt-v2 SERVER.key --genkey tls-crypt-v2-client CLIENT.key` makes it",
            ),
            Self::Peer => (
                "tls-crypt-v2-server.key",
                "-----BEGIN OpenVPN tls-crypt-v2 server key-----",
                "`openvpn --genkey tls-crypt-v2-server SERVER.key` makes it",
            ),
        }
    }
}

/// A program that uses the identity, and the folder where it looks for it.
#[derive(Clone, Debug)]
pub enum Target {
    /// strongSwan: the folders that swanctl reads beside its configuration.
    Ipsec {
        /// Path below the archive's root.
        folder: String,
    },
    /// One tunnel of OpenVPN.
    Openvpn {
        /// Path below the archive's root.
        folder: String,
        /// The tunnel's tls-crypt-v2 key of this end.
        tls_crypt: Secret,
    },
    /// Syslog over TLS: the device that sends, or the collector.
    Collector {
        /// Path below the archive's root.
        folder: String,
    },
}

/// A file of the archive, or a folder if it has no content. Its owner is root.
pub struct Item {
    /// Its group.
    pub group: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whole content of a file; may be secret.
    pub content: Option<Zeroizing<Vec<u8>>>,
}

impl Item {
    /// A folder of root's.
    pub(crate) fn folder(mode: u32) -> Self {
        Self { group: 0, mode, content: None }
    }
}

/// Items by their path below the archive's root, which is `/var` for a device; a folder comes before what is in it.
pub type Items = BTreeMap<String, Item>;

/// What an end gets.
///
/// # Errors
/// `wrong-role` for what is no identity of that end, `bad-path` of a folder, `bad-tls-crypt`.
pub fn items(identity: &Identity, end: End, targets: &[Target]) -> Outcome<Items> {
    check_role(&identity.entry, end)?;
    let mut items = Items::new();
    let papers = [&identity.chain, &identity.roots, &identity.lists];
    for target in targets {
        match target {
            Target::Ipsec { folder } => {
                ipsec(&mut items, papers, Some(&identity.key_pem()?), end, folder)?;
            }
            Target::Openvpn { folder, tls_crypt } => {
                openvpn(&mut items, papers, Some(&identity.key_pem()?), end, (folder, tls_crypt))?;
            }
            Target::Collector { folder } => collector(&mut items, identity, end, folder)?,
        }
    }
    Ok(items)
}

/// What a device gets whose key is in its TPM: no key.
///
/// # Errors
/// `wrong-role`, `bad-path` of a folder, `bad-tls-crypt`.
pub fn without_key(holder: &Holder, targets: &[Target]) -> Outcome<Items> {
    check_role(&holder.entry, End::Device)?;
    let mut items = Items::new();
    let papers = [&holder.chain, &holder.roots, &holder.lists];
    for target in targets {
        match target {
            Target::Ipsec { folder } => ipsec(&mut items, papers, None, End::Device, folder)?,
            Target::Openvpn { folder, tls_crypt } => {
                openvpn(&mut items, papers, None, End::Device, (folder, tls_crypt))?;
            }
            Target::Collector { folder } => {
                return Err(Failure::error(
                    ExitStatus::Internal,
                    "key-file",
                    format!("the key for the collector is a file of `{folder}`"),
                ));
            }
        }
    }
    Ok(items)
}

fn check_role(entry: &Entry, end: End) -> Outcome<()> {
    let (found, wanted) = (entry.role.name(), end.role().name());
    if found == wanted {
        return Ok(());
    }
    let message = format!("expected a `{wanted}`, found `{}` as `{found}`", entry.name);
    Err(Failure::error(ExitStatus::Input, "wrong-role", message)
        .hint(format!("this end of a tunnel needs an identity of the role `{wanted}`")))
}

/// One certificate or list a file, as swanctl reads them.
fn ipsec(
    items: &mut Items,
    [chain, roots, lists]: [&String; 3],
    key: Option<&str>,
    end: End,
    place: &str,
) -> Outcome<()> {
    folders(items, place, 0o700)?;
    for name in ["private", "x509", "x509ca", "x509crl"] {
        folder(items, &format!("{place}/{name}"), 0o700);
    }
    let stem = end.stem();
    if let Some(key) = key {
        file(items, format!("{place}/private/{stem}.pem"), 0o600, key.as_bytes());
    }
    let mut chain = blocks(chain).into_iter();
    file(items, format!("{place}/x509/{stem}.pem"), 0o600, chain.next().unwrap_or_default().as_bytes());
    for (number, authority) in blocks(roots).into_iter().enumerate() {
        file(items, format!("{place}/x509ca/root-{}.pem", number + 1), 0o600, authority.as_bytes());
    }
    for (number, authority) in chain.enumerate() {
        file(items, format!("{place}/x509ca/issuing-{}.pem", number + 1), 0o600, authority.as_bytes());
    }
    for (number, list) in blocks(lists).into_iter().enumerate() {
        file(items, format!("{place}/x509crl/crl-{}.pem", number + 1), 0o600, list.as_bytes());
    }
    Ok(())
}

/// The list of what sshd must no longer take, if there is one: a device's alone.
///
/// # Errors
/// When it is there and cannot be read.
pub fn revoked_keys(authority: &Path) -> Outcome<Items> {
    let (mut items, path) = (Items::new(), authority.join("ssh/revoked_keys"));
    if path.is_file() {
        let list = std::fs::read(&path).map_err(|e| Failure::io("read", &path, &e))?;
        folders(&mut items, SSH, 0o700)?;
        file(&mut items, format!("{SSH}/revoked_keys"), 0o600, &list);
    }
    Ok(items)
}

/// The chain in one file, as OpenVPN reads it; and where the tunnel's key for its control channel lies.
fn openvpn(
    items: &mut Items,
    [chain, roots, lists]: [&String; 3],
    key: Option<&str>,
    end: End,
    (place, tls_crypt): (&str, &Secret),
) -> Outcome<()> {
    let (name, begin, made_by) = end.tls_crypt();
    if !tls_crypt.bytes().starts_with(begin.as_bytes()) {
        return Err(Failure::error(
            ExitStatus::Input,
            "bad-tls-crypt",
            format!(
                "expected the tls-crypt-v2 key for `{place}` to begin with `{begin}`, found something else"
            ),
        )
        .hint(made_by));
    }
    // OpenVPN reads the list again after it has dropped root: the folder can be passed, and the list be read.
    folders(items, place, 0o711)?;
    let stem = end.stem();
    if let Some(key) = key {
        file(items, format!("{place}/{stem}.key"), 0o600, key.as_bytes());
    }
    file(items, format!("{place}/{stem}.pem"), 0o644, chain.as_bytes());
    file(items, format!("{place}/ca.pem"), 0o644, roots.as_bytes());
    file(items, format!("{place}/crl.pem"), 0o644, lists.as_bytes());
    // A passphrase has no line end, a file of OpenVPN has one.
    let tls_crypt = Zeroizing::new([tls_crypt.bytes(), b"\n"].concat());
    file(items, format!("{place}/{name}"), 0o600, &tls_crypt);
    Ok(())
}

/// What the layer `forward` hands to its service, or what rsyslog's driver reads.
fn collector(items: &mut Items, identity: &Identity, end: End, place: &str) -> Outcome<()> {
    folders(items, place, 0o700)?;
    let (key, stem) = (identity.key_pem()?, end.stem());
    file(items, format!("{place}/{stem}.key"), 0o600, key.as_bytes());
    file(items, format!("{place}/{stem}.pem"), 0o600, identity.chain.as_bytes());
    file(items, format!("{place}/ca.pem"), 0o600, identity.roots.as_bytes());
    Ok(())
}

/// The first key of the records' seal, in the folder of the records: `line` as the device's program reads it.
///
/// # Errors
/// `bad-path` of the folder.
pub fn seal(items: &mut Items, folder: &str, line: &str) -> Outcome<()> {
    let state = format!("{folder}/state");
    folders(items, &state, 0o700)?;
    self::folder(items, folder, 0o700);
    file(items, format!("{state}/seal"), 0o600, line.as_bytes());
    Ok(())
}

/// A folder and those above it, as the layers' tmpfiles make them: what lies above a folder of Fastness is open.
pub(crate) fn folders(items: &mut Items, path: &str, mode: u32) -> Outcome<()> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    if !path.split('/').all(plain) {
        return Err(Failure::error(
            ExitStatus::Input,
            "bad-path",
            format!("expected a folder below the archive's root, found `{}`", path.escape_debug()),
        )
        .hint("give the layer a folder below `/var`"));
    }
    for (end, _) in path.match_indices('/') {
        let above = if path[..end].ends_with("/openvpn") { 0o711 } else { 0o755 };
        items.entry(path[..end].to_owned()).or_insert(Item::folder(above));
    }
    folder(items, path, mode);
    Ok(())
}

pub(crate) fn folder(items: &mut Items, path: &str, mode: u32) {
    items.insert(path.to_owned(), Item::folder(mode));
}

pub(crate) fn file(items: &mut Items, path: String, mode: u32, content: &[u8]) {
    items.insert(path, Item { group: 0, mode, content: Some(Zeroizing::new(content.to_vec())) });
}

/// The PEM blocks of a text, each with its line end.
fn blocks(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut block = String::new();
    for line in text.lines() {
        if line.starts_with("-----BEGIN ") {
            block.clear();
        }
        block.push_str(line);
        block.push('\n');
        if line.starts_with("-----END ") {
            all.push(std::mem::take(&mut block));
        }
    }
    all
}

/// The items as a tar archive (POSIX.1-1988 ustar), all of root's, in their groups and of the time `epoch`: the same items give
/// the same bytes. A device's is unpacked in the root folder of its data partition.
///
/// # Errors
/// When a path is too long for the format.
pub fn archive(items: &Items, epoch: u64) -> Outcome<Zeroizing<Vec<u8>>> {
    let content: usize = items.values().filter_map(|item| item.content.as_ref()).map(|c| c.len() + 512).sum();
    // One allocation, so that no copy of a key is left behind by a growing buffer.
    let mut bytes = Zeroizing::new(Vec::with_capacity(content + (items.len() + 2) * 512 + 1024));
    let mut writer = tar::Builder::new(&mut *bytes);
    for (path, item) in items {
        let mut header = tar::Header::new_ustar();
        header.set_mode(item.mode);
        header.set_uid(0);
        header.set_gid(item.group.into());
        header.set_mtime(epoch);
        let body: &[u8] = item.content.as_ref().map_or(&[], |content| content.as_slice());
        header.set_size(body.len() as u64);
        let kind = if item.content.is_some() { tar::EntryType::Regular } else { tar::EntryType::Directory };
        header.set_entry_type(kind);
        let path = if item.content.is_some() { path.clone() } else { format!("{path}/") };
        writer.append_data(&mut header, path, body).map_err(|e| broken(&e))?;
    }
    writer.finish().map_err(|e| broken(&e))?;
    drop(writer);
    Ok(bytes)
}
