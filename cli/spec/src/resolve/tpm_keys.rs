//! Private keys in the device's TPM: which tunnels ask for it, and whether the board has what it takes.

use diag::Diagnostic;

use super::NamedBoard;
use crate::decode::Spanned;
use crate::plan::{NetworkFacts, TpmKeyFacts};
use crate::product::{KeyPlace, Product, Tunnel, TunnelKind};

/// The owner's persistent handles (TPM 2.0 Library, Part 2, `TPMI_DH_PERSISTENT`; 0x8180_0000 on are the platform's).
const OWNERS: std::ops::RangeInclusive<u64> = 0x8100_0000..=0x817f_ffff;

/// The owner's indices (TCG Registry of Reserved TPM 2.0 Handles and Localities).
const INDICES: std::ops::RangeInclusive<u64> = 0x0180_0000..=0x01bf_ffff;

/// What has certificates, and its name for people.
const KINDS: [(TunnelKind, &str); 2] =
    [(TunnelKind::Strongswan, "strongSwan"), (TunnelKind::Openvpn, "OpenVPN")];

fn place(tunnel: &Tunnel) -> Option<&Spanned<KeyPlace>> {
    let key = tunnel.local.as_ref().and_then(|local| local.key.as_ref());
    key.filter(|_| KINDS.iter().any(|(kind, _)| *kind == tunnel.kind.value))
}

/// Whether a tunnel's key is there.
pub fn is_in_tpm(tunnel: &Tunnel) -> bool {
    place(tunnel).is_some_and(|key| key.value == KeyPlace::Tpm)
}

/// Where the product asks for it first.
pub fn asked(product: &Product) -> Option<&Spanned<KeyPlace>> {
    product.tunnels.iter().filter(|(_, tunnel)| is_in_tpm(tunnel)).find_map(|(_, tunnel)| place(tunnel))
}

/// Where the product asks for it first for tunnels of a kind.
pub fn asked_for(product: &Product, kind: TunnelKind) -> Option<&Spanned<KeyPlace>> {
    let tunnels = product.tunnels.iter().map(|(_, tunnel)| tunnel);
    tunnels.filter(|tunnel| tunnel.kind.value == kind && is_in_tpm(tunnel)).find_map(place)
}

/// What is known of the key.
pub fn plan(
    product: &Product,
    board: Option<&NamedBoard>,
    network: &NetworkFacts,
    trouble: &mut Vec<Diagnostic>,
) -> Option<TpmKeyFacts> {
    let asked = asked(product)?;
    for (kind, of) in KINDS {
        if let Some(asked) = asked_for(product, kind) {
            reject_two_keys(product, (kind, of), asked, trouble);
        }
    }
    reject_two_names(product, network, trouble);
    let board = board?;
    let Some(tpm) = &board.model.tpm else {
        let message = format!("the board `{}` has no TPM that could keep a key", board.name);
        let hint = "leave `key: tpm` out, or choose a board with `tpm`, such as `qemu-aarch64`";
        trouble.push(Diagnostic::error("no-tpm", message).at(asked.at.location()).hint(hint));
        return None;
    };
    let (handle, index) = (tpm.key_handle.value.0, tpm.key_index.value.0);
    if !OWNERS.contains(&handle) {
        let message = format!("expected a persistent handle of the TPM's owner, found `{handle:#x}`");
        let hint = "they are `0x81000000` to `0x817fffff`";
        trouble.push(Diagnostic::error("wrong-type", message).at(tpm.key_handle.at.location()).hint(hint));
    }
    if !INDICES.contains(&index) {
        let message = format!("expected an index of the TPM's owner, found `{index:#x}`");
        let hint = "they are `0x01800000` to `0x01bfffff`";
        trouble.push(Diagnostic::error("wrong-type", message).at(tpm.key_index.at.location()).hint(hint));
    }
    let of = |kind: &'static str| network.tunnels.iter().filter(move |(_, t)| t.in_tpm && t.kind == kind);
    // The common name is what OpenVPN compares.
    let mut names: Vec<String> = of("openvpn").map(|(_, tunnel)| tunnel.local_name.clone()).take(1).collect();
    let mut others: Vec<&String> = of("strongswan").map(|(_, tunnel)| &tunnel.local_name).collect();
    others.sort();
    for name in others {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Some(TpmKeyFacts {
        handle: format!("{handle:08x}"),
        index: format!("{index:08x}"),
        openvpn: of("openvpn").map(|(name, _)| name.clone()).collect(),
        names,
        limits: tpm.limits.as_str().to_owned(),
    })
}

/// One daemon serves all tunnels of strongSwan, with one certificate and one key; those of OpenVPN are as many, and as simple.
fn reject_two_keys(
    product: &Product,
    (kind, of): (TunnelKind, &str),
    asked: &Spanned<KeyPlace>,
    trouble: &mut Vec<Diagnostic>,
) {
    let others = product.tunnels.iter().filter(|(_, tunnel)| tunnel.kind.value == kind);
    for (name, tunnel) in others.filter(|(_, tunnel)| !is_in_tpm(tunnel)) {
        let message = format!(
            "the key of the tunnel `{}` is a file, and that of another tunnel of {of} is in the TPM",
            name.as_str()
        );
        let at = place(tunnel).map_or(&tunnel.kind.at, |key| &key.at);
        trouble.push(
            Diagnostic::error("two-keys", message)
                .at(at.location())
                .note("it is in the TPM here", Some(asked.at.location()))
                .hint(format!(
                    "all tunnels of {of} have one key: write `local: {{key: tpm}}` at each, or at none"
                )),
        );
    }
}

/// One key has one certificate with one common name, and OpenVPN before 2.7 compares no other.
fn reject_two_names(product: &Product, network: &NetworkFacts, trouble: &mut Vec<Diagnostic>) {
    let mut tunnels = network
        .tunnels
        .iter()
        .filter(|(_, tunnel)| tunnel.in_tpm && tunnel.kind == TunnelKind::Openvpn.as_str());
    let Some((first, of_first)) = tunnels.next() else { return };
    for (name, _) in tunnels.filter(|(_, tunnel)| tunnel.local_name != of_first.local_name) {
        let Some((_, tunnel)) = product.tunnels.iter().find(|(known, _)| known.as_str() == name) else {
            continue;
        };
        let at =
            tunnel.local.as_ref().and_then(|local| local.name.as_ref()).map_or(&tunnel.kind.at, |n| &n.at);
        let message =
            format!("the device has another name in the tunnel `{name}` of OpenVPN than in `{first}`");
        let hint = format!(
            "their key in the TPM has one certificate, whose common name is what OpenVPN compares: write `name: {}` at both",
            of_first.local_name
        );
        trouble.push(Diagnostic::error("two-names", message).at(at.location()).hint(hint));
    }
}
