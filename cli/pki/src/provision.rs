//! What one device gets: its private key, certificates and lists, where the layers look for them.
//!
//! The archive holds a private key in clear. It is made for one device and goes to that device; it must never
//! be part of an image that several devices share.

use std::collections::BTreeMap;

use diag::{ExitStatus, Failure, Outcome};
use secret::{Secret, check_name};
use zeroize::Zeroizing;

use crate::identity::Identity;
use crate::key::broken;
use crate::role::Role;

/// The data partition is mounted at `/var`; paths here are below it.
const FASTNESS: &str = "lib/fastness";
/// What `openvpn --genkey tls-crypt-v2-client` writes.
const TLS_CRYPT: &str = "-----BEGIN OpenVPN tls-crypt-v2 client key-----";

/// Who on the device uses the identity.
#[derive(Clone, Debug)]
pub enum Target {
    /// strongSwan: the folder that `layers/ipsec` gives as `SWANCTL_DIR`.
    Ipsec,
    /// One tunnel of OpenVPN.
    Openvpn {
        /// The tunnel's name in the product.
        tunnel: String,
        /// The tunnel's tls-crypt-v2 client key.
        tls_crypt: Secret,
    },
}

/// A file of the data partition, or a folder if it has no content. Its owner is root.
pub struct Item {
    /// Permission bits.
    pub mode: u32,
    /// Whole content of a file; may be secret.
    pub content: Option<Zeroizing<Vec<u8>>>,
}

/// Items by their path below the data partition; a folder comes before what is in it.
pub type Items = BTreeMap<String, Item>;

/// What the device gets.
///
/// # Errors
/// `wrong-role` for what is no device's identity, `key-name` of a tunnel, `bad-tls-crypt`.
pub fn items(identity: &Identity, targets: &[Target]) -> Outcome<Items> {
    if identity.entry.role != Role::Device {
        return Err(Failure::error(
            ExitStatus::Input,
            "wrong-role",
            format!(
                "expected a `device`, found `{}` as `{}`",
                identity.entry.name,
                identity.entry.role.name()
            ),
        )
        .hint("tunnels of a device need an identity of the role `device`"));
    }
    let mut items = Items::new();
    folder(&mut items, "lib", 0o755);
    folder(&mut items, FASTNESS, 0o755);
    for target in targets {
        match target {
            Target::Ipsec => ipsec(&mut items, identity)?,
            Target::Openvpn { tunnel, tls_crypt } => openvpn(&mut items, identity, tunnel, tls_crypt)?,
        }
    }
    Ok(items)
}

/// One certificate or list a file, as swanctl reads them.
fn ipsec(items: &mut Items, identity: &Identity) -> Outcome<()> {
    let place = format!("{FASTNESS}/ipsec");
    folder(items, &place, 0o700);
    for name in ["private", "x509", "x509ca", "x509crl"] {
        folder(items, &format!("{place}/{name}"), 0o700);
    }
    let key = identity.key_pem()?;
    file(items, format!("{place}/private/device.pem"), 0o600, key.as_bytes());
    let mut chain = blocks(&identity.chain).into_iter();
    file(items, format!("{place}/x509/device.pem"), 0o600, chain.next().unwrap_or_default().as_bytes());
    for (number, authority) in blocks(&identity.roots).into_iter().enumerate() {
        file(items, format!("{place}/x509ca/root-{}.pem", number + 1), 0o600, authority.as_bytes());
    }
    for (number, authority) in chain.enumerate() {
        file(items, format!("{place}/x509ca/issuing-{}.pem", number + 1), 0o600, authority.as_bytes());
    }
    for (number, list) in blocks(&identity.lists).into_iter().enumerate() {
        file(items, format!("{place}/x509crl/crl-{}.pem", number + 1), 0o600, list.as_bytes());
    }
    Ok(())
}

fn openvpn(items: &mut Items, identity: &Identity, tunnel: &str, tls_crypt: &Secret) -> Outcome<()> {
    check_name(tunnel)?;
    if !tls_crypt.bytes().starts_with(TLS_CRYPT.as_bytes()) {
        return Err(Failure::error(
            ExitStatus::Input,
            "bad-tls-crypt",
            format!("expected the key of the tunnel `{tunnel}` to begin with `{TLS_CRYPT}`"),
        )
        .hint("`openvpn --tls-crypt-v2 SERVER.key --genkey tls-crypt-v2-client CLIENT.key` makes it"));
    }
    // OpenVPN reads the list again after it has dropped root: the folder can be passed, and the list be read.
    let all = format!("{FASTNESS}/openvpn");
    folder(items, &all, 0o711);
    let place = format!("{all}/{tunnel}");
    folder(items, &place, 0o711);
    let key = identity.key_pem()?;
    file(items, format!("{place}/device.key"), 0o600, key.as_bytes());
    file(items, format!("{place}/device.pem"), 0o644, identity.chain.as_bytes());
    file(items, format!("{place}/ca.pem"), 0o644, identity.roots.as_bytes());
    file(items, format!("{place}/crl.pem"), 0o644, identity.lists.as_bytes());
    // A passphrase has no line end, a file of OpenVPN has one.
    let tls_crypt = Zeroizing::new([tls_crypt.bytes(), b"\n"].concat());
    file(items, format!("{place}/tls-crypt-v2.key"), 0o600, &tls_crypt);
    Ok(())
}

fn folder(items: &mut Items, path: &str, mode: u32) {
    items.insert(path.to_owned(), Item { mode, content: None });
}

fn file(items: &mut Items, path: String, mode: u32, content: &[u8]) {
    items.insert(path, Item { mode, content: Some(Zeroizing::new(content.to_vec())) });
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

/// The items as a tar archive (POSIX.1-1988 ustar), all of root's and of the time `epoch`: the same items give
/// the same bytes. To be unpacked in the root folder of the data partition.
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
        header.set_gid(0);
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
