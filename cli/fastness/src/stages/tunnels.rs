//! Identities for the proof of the tunnels: an authority that lives as long as the test, good peers, and peers
//! that must be refused. Nothing of it reaches the image or the user's own authority.

use std::collections::BTreeMap;
use std::path::Path;

use diag::Outcome;
use pki::provision::{End, Items, Target, items};
use pki::{Algorithm, Authority, Identity, Init, Reason, Request, Role};
use qemu::{Identities, Tree};
use secret::Secret;
use spec::plan::{Plan, TunnelFacts};

use crate::places::Built;

const DAY: u64 = 86_400;
/// The longest list: the peer that is not valid yet is made after half of a year.
const LIST_DAYS: u32 = 800;

/// Makes the identities of every tunnel with strongSwan; `folder` is closed to others and goes away with the test.
///
/// # Errors
/// Those of the authority.
pub fn identities(built: &Built, folder: &Path, now: u64) -> Outcome<Identities> {
    let plan = &built.plan;
    let secret = Secret::new(b"an authority that lives as long as a test".to_vec());
    let (own, other) = (folder.join("own"), folder.join("other"));
    let mut authority = Authority::init(&own, &init("Test"), &secret, now)?;
    let mut strangers = Authority::init(&other, &init("Others"), &secret, now)?;
    let tunnels: Vec<(&String, &TunnelFacts)> =
        plan.network.tunnels.iter().filter(|(_, facts)| facts.kind == "strongswan").collect();
    let mut out = Identities {
        device: Tree::new(),
        peers: BTreeMap::new(),
        refused: Vec::new(),
        // The peer with one day has ended then.
        epoch: now + 3 * DAY,
    };
    for (name, facts) in &tunnels {
        authority.issue(&request(&format!("{name}-good"), &facts.peer_name, None)?, &secret)?;
        authority.issue(&request(&format!("{name}-expired"), &facts.peer_name, Some(1))?, &secret)?;
        authority.issue(&request(&format!("{name}-revoked"), &facts.peer_name, None)?, &secret)?;
        let wrong = format!("other.{}", facts.peer_name);
        authority.issue(&request(&format!("{name}-wrong-name"), &wrong, None)?, &secret)?;
        strangers.issue(&request(&format!("{name}-unknown-ca"), &facts.peer_name, None)?, &secret)?;
    }
    if let Some((_, facts)) = tunnels.first() {
        let device = Request { role: Role::Device, ..request("device", &facts.local_name, None)? };
        authority.issue(&device, &secret)?;
    }
    authority.crl(LIST_DAYS, &secret)?;
    strangers.crl(LIST_DAYS, &secret)?;
    drop((authority, strangers));

    let files = |folder: &Path, identity: &str, end: End, place: &str, at: u64| -> Outcome<Tree> {
        let identity = Identity::open(folder, identity, None, &secret, at)?;
        Ok(tree(items(&identity, end, &[Target::Ipsec { folder: place.to_owned() }])?))
    };
    for (name, _) in &tunnels {
        out.peers.insert((*name).clone(), files(&own, &format!("{name}-good"), End::Peer, name, now)?);
        for reason in ["expired", "revoked", "wrong-name"] {
            let peer = files(&own, &format!("{name}-{reason}"), End::Peer, name, now)?;
            out.refused.push(((*name).clone(), reason.to_owned(), peer));
        }
        let mut peer = files(&other, &format!("{name}-unknown-ca"), End::Peer, name, now)?;
        // It trusts the device, so that it is the device that refuses.
        for (path, item) in out.peers[*name].iter().filter(|(path, _)| path.contains("/x509c")) {
            peer.insert(path.replace(".pem", "-own.pem"), item.clone());
        }
        out.refused.push(((*name).clone(), "unknown-ca".to_owned(), peer));
    }
    let mut authority = Authority::open(&own, now)?;
    for (name, _) in &tunnels {
        authority.revoke(&format!("{name}-revoked"), Reason::KeyCompromise)?;
    }
    authority.crl(LIST_DAYS, &secret)?;
    drop(authority);
    if let (false, Some(place)) = (tunnels.is_empty(), ipsec_folder(plan)) {
        out.device = files(&own, "device", End::Device, &place, now)?;
    }
    let later = now + 200 * DAY;
    let mut authority = Authority::open(&own, later)?;
    for (name, facts) in &tunnels {
        authority.issue(&request(&format!("{name}-not-yet-valid"), &facts.peer_name, None)?, &secret)?;
    }
    drop(authority);
    for (name, _) in &tunnels {
        let peer = files(&own, &format!("{name}-not-yet-valid"), End::Peer, name, later)?;
        out.refused.push(((*name).clone(), "not-yet-valid".to_owned(), peer));
    }
    Ok(out)
}

fn init(organization: &str) -> Init {
    Init {
        organization: organization.to_owned(),
        algorithm: Algorithm::P384,
        days: 7300,
        crl_url: None,
        domains: Vec::new(),
    }
}

fn request(identity: &str, host: &str, days: Option<u32>) -> Outcome<Request> {
    let name = format!("dns:{host}").parse().map_err(|why: String| {
        diag::Failure::error(diag::ExitStatus::Input, "bad-name", why)
            .hint("give the tunnel's end a host name")
    })?;
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

/// Where the device looks for its identity, below `/var`.
fn ipsec_folder(plan: &Plan) -> Option<String> {
    let layer = plan.layers.iter().find(|layer| layer.name == "ipsec")?;
    let folder = layer.parameters.get("folder")?.as_str()?;
    folder.strip_prefix("/var/").map(str::to_owned)
}

fn tree(items: Items) -> Tree {
    let item = |item: pki::provision::Item| (item.mode, item.content.map(|content| content.to_vec()));
    items.into_iter().map(|(path, found)| (path, item(found))).collect()
}
