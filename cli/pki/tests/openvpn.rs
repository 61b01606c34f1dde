//! Two OpenVPN, each with the archive of its end, shake hands on the loopback; a revoked device is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop with the place")]
#![allow(clippy::print_stderr, reason = "what was skipped is said aloud")]

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pki::provision::{End, Target, archive, items};
use pki::{Algorithm, Authority, Identity, Init, Reason, Request, Role};
use secret::Secret;
use tempfile::TempDir;

/// OpenVPN looks at this machine's clock.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn secret() -> Secret {
    Secret::new(b"a passphrase of the tests".to_vec())
}

fn tool_is_there() -> bool {
    let there = Command::new("openvpn").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "openvpn is not installed");
    if !there {
        eprintln!("SKIPPED: openvpn is not installed");
    }
    there
}

fn openvpn(folder: &Path, arguments: &str) {
    let run =
        Command::new("openvpn").current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
    assert!(run.status.success(), "openvpn {arguments}: {}", String::from_utf8_lossy(&run.stdout));
}

fn issue(authority: &mut Authority, name: &str, role: Role) {
    let request = Request {
        name: name.to_owned(),
        common_name: None,
        role,
        names: Vec::new(),
        device_serial: None,
        days: None,
        algorithm: Algorithm::P256,
        csr: None,
    };
    authority.issue(&request, &secret()).unwrap();
}

/// Unpacks the archive of one end into a folder of its own name.
fn unpack(folder: &Path, name: &str, end: End, key: &str) {
    let identity = Identity::open(&folder.join("pki"), name, None, &secret(), now()).unwrap();
    let tls_crypt = Secret::new(fs::read(folder.join(key)).unwrap());
    let target = Target::Openvpn { folder: name.to_owned(), tls_crypt };
    let bytes = archive(&items(&identity, end, &[target]).unwrap(), 0).unwrap();
    tar::Archive::new(bytes.as_slice()).unpack(folder).unwrap();
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The options of `templates/openvpn` and `templates/peer` that concern identities.
fn start(folder: &Path, name: &str, of_end: &str, ports: (u16, u16)) -> Running {
    let log = fs::File::create(folder.join(format!("{name}.log"))).unwrap();
    let arguments = format!(
        "--mode p2p --dev null --ifconfig-noexec --proto udp4 --local 127.0.0.1 --lport {} --remote 127.0.0.1 {} \
         --ca ca.pem --crl-verify crl.pem --tls-version-min 1.2 --data-ciphers AES-256-GCM --auth SHA256 \
         --tls-groups secp384r1:X25519:prime256v1 --tls-cert-profile preferred --disable-dco --verb 3 {of_end}",
        ports.0, ports.1
    );
    let child = Command::new("openvpn")
        .current_dir(folder.join(name))
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .stdout(log)
        .spawn();
    Running(child.unwrap())
}

/// Waits until one of two lines is in a log.
fn wait(folder: &Path, name: &str, lines: [&str; 2]) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let text = fs::read_to_string(folder.join(format!("{name}.log"))).unwrap();
        if lines.iter().any(|line| text.contains(line)) || Instant::now() > end {
            return text;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

const DEVICE: &str = "gw.plant.example";
const PEER: &str = "historian.plant.example";
const UP: &str = "Peer Connection Initiated";

/// Both are held until both are known, so that they differ.
fn free_ports() -> (u16, u16) {
    let free = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let (one, two) = (free(), free());
    (one.local_addr().unwrap().port(), two.local_addr().unwrap().port())
}

/// The plant's end and the device's.
fn both(folder: &Path, (one, two): (u16, u16)) -> (Running, Running) {
    let peer = start(
        folder,
        PEER,
        &format!(
            "--tls-server --dh none --cert peer.pem --key peer.key --tls-crypt-v2 tls-crypt-v2-server.key \
             --remote-cert-tls client --verify-x509-name {DEVICE} name"
        ),
        (one, two),
    );
    let device = start(
        folder,
        DEVICE,
        &format!(
            "--tls-client --cert device.pem --key device.key --tls-crypt-v2 tls-crypt-v2.key \
             --remote-cert-tls server --verify-x509-name {PEER} name"
        ),
        (two, one),
    );
    (peer, device)
}

/// Both ends, until one of them says that the tunnel is up or refused.
fn shake_hands(folder: &Path) -> (String, String) {
    let _running = both(folder, free_ports());
    let at_peer = wait(folder, PEER, [UP, "VERIFY ERROR"]);
    let at_device =
        if at_peer.contains(UP) { wait(folder, DEVICE, [UP, "VERIFY ERROR"]) } else { String::new() };
    (at_peer, at_device)
}

/// A plant's authority in a folder of its own.
fn plant(place: &Path, domains: Vec<String>) -> Authority {
    let init = Init {
        organization: "Plant".to_owned(),
        algorithm: Algorithm::P384,
        days: 7300,
        crl_url: None,
        ocsp_url: None,
        domains,
    };
    Authority::init(&place.join("pki"), &init, &secret(), now()).unwrap()
}

/// Both ends, until the device says why it wants none of its peer.
fn refusal(folder: &Path) -> String {
    let _running = both(folder, free_ports());
    wait(folder, DEVICE, [UP, "VERIFY ERROR"])
}

#[test]
fn both_ends_take_what_is_provisioned_and_refuse_a_revoked_device() {
    if !tool_is_there() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    let mut authority = plant(place, vec!["plant.example".to_owned()]);
    issue(&mut authority, DEVICE, Role::Device);
    issue(&mut authority, PEER, Role::Peer);
    openvpn(place, "--genkey tls-crypt-v2-server server.key");
    openvpn(place, "--tls-crypt-v2 server.key --genkey tls-crypt-v2-client client.key");
    unpack(place, DEVICE, End::Device, "client.key");
    unpack(place, PEER, End::Peer, "server.key");
    let (peer, device) = shake_hands(place);
    assert!(peer.contains(UP) && device.contains(UP), "{peer}\n{device}");
    assert!(peer.contains("VERIFY OK: depth=2") && device.contains("VERIFY X509NAME OK"), "{peer}\n{device}");
    assert!(!peer.contains("unable to get certificate CRL"), "{peer}");

    authority.revoke(DEVICE, Reason::KeyCompromise).unwrap();
    authority.crl(30, &secret()).unwrap();
    // The new list gets to the plant's end alone.
    unpack(place, PEER, End::Peer, "server.key");
    let (peer, _) = shake_hands(place);
    assert!(peer.contains("certificate revoked") && !peer.contains(UP), "{peer}");
}

/// The thief has a copy of the authority's folder, and signs a peer of his own.
#[test]
fn a_peer_of_a_stolen_issuing_ca_is_refused_by_the_roots_new_list() {
    if !tool_is_there() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let place = folder.path();
    let mut own = plant(place, Vec::new());
    issue(&mut own, DEVICE, Role::Device);
    issue(&mut own, PEER, Role::Peer);
    drop(own);
    openvpn(place, "--genkey tls-crypt-v2-server server.key");
    openvpn(place, "--tls-crypt-v2 server.key --genkey tls-crypt-v2-client client.key");
    fs::create_dir(place.join("thief")).unwrap();
    let copied =
        Command::new("cp").arg("-a").args([place.join("pki"), place.join("thief")]).status().unwrap();
    assert!(copied.success());
    let renew = |authority: &mut Authority, name: &str| {
        authority.renew(name, Algorithm::P256, None, None, &secret()).unwrap();
    };
    renew(&mut Authority::open(&place.join("thief/pki"), now()).unwrap(), PEER);
    let thief_is_peer = || {
        fs::rename(place.join("pki"), place.join("kept")).unwrap();
        fs::rename(place.join("thief/pki"), place.join("pki")).unwrap();
        unpack(place, PEER, End::Peer, "server.key");
        fs::rename(place.join("pki"), place.join("thief/pki")).unwrap();
        fs::rename(place.join("kept"), place.join("pki")).unwrap();
    };
    unpack(place, DEVICE, End::Device, "client.key");
    thief_is_peer();
    let (peer, device) = shake_hands(place);
    assert!(peer.contains(UP) && device.contains(UP), "{peer}\n{device}");

    let mut own = Authority::open(&place.join("pki"), now()).unwrap();
    own.next_issuing(Algorithm::P384, true, &secret()).unwrap();
    renew(&mut own, DEVICE);
    renew(&mut own, PEER);
    drop(own);
    unpack(place, DEVICE, End::Device, "client.key");
    // The root's list: what the thief signs of his CA says nothing of the kind.
    let device = refusal(place);
    assert!(device.contains("VERIFY ERROR: depth=1, error=certificate revoked"), "{device}");
    unpack(place, PEER, End::Peer, "server.key");
    let (peer, device) = shake_hands(place);
    assert!(peer.contains(UP) && device.contains(UP), "{peer}\n{device}");
}
