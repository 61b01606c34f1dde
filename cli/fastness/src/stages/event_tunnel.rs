//! Identities of a tunnel for the proof of the events: an authority of its own that lives as long as the test, the peer that the
//! device takes, and those that it must refuse.

use std::path::Path;

use diag::Outcome;
use pki::provision::{End, items};
use pki::{Authority, Identity, Reason, Request, Role};
use qemu::Tree;
use qemu::events::{Bad, TunnelIdentities};
use secret::Secret;
use spec::plan::Plan;

use super::tunnels::{DAY, LIST_DAYS, init, request, tree, tunnels};

/// Makes them for the tunnel whose peers the proof has, with the device's files; none where there is no such tunnel.
///
/// # Errors
/// Those of the authority; when OpenVPN, which makes keys, is missing.
pub(super) fn identities(plan: &Plan, folder: &Path, now: u64) -> Outcome<(Option<TunnelIdentities>, Tree)> {
    let Ok((wanted, _)) = qemu::events::tunnel(plan) else { return Ok((None, Tree::new())) };
    let found = tunnels(plan, folder)?.into_iter().find(|tunnel| tunnel.name == wanted);
    let Some(tunnel) = found else { return Ok((None, Tree::new())) };
    let secret = Secret::new(b"an authority that lives as long as a test".to_vec());
    let (own, other) = (folder.join("tunnel"), folder.join("strangers"));
    // A certificate that has expired is one that was issued before.
    let before = now - 3 * DAY;
    let mut authority = Authority::init(&own, &init("Test"), &secret, before)?;
    authority.issue(&request("expired", &tunnel.facts.peer_name, Some(1))?, &secret)?;
    authority.crl(LIST_DAYS, &secret)?;
    drop(authority);
    let at = |now: u64, folder: &Path, identity: &str, end: End| -> Outcome<Tree> {
        let identity = Identity::open(folder, identity, None, &secret, now)?;
        Ok(tree(items(&identity, end, &[tunnel.target(end)])?))
    };
    // While it holds, and with the list of that time.
    let expired = at(before, &own, "expired", End::Peer)?;
    let mut authority = Authority::open(&own, now)?;
    let mut strangers = Authority::init(&other, &init("Others"), &secret, now)?;
    let facts = tunnel.facts;
    let device = Request { role: Role::Device, ..request("device", &facts.local_name, None)? };
    authority.issue(&device, &secret)?;
    authority.issue(&request("good", &facts.peer_name, None)?, &secret)?;
    authority.issue(&request("revoked", &facts.peer_name, None)?, &secret)?;
    authority.issue(&request("name", &format!("other.{}", facts.peer_name), None)?, &secret)?;
    strangers.issue(&request("stranger", &facts.peer_name, None)?, &secret)?;
    authority.crl(LIST_DAYS, &secret)?;
    strangers.crl(LIST_DAYS, &secret)?;
    drop((authority, strangers));

    let files = |folder: &Path, identity: &str, end: End| at(now, folder, identity, end);
    let good = files(&own, "good", End::Peer)?;
    let mut stranger = files(&other, "stranger", End::Peer)?;
    // It trusts the device, so that it is the device that refuses.
    for (path, item) in
        good.iter().filter(|(path, _)| path.ends_with("/ca.pem") || path.ends_with("/crl.pem"))
    {
        stranger.insert(path.clone(), item.clone());
    }
    let refused = vec![
        (Bad::Authority, stranger),
        (Bad::Name, files(&own, "name", End::Peer)?),
        (Bad::Revoked, files(&own, "revoked", End::Peer)?),
        (Bad::Expired, expired),
    ];
    let mut authority = Authority::open(&own, now)?;
    authority.revoke("revoked", Reason::KeyCompromise)?;
    authority.crl(LIST_DAYS, &secret)?;
    drop(authority);
    // Only the device has the list with that one.
    let device = files(&own, "device", End::Device)?;
    Ok((Some(TunnelIdentities { good, refused }), device))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use exec::{Call, tool};
    use spec::plan::FilePlan;

    use super::*;

    const UP: &str = "Initialization Sequence Completed";

    /// One end in a folder of its own, with a configuration of the plan.
    fn put(folder: &Path, tree: &Tree, config: &str) {
        fs::create_dir(folder).expect("a folder");
        for (path, item) in tree {
            let name = path.rsplit('/').next().expect("a name");
            if let Some(content) = &item.content {
                fs::write(folder.join(name), content).expect("it is written");
            }
        }
        fs::write(folder.join("openvpn.conf"), config).expect("it is written");
    }

    fn start(folder: &Path) -> exec::Running {
        Call::new(tool("openvpn").expect("a known tool"))
            .args(["--suppress-timestamps", "--config", "openvpn.conf"])
            .folder(folder)
            .log(&folder.join("log"))
            .spawn()
            .expect("OpenVPN starts")
    }

    /// The device's own configuration and the plant's, on the loopback: what the device says of each peer.
    #[test]
    #[allow(clippy::print_stderr, reason = "what was skipped is said aloud")]
    fn the_device_refuses_each_bad_peer_in_the_words_that_are_looked_for_and_takes_the_good_one() {
        if let Err(why) = exec::find(&tool("openvpn").unwrap()) {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{why}");
            eprintln!("SKIPPED: openvpn is not installed");
            return;
        }
        let product =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/logging-gateway/product.yaml");
        let plan = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
        let FilePlan::File { content, .. } = &plan.files["/etc/openvpn/support.conf"].value else {
            panic!("the tunnel has a configuration");
        };
        let own = content.replace("/var/lib/fastness/openvpn/support/", "").replace("\nroute ", "\n#route ");
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let (made, device) = identities(&plan, folder, super::super::now()).unwrap();
        let made = made.unwrap();
        let peers = made.refused.iter().map(|(bad, tree)| (bad.words(), tree)).chain([(UP, &made.good)]);
        for (number, (words, tree)) in peers.enumerate() {
            let free = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
            let [one, two] = free.each_ref().map(|socket| socket.local_addr().unwrap().port());
            drop(free);
            let at = |end: &str| folder.join(format!("{end}-{number}"));
            let plant = &plan.outside["peer/support/openvpn.conf"];
            put(&at("peer"), tree, &qemu::events::on_loopback(plant, one, two));
            put(&at("device"), &device, &qemu::events::on_loopback(&own, two, one));
            let _running = (start(&at("peer")), start(&at("device")));
            let deadline = Instant::now() + Duration::from_secs(90);
            let log = loop {
                let log = fs::read_to_string(at("device").join("log")).unwrap();
                if log.contains(words) || Instant::now() > deadline {
                    break log;
                }
                std::thread::sleep(Duration::from_millis(100));
            };
            assert!(log.contains(words), "`{words}` is not in\n{log}");
            assert_eq!(log.contains(UP), words == UP, "{log}");
        }
    }

    #[test]
    fn a_product_without_such_a_tunnel_gets_no_identities() {
        let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
        let plan = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
        let folder = tempfile::tempdir().unwrap();
        let (made, device) = identities(&plan, folder.path(), super::super::now()).unwrap();
        assert!(made.is_none() && device.is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
