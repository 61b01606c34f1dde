//! Private keys in the device's TPM: which tunnels ask for it, and whether board and backend have what it takes.

use std::collections::BTreeSet;

use diag::Diagnostic;

use super::NamedBoard;
use crate::decode::Spanned;
use crate::plan::{NetworkFacts, TpmKeyFacts};
use crate::product::{Backend, KeyPlace, Product, Tunnel, TunnelKind};

/// The owner's persistent handles (TPM 2.0 Library, Part 2, `TPMI_DH_PERSISTENT`; 0x8180_0000 on are the platform's).
const OWNERS: std::ops::RangeInclusive<u64> = 0x8100_0000..=0x817f_ffff;

fn place(tunnel: &Tunnel) -> Option<&Spanned<KeyPlace>> {
    let key = tunnel.local.as_ref().and_then(|local| local.key.as_ref());
    key.filter(|_| tunnel.kind.value == TunnelKind::Strongswan)
}

/// Whether a tunnel's key is there.
pub fn is_in_tpm(tunnel: &Tunnel) -> bool {
    place(tunnel).is_some_and(|key| key.value == KeyPlace::Tpm)
}

/// Where the product asks for it first.
pub fn asked(product: &Product) -> Option<&Spanned<KeyPlace>> {
    product.tunnels.iter().filter(|(_, tunnel)| is_in_tpm(tunnel)).find_map(|(_, tunnel)| place(tunnel))
}

/// What is known of the key.
pub fn plan(
    product: &Product,
    board: Option<&NamedBoard>,
    network: &NetworkFacts,
    backend: Backend,
    trouble: &mut Vec<Diagnostic>,
) -> Option<TpmKeyFacts> {
    let asked = asked(product)?;
    reject_two_keys(product, asked, trouble);
    if backend != Backend::Debian {
        let message = format!(
            "a key in the TPM is for the backend `debian` only, and the backend is `{}`",
            backend.as_str()
        );
        let hint = "build it with `backend: debian`, or leave `key: tpm` out";
        trouble.push(Diagnostic::error("no-tpm-keys", message).at(asked.at.location()).hint(hint));
    }
    let board = board?;
    let Some(tpm) = &board.model.tpm else {
        let message = format!("the board `{}` has no TPM that could keep a key", board.name);
        let hint = "leave `key: tpm` out, or choose a board with `tpm`, such as `qemu-aarch64`";
        trouble.push(Diagnostic::error("no-tpm", message).at(asked.at.location()).hint(hint));
        return None;
    };
    let handle = tpm.key_handle.value.0;
    if !OWNERS.contains(&handle) {
        let message = format!("expected a persistent handle of the TPM's owner, found `{handle:#x}`");
        let hint = "they are `0x81000000` to `0x817fffff`";
        trouble.push(Diagnostic::error("wrong-type", message).at(tpm.key_handle.at.location()).hint(hint));
    }
    let names: BTreeSet<&String> =
        network.tunnels.values().filter(|t| t.kind == "strongswan").map(|t| &t.local_name).collect();
    Some(TpmKeyFacts {
        handle: format!("{handle:08x}"),
        names: names.into_iter().cloned().collect(),
        limits: tpm.limits.as_str().to_owned(),
    })
}

/// One daemon serves all tunnels of strongSwan, with one certificate and one key.
fn reject_two_keys(product: &Product, asked: &Spanned<KeyPlace>, trouble: &mut Vec<Diagnostic>) {
    let others = product.tunnels.iter().filter(|(_, tunnel)| tunnel.kind.value == TunnelKind::Strongswan);
    for (name, tunnel) in others.filter(|(_, tunnel)| !is_in_tpm(tunnel)) {
        let message = format!(
            "the key of the tunnel `{}` is a file, and that of another tunnel of strongSwan is in the TPM",
            name.as_str()
        );
        let at = place(tunnel).map_or(&tunnel.kind.at, |key| &key.at);
        trouble.push(
            Diagnostic::error("two-keys", message)
                .at(at.location())
                .note("it is in the TPM here", Some(asked.at.location()))
                .hint(
                    "all tunnels of strongSwan have one key: write `local: {key: tpm}` at each, or at none",
                ),
        );
    }
}
