//! The certificate of a key that the device made in its TPM, as `fastness provision` takes and writes it.

use std::collections::BTreeMap;
use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use pki::provision::{Items, Target, without_key};
use pki::{AltName, Entry, Holder};
use spec::plan::TunnelFacts;

use super::provision::{Arguments, host};

/// An identity, and the names that its certificate must have.
pub(super) struct OwnKey<'a> {
    identity: &'a str,
    names: Vec<AltName>,
    /// Those that are compared with the common name: OpenVPN before 2.7 looks at no other.
    common: Vec<AltName>,
}

/// The identity of these tunnels, if there are any; `others`: whether something else needs one with a key in a file.
pub(super) fn identity<'a>(
    arguments: &'a Arguments,
    tunnels: &BTreeMap<&str, &TunnelFacts>,
    others: bool,
) -> Outcome<Option<OwnKey<'a>>> {
    let refused = |code: &str, message: String| Failure::error(ExitStatus::Usage, code, message);
    if tunnels.is_empty() {
        return match &arguments.tpm {
            Some(name) => {
                let message =
                    format!("no tunnel of the product has its key in the TPM, found `--tpm {name}`");
                Err(refused("no-tunnel", message)
                    .hint("write `local: {key: tpm}` at the tunnel, or leave `--tpm` out"))
            }
            None => Ok(None),
        };
    }
    if others && arguments.tpm.is_none() {
        let message =
            "the device needs two identities: one with its key in the TPM, and one whose key is a file";
        return Err(refused("two-identities", message.to_owned()).hint(
            "`fastness provision NAME --tpm IDENTITY`: IDENTITY was issued from the device's own request",
        ));
    }
    let Some(identity) = arguments.tpm.as_deref().or(arguments.name.as_deref()) else {
        return Err(
            refused("no-identity", "no identity is named".to_owned()).hint("`fastness provision NAME …`")
        );
    };
    let of = |openvpn: bool| -> Outcome<Vec<AltName>> {
        let tunnels = tunnels.values().filter(|tunnel| (tunnel.kind == "openvpn") == openvpn);
        tunnels.map(|tunnel| host(&tunnel.local_name)).collect()
    };
    Ok(Some(OwnKey { identity, names: of(false)?, common: of(true)? }))
}

impl OwnKey<'_> {
    /// Its certificates and lists, with no key.
    pub(super) fn items(
        &self,
        targets: &[Target],
        folder: &Path,
        lists: Option<String>,
        now: u64,
    ) -> Outcome<(Entry, Items)> {
        let holder = Holder::open(folder, self.identity, lists, now)?;
        holder.check_own_key(&self.names, &self.common)?;
        let items = without_key(&holder, targets)?;
        Ok((holder.entry, items))
    }
}
