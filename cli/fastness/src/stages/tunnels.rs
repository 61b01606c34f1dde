//! Identities for the proof of the tunnels: an authority that lives as long as the test, good peers, and peers
//! that must be refused. Nothing of it reaches the image or the user's own authority.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use diag::{Failure, Outcome};
use exec::{Call, tool};
use pki::provision::{End, Items, Target, items, without_key};
use pki::{Algorithm, AltName, Authority, Holder, Identity, Init, Reason, Request, Role};
use qemu::{Identities, Item, Tree};
use secret::Secret;
use spec::plan::{Plan, TunnelFacts};

use super::weak::Root;
use crate::places::Built;

pub(super) const DAY: u64 = 86_400;
/// The longest list: the peer that is not valid yet is made after half of a year.
pub(super) const LIST_DAYS: u32 = 800;

/// What concerns one tunnel while its identities are made.
pub(super) struct Tunnel<'a> {
    pub(super) name: &'a String,
    pub(super) facts: &'a TunnelFacts,
    /// Where the device looks for its identity, below `/var`.
    pub(super) place: String,
    /// The tls-crypt-v2 keys of both ends, the device's first: OpenVPN only.
    pub(super) keys: Option<(Secret, Secret)>,
}

impl Tunnel<'_> {
    pub(super) fn target(&self, end: End) -> Target {
        let folder = if end == End::Device { self.place.clone() } else { self.name.clone() };
        match &self.keys {
            None => Target::Ipsec { folder },
            Some((device, peer)) => {
                let key = if end == End::Device { device } else { peer };
                Target::Openvpn { folder, tls_crypt: Secret::new(key.bytes().to_vec()) }
            }
        }
    }
}

/// Makes the identities of every tunnel; `folder` is closed to others and goes away with the test.
///
/// # Errors
/// Those of the authority; when a program that makes keys is missing.
pub fn identities(built: &Built, folder: &Path, now: u64, limit: Duration) -> Outcome<Identities> {
    let secret = Secret::new(b"an authority that lives as long as a test".to_vec());
    let (own, other) = (folder.join("own"), folder.join("other"));
    let mut authority = Authority::init(&own, &init("Test"), &secret, now)?;
    let mut strangers = Authority::init(&other, &init("Others"), &secret, now)?;
    let tunnels = tunnels(&built.plan, folder)?;
    let root = Root::make(folder)?;
    let mut out = Identities {
        device: Tree::new(),
        peers: BTreeMap::new(),
        refused: Vec::new(),
        readers: BTreeMap::new(),
        wireguard: BTreeMap::new(),
        tpm: None,
        // The peer with one day has ended then.
        epoch: now + 3 * DAY,
    };
    let own_key = own_key(built, folder, &mut out, limit)?;
    for Tunnel { name, facts, keys, .. } in &tunnels {
        authority.issue(&request(&format!("{name}-good"), &facts.peer_name, None)?, &secret)?;
        authority.issue(&request(&format!("{name}-expired"), &facts.peer_name, Some(1))?, &secret)?;
        authority.issue(&request(&format!("{name}-revoked"), &facts.peer_name, None)?, &secret)?;
        let wrong = format!("other.{}", facts.peer_name);
        authority.issue(&request(&format!("{name}-wrong-name"), &wrong, None)?, &secret)?;
        strangers.issue(&request(&format!("{name}-unknown-ca"), &facts.peer_name, None)?, &secret)?;
        let mut device = request(&format!("{name}-device"), &facts.local_name, None)?;
        if let (Some((csr, names)), true) = (&own_key, facts.in_tpm) {
            (device.csr, device.names) = (Some(csr.clone()), names.clone());
        }
        authority.issue(&Request { role: Role::Device, ..device }, &secret)?;
        if keys.is_some() {
            // A device's certificate with the peer's name.
            let purpose = request(&format!("{name}-wrong-purpose"), &facts.peer_name, None)?;
            authority.issue(&Request { role: Role::Device, ..purpose }, &secret)?;
        }
    }
    authority.crl(LIST_DAYS, &secret)?;
    strangers.crl(LIST_DAYS, &secret)?;
    drop((authority, strangers));

    let files = |folder: &Path, identity: &str, end: End, tunnel: &Tunnel<'_>, at: u64| -> Outcome<Tree> {
        let identity = Identity::open(folder, identity, None, &secret, at)?;
        Ok(tree(items(&identity, end, &[tunnel.target(end)])?))
    };
    for tunnel in &tunnels {
        let name = tunnel.name;
        let mut good = files(&own, &format!("{name}-good"), End::Peer, tunnel, now)?;
        if tunnel.keys.is_some() {
            good.insert(format!("{name}/other.key"), private(other_key(folder, name)?));
        }
        for weak in root.peers(&tunnel.facts.peer_name)? {
            let mut peer = good.clone();
            let (key, certificate) = if tunnel.keys.is_some() {
                ("peer.key", "peer.pem")
            } else {
                ("private/peer.pem", "x509/peer.pem")
            };
            peer.insert(format!("{name}/{key}"), private(weak.key));
            peer.insert(format!("{name}/{certificate}"), private(weak.certificate));
            trust(&mut peer, name, &root);
            out.refused.push((name.clone(), weak.reason.to_owned(), peer));
        }
        for reason in ["expired", "revoked", "wrong-name"] {
            let peer = files(&own, &format!("{name}-{reason}"), End::Peer, tunnel, now)?;
            out.refused.push((name.clone(), reason.to_owned(), peer));
        }
        let mut peer = files(&other, &format!("{name}-unknown-ca"), End::Peer, tunnel, now)?;
        // It trusts the device, so that it is the device that refuses.
        for (path, item) in &good {
            if path.contains("/x509c") {
                peer.insert(path.replace(".pem", "-own.pem"), item.clone());
            } else if path.ends_with("/ca.pem") || path.ends_with("/crl.pem") {
                peer.insert(path.clone(), item.clone());
            }
        }
        out.refused.push((name.clone(), "unknown-ca".to_owned(), peer));
        if tunnel.keys.is_some() {
            let device = files(&own, &format!("{name}-wrong-purpose"), End::Device, tunnel, now)?;
            let mut peer = good.clone();
            for file in ["pem", "key"] {
                if let Some(item) = device.get(&format!("{}/device.{file}", tunnel.place)) {
                    peer.insert(format!("{name}/peer.{file}"), item.clone());
                }
            }
            out.refused.push((name.clone(), "wrong-purpose".to_owned(), peer));
        }
        out.peers.insert(name.clone(), good);
    }
    let mut authority = Authority::open(&own, now)?;
    for Tunnel { name, .. } in &tunnels {
        authority.revoke(&format!("{name}-revoked"), Reason::KeyCompromise)?;
    }
    authority.crl(LIST_DAYS, &secret)?;
    drop(authority);
    for tunnel in &tunnels {
        let identity = format!("{}-device", tunnel.name);
        let mut device = if tunnel.facts.in_tpm {
            let holder = Holder::open(&own, &identity, None, now)?;
            let name = [host(&tunnel.facts.local_name)?];
            let common = if tunnel.keys.is_some() { &name[..] } else { &[] };
            holder.check_own_key(&name, common)?;
            tree(without_key(&holder, &[tunnel.target(End::Device)])?)
        } else {
            files(&own, &identity, End::Device, tunnel, now)?
        };
        trust(&mut device, &tunnel.place, &root);
        out.device.extend(device);
    }
    let later = now + 200 * DAY;
    let mut authority = Authority::open(&own, later)?;
    for Tunnel { name, facts, .. } in &tunnels {
        authority.issue(&request(&format!("{name}-not-yet-valid"), &facts.peer_name, None)?, &secret)?;
    }
    drop(authority);
    for tunnel in &tunnels {
        let name = tunnel.name;
        let peer = files(&own, &format!("{name}-not-yet-valid"), End::Peer, tunnel, later)?;
        out.refused.push((name.clone(), "not-yet-valid".to_owned(), peer));
    }
    super::readers::add(&built.plan, folder, now, &mut out)?;
    super::wireguard::add(&built.plan, &mut out)?;
    Ok(out)
}

/// The request of a device that makes its key in its TPM, at its first start, and the names that it asks for.
fn own_key(
    built: &Built,
    folder: &Path,
    out: &mut Identities,
    limit: Duration,
) -> Outcome<Option<(Vec<u8>, Vec<AltName>)>> {
    let Some(facts) = &built.plan.network.tpm else { return Ok(None) };
    let tpm = folder.join("tpm");
    std::fs::create_dir(&tpm).map_err(|e| Failure::io("make", &tpm, &e))?;
    let request = qemu::enroll(&built.plan, &built.image, &built.folder, &tpm, out.epoch, limit)?;
    out.tpm = Some(tpm);
    let names = facts.names.iter().map(|name| host(name)).collect::<Outcome<_>>()?;
    Ok(Some((request, names)))
}

/// The tunnels that have a scenario, with their keys.
pub(super) fn tunnels<'a>(plan: &'a Plan, folder: &Path) -> Outcome<Vec<Tunnel<'a>>> {
    let mut out = Vec::new();
    for (name, facts) in &plan.network.tunnels {
        // WireGuard has no certificates: `wireguard` makes its keys.
        if facts.kind == "wireguard" {
            continue;
        }
        let openvpn = facts.kind == "openvpn";
        let Some(place) = place(plan, if openvpn { "openvpn" } else { "ipsec" }) else { continue };
        let place = if openvpn { format!("{place}/{name}") } else { place };
        let keys = if openvpn { Some(tls_crypt(folder, name)?) } else { None };
        out.push(Tunnel { name, facts, place, keys });
    }
    Ok(out)
}

/// The tls-crypt-v2 keys of a device and of the plant, as `docs/pki.md` says that they are made.
fn tls_crypt(folder: &Path, name: &str) -> Outcome<(Secret, Secret)> {
    let (server, client) = (folder.join(format!("{name}.server")), folder.join(format!("{name}.client")));
    let openvpn = || tool("openvpn").map(Call::new);
    openvpn()?.args(["--genkey", "tls-crypt-v2-server"]).arg(&server).run()?;
    openvpn()?
        .arg("--tls-crypt-v2")
        .arg(&server)
        .args(["--genkey", "tls-crypt-v2-client"])
        .arg(&client)
        .run()?;
    let read = |path: &Path| std::fs::read(path).map(Secret::new).map_err(|e| Failure::io("read", path, &e));
    Ok((read(&client)?, read(&server)?))
}

pub(super) fn init(organization: &str) -> Init {
    Init {
        organization: organization.to_owned(),
        algorithm: Algorithm::P384,
        days: 7300,
        crl_url: None,
        ocsp_url: None,
        domains: Vec::new(),
    }
}

pub(super) fn request(identity: &str, host: &str, days: Option<u32>) -> Outcome<Request> {
    let name = self::host(host)?;
    Ok(Request {
        name: identity.to_owned(),
        common_name: Some(host.to_owned()),
        role: Role::Peer,
        names: vec![name],
        device_serial: None,
        days,
        algorithm: Algorithm::P256,
        csr: None,
    })
}

fn host(name: &str) -> Outcome<AltName> {
    format!("dns:{name}").parse().map_err(|why: String| {
        Failure::error(diag::ExitStatus::Input, "bad-name", why).hint("give the tunnel's end a host name")
    })
}

/// A key for the control channel that the device does not have.
fn other_key(folder: &Path, name: &str) -> Outcome<Vec<u8>> {
    let path = folder.join(format!("{name}.other"));
    Call::new(tool("openvpn")?).args(["--genkey", "secret"]).arg(&path).run()?;
    std::fs::read(&path).map_err(|e| Failure::io("read", &path, &e))
}

/// Adds the weak peers' root and its list to those that an end trusts.
fn trust(tree: &mut Tree, place: &str, root: &Root) {
    let bundled = [("ca.pem", &root.certificate), ("crl.pem", &root.list)];
    for (file, more) in bundled {
        if let Some(Item { content: Some(bundle), .. }) = tree.get_mut(&format!("{place}/{file}")) {
            bundle.extend_from_slice(more);
        }
    }
    for (folder, file, content) in
        [("x509ca", "root-weak.pem", &root.certificate), ("x509crl", "crl-weak.pem", &root.list)]
    {
        if tree.contains_key(&format!("{place}/{folder}")) {
            tree.insert(format!("{place}/{folder}/{file}"), private(content.clone()));
        }
    }
}

/// Where a layer's programs look for the device's identity, below `/var`.
pub(super) fn place(plan: &Plan, layer: &str) -> Option<String> {
    let folder = plan.layer(layer)?.parameters.get("folder")?.as_str()?;
    folder.strip_prefix("/var/").map(str::to_owned)
}

pub(super) fn tree(items: Items) -> Tree {
    let item = |pki::provision::Item { group, mode, content }| Item {
        group,
        mode,
        content: content.map(|content| content.to_vec()),
    };
    items.into_iter().map(|(path, found)| (path, item(found))).collect()
}

/// A file that only root reads.
pub(super) fn private(content: Vec<u8>) -> Item {
    Item { group: 0, mode: 0o600, content: Some(content) }
}
