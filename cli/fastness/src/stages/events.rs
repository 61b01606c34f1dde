//! Identities for the proof of the events: an authority that lives as long as the test, the device's and the
//! collector's certificates, and one of another name. Nothing of it reaches the image or the user's authority.

use std::path::Path;

use diag::{ExitStatus, Failure, Outcome};
use events::SealKey;
use pki::provision::{End, Target, items, seal};
use pki::{Authority, Identity, Role};
use qemu::events::EventIdentities;
use secret::Secret;
use spec::plan::CollectorFacts;

use super::tunnels::{init, place, request, tree};
use crate::places::Built;

/// Days of the test's lists.
const LIST_DAYS: u32 = 30;

/// Makes them; `folder` is closed to others and goes away with the test.
///
/// # Errors
/// Those of the authority, and that there is no randomness.
pub fn identities(
    built: &Built,
    facts: &CollectorFacts,
    folder: &Path,
    now: u64,
) -> Outcome<EventIdentities> {
    let secret = Secret::new(b"an authority that lives as long as a test".to_vec());
    let own = folder.join("own");
    let mut authority = Authority::init(&own, &init("Test"), &secret, now)?;
    let device = request("device", &facts.local_name, None)?;
    authority.issue(&pki::Request { role: Role::Device, ..device }, &secret)?;
    authority.issue(&request("collector", &facts.name, None)?, &secret)?;
    authority.issue(&request("stranger", &format!("other.{}", facts.name), None)?, &secret)?;
    authority.crl(LIST_DAYS, &secret)?;
    drop(authority);
    let files = |identity: &str, end: End, folder: String| {
        let identity = Identity::open(&own, identity, None, &secret, now)?;
        items(&identity, end, &[Target::Collector { folder }])
    };
    let folder_of = |layer: &str| {
        place(&built.plan, layer).ok_or_else(|| {
            let message = format!("expected the `folder` of the layer `{layer}` below `/var`, found none");
            Failure::error(ExitStatus::Input, "bad-path", message).hint("build the image again")
        })
    };
    let key = first_key(folder)?;
    let (tunnel, of_tunnel) = super::event_tunnel::identities(&built.plan, folder, now)?;
    let mut of_device = files("device", End::Device, folder_of("forward")?)?;
    seal(&mut of_device, &folder_of("events")?, &key.line())?;
    let mut device = tree(of_device);
    device.extend(of_tunnel);
    Ok(EventIdentities {
        device,
        collector: tree(files("collector", End::Peer, "collector".to_owned())?),
        stranger: tree(files("stranger", End::Peer, "collector".to_owned())?),
        tunnel,
        seal: key,
        epoch: now,
    })
}

/// A key from the system's randomness.
fn first_key(folder: &Path) -> Outcome<SealKey> {
    use std::io::Read as _;
    let source = Path::new("/dev/urandom");
    let failed = |e: std::io::Error| Failure::io("read", source, &e);
    let mut bytes = [0_u8; 32];
    std::fs::File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(failed)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    SealKey::first(&digits)
        .ok_or_else(|| Failure::io("make a key in", folder, &std::io::ErrorKind::InvalidData.into()))
}
