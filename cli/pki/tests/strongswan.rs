//! Two strongSwan, each with the configuration of its end and the archive of its identity, exchange keys over a wire
//! between two namespaces: good peers with ECDSA and with RSA are taken, weak and revoked ones refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop with the place")]
#![allow(clippy::print_stderr, reason = "what was skipped is said aloud")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use pki::provision::{End, Target, archive, items};
use pki::{Algorithm, Authority, Identity, Init, Reason, Request, Role};
use secret::Secret;
use spec::Choice;
use spec::library::Library;
use spec::plan::{FilePlan, Plan};
use spec::product::Backend;
use tempfile::TempDir;

const PRODUCT: &str = include_str!("../../../examples/plc-gateway/product.yaml");
const DAEMON: &str = "/usr/sbin/charon-systemd";

/// strongSwan looks at this machine's clock.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn secret() -> Secret {
    Secret::new(b"a passphrase of the tests".to_vec())
}

/// strongSwan, and a namespace with a wire for it.
fn can_run() -> bool {
    let there = Path::new(DAEMON).exists() && Command::new("swanctl").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "strongSwan is not installed");
    let wire = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "ip",
            "link",
            "add",
            "v0",
            "type",
            "veth",
            "peer",
            "name",
            "v1",
        ])
        .output()
        .is_ok_and(|run| run.status.success());
    for (holds, what) in
        [(there, "strongSwan is not installed"), (wire, "this machine gives no namespace with a wire")]
    {
        if !holds {
            eprintln!("SKIPPED: {what}");
        }
    }
    there && wire
}

fn plan(product: &str) -> Plan {
    plan_for(product, Choice::default())
}

fn plan_for(product: &str, choice: Choice) -> Plan {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("product.yaml");
    fs::write(&file, product).unwrap();
    spec::load_as(&Library::built_in(None), &file, None, choice).unwrap_or_else(|failure| panic!("{failure}"))
}

fn issue(authority: &mut Authority, name: &str, role: Role, host: &str, algorithm: Algorithm) {
    let request = Request {
        name: name.to_owned(),
        common_name: Some(host.to_owned()),
        role,
        names: vec![format!("dns:{host}").parse().unwrap()],
        device_serial: None,
        days: None,
        algorithm,
        csr: None,
    };
    authority.issue(&request, &secret()).unwrap();
}

/// The folder of one end: its archive, its configuration, and a strongswan.conf with the device's plugins.
fn end(folder: &Path, end: End, identity: &str, configuration: &str, plugins: &str) {
    let name = if end == End::Device { "device" } else { "peer" };
    let identity = Identity::open(&folder.join("pki"), identity, None, &secret(), now()).unwrap();
    let bytes =
        archive(&items(&identity, end, &[Target::Ipsec { folder: name.to_owned() }]).unwrap(), 0).unwrap();
    let _ = fs::remove_dir_all(folder.join(name));
    tar::Archive::new(bytes.as_slice()).unpack(folder).unwrap();
    let here = folder.join(name);
    fs::write(here.join("swanctl.conf"), configuration).unwrap();
    let own = here.display();
    let settings = format!(
        "charon-systemd {{\n{plugins}\nsend_vendor_id = no\nretransmit_tries = 1\n\
         plugins {{ vici {{ socket = unix://{own}/vici }} }}\n\
         filelog {{ log {{ path = {own}/log\n default = 1\n cfg = 2\n flush_line = yes }} }} }}\nswanctl {{\n{plugins}\n}}\n"
    );
    fs::write(here.join("strongswan.conf"), settings).unwrap();
}

/// Both ends in their namespaces; the device asks for the tunnel. Gives its answer and both logs.
fn exchange(folder: &Path, device: &str, peer: &str) -> (Output, String) {
    exchange_beside(folder, device, peer, "")
}

/// The same with a program on the peer's machine, whose words are of the shell.
fn exchange_beside(folder: &Path, device: &str, peer: &str, beside: &str) -> (Output, String) {
    exchange_of((DAEMON, "swanctl"), folder, device, peer, beside)
}

/// The same with another strongSwan: its daemon, its `swanctl`.
fn exchange_of(
    (daemon, swanctl): (&str, &str),
    folder: &Path,
    device: &str,
    peer: &str,
    beside: &str,
) -> (Output, String) {
    let script = r#"
        unshare --net sleep 60 & other=$!
        trap 'kill $other $one $two 2>/dev/null' EXIT
        ip link add v0 type veth peer name v1
        # Its namespace is its own only some time after its start; before that the wire would be moved to where it is.
        while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
        ip link set v1 netns $other || exit 91
        there="nsenter --net=/proc/$other/ns/net"
        for at in 0:$1 1:$2; do
            in=; [ ${at%%:*} = 0 ] || in=$there
            $in ip link set lo up; $in ip addr add ${at#*:} dev v${at%%:*}; $in ip link set v${at%%:*} up
        done
        BESIDE
        STRONGSWAN_CONF=$PWD/device/strongswan.conf DAEMON & one=$!
        STRONGSWAN_CONF=$PWD/peer/strongswan.conf $there DAEMON & two=$!
        for end in device peer; do
            # A socket is there before somebody listens on it, and the one of an earlier run, too.
            tries=100
            until STRONGSWAN_CONF=$PWD/$end/strongswan.conf SWANCTL --load-all --noprompt --file $PWD/$end/swanctl.conf --uri unix://$PWD/$end/vici >$end/loaded 2>&1; do
                tries=$((tries-1)); [ $tries != 0 ] || { cat $end/loaded; exit 90; }; sleep 0.1
            done
        done
        STRONGSWAN_CONF=$PWD/device/strongswan.conf SWANCTL --initiate --ike scada --timeout 20 --uri unix://$PWD/device/vici
    "#
    .replace("DAEMON", daemon)
    .replace("SWANCTL", swanctl)
    .replace("BESIDE", beside);
    let run = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "--kill-child",
            "--fork",
            "--pid",
            "--mount-proc",
            "timeout",
            "60",
            "sh",
            "-c",
            &script,
            "sh",
            device,
            peer,
        ])
        .current_dir(folder)
        .output()
        .unwrap();
    let log = |end: &str| fs::read_to_string(folder.join(end).join("log")).unwrap_or_default();
    let said = format!("{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    (run, format!("{said}\n== device\n{}\n== peer\n{}", log("device"), log("peer")))
}

/// The plant's authority, with keys of this kind.
fn authority(folder: &Path, algorithm: Algorithm) -> Authority {
    let init = Init {
        organization: "Plant".into(),
        algorithm,
        days: 7300,
        crl_url: None,
        ocsp_url: None,
        domains: Vec::new(),
    };
    Authority::init(&folder.join("pki"), &init, &secret(), now()).unwrap()
}

/// What the device's layer lets strongSwan load, as its own line.
fn plugins(plan: &Plan) -> String {
    let FilePlan::File { content, .. } = &plan.files["/etc/strongswan.conf"].value else { panic!() };
    let line = content.lines().find(|line| line.trim().starts_with("load = ")).unwrap();
    line.trim().to_owned()
}

fn device_configuration(plan: &Plan) -> String {
    let FilePlan::File { content, .. } = &plan.files["/etc/swanctl/swanctl.conf"].value else { panic!() };
    content.clone()
}

#[test]
fn good_peers_with_ecdsa_and_with_rsa_are_taken_and_weak_or_revoked_ones_refused() {
    if !can_run() {
        return;
    }
    let plan = plan(PRODUCT);
    let work = TempDir::new().unwrap();
    let folder = work.path();
    let mut authority = authority(folder, Algorithm::P384);
    let (own, other) = ("plc-gateway.plant.example", "scada.plant.example");
    issue(&mut authority, "device", Role::Device, own, Algorithm::P256);
    issue(&mut authority, "ecdsa", Role::Peer, other, Algorithm::P256);
    issue(&mut authority, "rsa", Role::Peer, other, Algorithm::Rsa3072);
    issue(&mut authority, "gone", Role::Peer, other, Algorithm::P256);
    authority.crl(30, &secret()).unwrap();
    drop(authority);

    let (device, peer) = (device_configuration(&plan), &plan.outside["peer/scada/swanctl.conf"]);
    let load = plugins(&plan);
    let run = |identity: &str| {
        end(folder, End::Device, "device", &device, &load);
        end(folder, End::Peer, identity, peer, &load);
        exchange(folder, "192.0.2.10/24", "192.0.2.20/24")
    };
    for good in ["ecdsa", "rsa"] {
        let (run, log) = run(good);
        assert!(run.status.success() && log.contains("IKE_SA scada[1] established"), "{good}: {log}");
    }
    // A key of 2048 bits under the good peer's name and below the same root: the authority refuses to make one.
    let made = |arguments: &str| {
        let run =
            Command::new("openssl").current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
        assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
    };
    fs::write(folder.join("pass"), "a passphrase of the tests\n").unwrap();
    fs::write(
        folder.join("extensions"),
        format!("basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nsubjectAltName=DNS:{other}\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n"),
    )
    .unwrap();
    made("req -new -newkey rsa:2048 -nodes -keyout weak.key -out weak.csr -subj /CN=scada.plant.example");
    made(
        "x509 -req -in weak.csr -CA pki/issuing.crt -CAkey pki/issuing.key.pem -passin file:pass -set_serial 77 -days 9 -extfile extensions -out weak.pem",
    );
    end(folder, End::Device, "device", &device, &load);
    end(folder, End::Peer, "ecdsa", peer, &load);
    for (from, to) in [("weak.key", "peer/private/peer.pem"), ("weak.pem", "peer/x509/peer.pem")] {
        fs::copy(folder.join(from), folder.join(to)).unwrap();
    }
    let (weak, log) = exchange(folder, "192.0.2.10/24", "192.0.2.20/24");
    assert!(!weak.status.success() && log.contains("RSA-2048 signatures not acceptable"), "{log}");

    // Provisioned, then revoked: the device alone has the newer list.
    end(folder, End::Peer, "gone", peer, &load);
    let mut authority = Authority::open(&folder.join("pki"), now()).unwrap();
    authority.revoke("gone", Reason::KeyCompromise).unwrap();
    authority.crl(30, &secret()).unwrap();
    drop(authority);
    end(folder, End::Device, "device", &device, &load);
    let (revoked, log) = exchange(folder, "192.0.2.10/24", "192.0.2.20/24");
    assert!(!revoked.status.success() && log.contains("certificate was revoked"), "{log}");
}

#[test]
fn a_chain_of_rsa_keys_is_taken_whether_it_is_signed_with_pkcs1_or_with_pss() {
    if !can_run() {
        return;
    }
    let plan = plan(PRODUCT);
    let work = TempDir::new().unwrap();
    let folder = work.path();
    let mut authority = authority(folder, Algorithm::Rsa3072);
    let other = "scada.plant.example";
    issue(&mut authority, "device", Role::Device, "plc-gateway.plant.example", Algorithm::P256);
    issue(&mut authority, "peer", Role::Peer, other, Algorithm::Rsa3072);
    authority.crl(30, &secret()).unwrap();
    drop(authority);
    let (device, peer) = (device_configuration(&plan), &plan.outside["peer/scada/swanctl.conf"]);
    let load = plugins(&plan);
    let ends = || {
        end(folder, End::Device, "device", &device, &load);
        end(folder, End::Peer, "peer", peer, &load);
    };
    ends();
    let (run, log) = exchange(folder, "192.0.2.10/24", "192.0.2.20/24");
    assert!(run.status.success() && log.contains("IKE_SA scada[1] established"), "{log}");

    pss_peer(folder, other, "digest");
    ends();
    for (from, to) in [("pss.key", "peer/private/peer.pem"), ("pss.pem", "peer/x509/peer.pem")] {
        fs::copy(folder.join(from), folder.join(to)).unwrap();
    }
    let (run, log) = exchange(folder, "192.0.2.10/24", "192.0.2.20/24");
    assert!(run.status.success() && log.contains("IKE_SA scada[1] established"), "{log}");
}

/// A peer's certificate that the issuing CA signs with PSS, by OpenSSL.
fn pss_peer(folder: &Path, host: &str, salt: &str) {
    let made = |arguments: &str| {
        let run =
            Command::new("openssl").current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
        assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
    };
    fs::write(folder.join("pass"), "a passphrase of the tests\n").unwrap();
    let extensions = format!(
        "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nsubjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n"
    );
    fs::write(folder.join("extensions"), extensions).unwrap();
    made("req -new -newkey rsa:3072 -nodes -keyout pss.key -out pss.csr -subj /CN=scada.plant.example");
    made(&format!(
        "x509 -req -in pss.csr -CA pki/issuing.crt -CAkey pki/issuing.key.pem -passin file:pass -set_serial 78 -days 9 -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt} -extfile extensions -out pss.pem"
    ));
}

/// The plugin by which strongSwan asks over HTTP.
fn can_ask() -> bool {
    let there = Path::new("/usr/lib/ipsec/plugins/libstrongswan-curl.so").exists();
    assert!(
        there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(),
        "libstrongswan-extra-plugins is not installed"
    );
    if !there {
        eprintln!("SKIPPED: libstrongswan-extra-plugins is not installed");
    }
    there && can_run()
}

/// The device's list knows of no revocation in any of these: what counts is what the responder says.
#[test]
fn a_responder_is_asked_before_the_list_and_a_revoked_peer_is_refused() {
    if !can_ask() {
        return;
    }
    let services = "services:\n  status: {transport: tcp, port: 2560}\n";
    let conduit = "conduits:\n  - {name: status, from: device, to: plant, service: status, peers: [192.0.2.20/32], reason: r}\n";
    let product = PRODUCT.replacen("services:\n", services, 1).replacen("conduits:\n", conduit, 1);
    let plan = plan(&(product + "ocsp: {address: 192.0.2.20, service: status}\n"));
    let work = TempDir::new().unwrap();
    let folder = work.path();
    let mut authority = authority(folder, Algorithm::P384);
    let other = "scada.plant.example";
    issue(&mut authority, "device", Role::Device, "plc-gateway.plant.example", Algorithm::P256);
    issue(&mut authority, "peer", Role::Peer, other, Algorithm::P256);
    issue(&mut authority, "status", Role::Ocsp, "status.plant.example", Algorithm::P256);
    authority.crl(30, &secret()).unwrap();
    let made = |arguments: &str| {
        let run =
            Command::new("openssl").current_dir(folder).args(arguments.split_whitespace()).output().unwrap();
        assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
    };
    fs::write(folder.join("pass"), "a passphrase of the tests\n").unwrap();
    made("pkey -in pki/issued/status.key.pem -passin file:pass -out status.key");
    drop(authority);

    let (device, peer) = (device_configuration(&plan), &plan.outside["peer/scada/swanctl.conf"]);
    let load = plugins(&plan);
    end(folder, End::Device, "device", &device, &load);
    end(folder, End::Peer, "peer", peer, &load);
    let responder = "$there openssl ocsp -index pki/ocsp.index -CA pki/issuing.crt -rsigner pki/issued/status.crt \
                     -rkey status.key -port 2560 -ndays 1 >responder.log 2>&1 & sleep 1";
    let ask = || exchange_beside(folder, "192.0.2.10/24", "192.0.2.20/24", responder);
    let (good, log) = ask();
    assert!(good.status.success() && log.contains("IKE_SA scada[1] established"), "{log}");
    assert!(log.contains("ocsp response is valid") && log.contains("http://192.0.2.20:2560/"), "{log}");

    let mut authority = Authority::open(&folder.join("pki"), now()).unwrap();
    authority.revoke("peer", Reason::KeyCompromise).unwrap();
    authority.crl(30, &secret()).unwrap();
    drop(authority);
    let (revoked, log) = ask();
    assert!(!revoked.status.success() && log.contains("certificate was revoked"), "{log}");

    // Nobody answers: the list that the device has decides, and it is older than the revocation.
    let (old, log) = exchange(folder, "192.0.2.10/24", "192.0.2.20/24");
    assert!(old.status.success() && log.contains("crl is valid"), "{log}");
    // Neither answer nor list of the issuing CA: nobody gets in.
    for list in fs::read_dir(folder.join("device/x509crl")).unwrap() {
        fs::remove_file(list.unwrap().path()).unwrap();
    }
    let (neither, log) = exchange(folder, "192.0.2.10/24", "192.0.2.20/24");
    assert!(!neither.status.success(), "{log}");
}

/// Debian's strongSwan has no ML-KEM. One that has it (6.0.2 or later) is found below `FASTNESS_STRONGSWAN`, the folder that
/// it was installed to (`--enable-charon --enable-systemd --enable-swanctl --enable-ml …`).
#[test]
fn ml_kem_is_negotiated_where_both_ends_have_it() {
    let Some(prefix) = std::env::var("FASTNESS_STRONGSWAN").ok().filter(|_| can_run()) else {
        eprintln!("SKIPPED: FASTNESS_STRONGSWAN names no strongSwan with ML-KEM");
        return;
    };
    let product = PRODUCT.replacen("203.0.113.0/25]}", "203.0.113.0/25], ml_kem: true}", 1);
    let plan = plan_for(&product, Choice { backend: Some(Backend::Buildroot), series: None });
    let work = TempDir::new().unwrap();
    let folder = work.path();
    let mut authority = authority(folder, Algorithm::P384);
    issue(&mut authority, "device", Role::Device, "plc-gateway.plant.example", Algorithm::P256);
    issue(&mut authority, "peer", Role::Peer, "scada.plant.example", Algorithm::P256);
    authority.crl(30, &secret()).unwrap();
    drop(authority);
    let (device, peer) = (device_configuration(&plan), &plan.outside["peer/scada/swanctl.conf"]);
    // The host's OpenSSL may be older than 3.5: then the plugin `ml` has it.
    let load = plugins(&plan).replace("openssl", "openssl ml");
    end(folder, End::Device, "device", &device, &load);
    end(folder, End::Peer, "peer", peer, &load);
    let programs = (format!("{prefix}/sbin/charon-systemd"), format!("{prefix}/sbin/swanctl"));
    let (run, log) = exchange_of((&programs.0, &programs.1), folder, "192.0.2.10/24", "192.0.2.20/24", "");
    assert!(run.status.success() && log.contains("IKE_SA scada[1] established"), "{log}");
    let chosen = "selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384/KE1_ML_KEM_768";
    assert!(log.contains(chosen), "{log}");
}

/// The device has its certificate from the former issuing CA, the peer from the next one; both know the root alone.
#[test]
fn ends_below_two_issuing_cas_of_one_root_take_each_other() {
    if !can_run() {
        return;
    }
    let plan = plan(PRODUCT);
    let work = TempDir::new().unwrap();
    let folder = work.path();
    let mut authority = authority(folder, Algorithm::P384);
    issue(&mut authority, "device", Role::Device, "plc-gateway.plant.example", Algorithm::P256);
    authority.next_issuing(Algorithm::P384, false, &secret()).unwrap();
    issue(&mut authority, "peer", Role::Peer, "scada.plant.example", Algorithm::P256);
    drop(authority);
    let (device, peer) = (device_configuration(&plan), &plan.outside["peer/scada/swanctl.conf"]);
    let load = plugins(&plan);
    end(folder, End::Device, "device", &device, &load);
    end(folder, End::Peer, "peer", peer, &load);
    let (run, log) = exchange(folder, "192.0.2.10/24", "192.0.2.20/24");
    assert!(run.status.success() && log.contains("IKE_SA scada[1] established"), "{log}");
    assert!(
        log.contains("using untrusted intermediate certificate \"O=Plant, CN=Plant issuing CA 2\""),
        "{log}"
    );
}

/// The thief has a copy of the authority's folder, and signs a peer of his own: until the root's new list is on the device he gets
/// in, and then no more, while those who were provisioned again do.
#[test]
fn a_peer_of_a_stolen_issuing_ca_is_refused_by_the_roots_new_list() {
    if !can_run() {
        return;
    }
    let plan = plan(PRODUCT);
    let work = TempDir::new().unwrap();
    let folder = work.path();
    let mut own = authority(folder, Algorithm::P384);
    issue(&mut own, "device", Role::Device, "plc-gateway.plant.example", Algorithm::P256);
    issue(&mut own, "peer", Role::Peer, "scada.plant.example", Algorithm::P256);
    drop(own);
    fs::create_dir(folder.join("thief")).unwrap();
    let copied =
        Command::new("cp").arg("-a").args([folder.join("pki"), folder.join("thief")]).status().unwrap();
    assert!(copied.success());
    let mut thief = Authority::open(&folder.join("thief/pki"), now()).unwrap();
    issue(&mut thief, "forged", Role::Peer, "scada.plant.example", Algorithm::P256);
    drop(thief);
    let (device, peer) = (device_configuration(&plan), &plan.outside["peer/scada/swanctl.conf"]);
    let load = plugins(&plan);
    let thief_is_peer = || {
        fs::rename(folder.join("pki"), folder.join("kept")).unwrap();
        fs::rename(folder.join("thief/pki"), folder.join("pki")).unwrap();
        // He does not ask whether the device's certificate holds.
        let lax = peer.replace("revocation = strict", "revocation = relaxed");
        assert_ne!(&lax, peer);
        end(folder, End::Peer, "forged", &lax, &load);
        fs::rename(folder.join("pki"), folder.join("thief/pki")).unwrap();
        fs::rename(folder.join("kept"), folder.join("pki")).unwrap();
    };
    let meet = || exchange(folder, "192.0.2.10/24", "192.0.2.20/24");
    end(folder, End::Device, "device", &device, &load);
    thief_is_peer();
    let (run, log) = meet();
    assert!(run.status.success() && log.contains("IKE_SA scada[1] established"), "{log}");

    let mut own = Authority::open(&folder.join("pki"), now()).unwrap();
    own.next_issuing(Algorithm::P384, true, &secret()).unwrap();
    for name in ["device", "peer"] {
        own.renew(name, Algorithm::P256, None, None, &secret()).unwrap();
    }
    drop(own);
    end(folder, End::Device, "device", &device, &load);
    thief_is_peer();
    let (run, log) = meet();
    assert!(!run.status.success() && !log.contains("IKE_SA scada[1] established"), "{log}");
    assert!(log.contains("certificate was revoked on"), "{log}");
    end(folder, End::Peer, "peer", peer, &load);
    let (run, log) = meet();
    assert!(run.status.success() && log.contains("IKE_SA scada[1] established"), "{log}");
}
