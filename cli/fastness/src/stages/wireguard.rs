//! Keys of WireGuard for the proof by traffic: the device's, its peer's, and peers' that must be refused. They live as
//! long as the test; the key that the image names stays with its owner.

use diag::Outcome;
use pki::provision::End;
use pki::wireguard::{Keys, items, pair, preshared};
use qemu::{Identities, WireguardKeys};
use secret::Secret;
use spec::plan::Plan;

use super::tunnels::{place, tree};

/// Adds the keys of every tunnel of WireGuard, on both ends.
///
/// # Errors
/// When the layer's folder is none below `/var`.
pub(super) fn add(plan: &Plan, out: &mut Identities) -> Outcome<()> {
    let Some(above) = place(plan, "wireguard") else { return Ok(()) };
    for (name, facts) in plan.network.tunnels.iter().filter(|(_, facts)| facts.kind == "wireguard") {
        let ((device, device_public), (peer, peer_public)) = (pair(), pair());
        let shared = preshared();
        let inner = facts.inner_address.as_deref().and_then(|a| a.split('/').next()).unwrap_or_default();
        let inner = format!("{inner}/{}", if inner.contains(':') { 128 } else { 32 });
        let end = |end: End, private: &Secret, public: &str, shared: &Secret| {
            let folder = if end == End::Device { format!("{above}/{name}") } else { name.clone() };
            let device = (end == End::Peer).then_some((device_public.as_str(), inner.as_str()));
            let keys = Keys { tunnel: name, folder, private, preshared: shared, peer: public, device };
            items(end, &keys).map(tree)
        };
        for (path, item) in end(End::Device, &device, &peer_public, &shared)? {
            // A folder above may be another tunnel's, too.
            if item.content.is_some() || !out.device.contains_key(&path) {
                out.device.insert(path, item);
            }
        }
        let (other, other_public) = pair();
        let refused = [
            ("wrong-key", end(End::Peer, &other, &other_public, &shared)?),
            ("wrong-preshared-key", end(End::Peer, &peer, &peer_public, &preshared())?),
        ];
        out.refused.extend(refused.map(|(reason, tree)| (name.clone(), reason.to_owned(), tree)));
        out.peers.insert(name.clone(), end(End::Peer, &peer, &peer_public, &shared)?);
        let of_image = facts.peer_key.clone().unwrap_or_default();
        let keys = WireguardKeys { of_image, peer: peer_public, device: device_public };
        out.wireguard.insert(name.clone(), keys);
    }
    Ok(())
}
