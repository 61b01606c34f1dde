//! What makes the tunnels' key on the device (templates/tpm), run here with the emulated TPM that QEMU gives a machine: the
//! authority takes its request, and what is not right keeps the tunnels down.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop with the place")]
#![allow(clippy::print_stderr, reason = "what was skipped is said aloud")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use exec::Tpm;
use pki::provision::{Target, archive, without_key};
use pki::{Algorithm, Authority, Holder, Init, Request, Role};
use secret::Secret;
use spec::plan::FilePlan;
use tempfile::TempDir;

const NOW: u64 = 1_767_225_600;
const HOST: &str = "feeder-terminal.grid.example";
/// What the device may have said before its key was made: the handle, and the attributes of the key.
const OWN: &str = "key, attributes 00040472";

fn secret() -> Secret {
    Secret::new(b"a passphrase of the tests".to_vec())
}

/// The emulator, and what makes a device file of its socket.
fn can_run() -> bool {
    let there = ["swtpm", "socat"].iter().all(|tool| Command::new(tool).arg("-h").output().is_ok());
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "swtpm or socat is not installed");
    if !there {
        eprintln!("SKIPPED: swtpm or socat is not installed");
    }
    there
}

/// OpenSSL's provider for TPMs, and what leads it to a device file.
fn has_provider() -> bool {
    let found = |pattern: &str| {
        let run = Command::new("sh").args(["-c", &format!("ls {pattern}")]).output().unwrap();
        run.status.success()
    };
    let there = found("/usr/lib/*/ossl-modules/tpm2.so") && found("/usr/lib/*/libtss2-tcti-device.so.0");
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "tpm2-openssl is not installed");
    if !there {
        eprintln!("SKIPPED: tpm2-openssl is not installed");
    }
    there
}

/// A device of the example with a TPM of its own: its folders, and its program with their places.
struct Device {
    folder: TempDir,
}

impl Device {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["tpm", "swanctl/x509", "swanctl/private", "openvpn/history", "requests", "run"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/feeder-terminal/product.yaml");
        let plan = spec::load(Path::new(example), None).unwrap_or_else(|failure| panic!("{failure}"));
        let FilePlan::File { content, .. } = &plan.files["/usr/lib/fastness/tpm-key"].value else { panic!() };
        let here = folder.path().to_str().unwrap();
        let mut text = content.clone();
        for (from, to) in [
            ("tpm=/dev/tpmrm0", format!("tpm={here}/device")),
            ("requests=/var/lib/fastness/requests", format!("requests={here}/requests")),
            ("strongswan=/etc/swanctl", format!("strongswan={here}/swanctl")),
            ("openvpn=/etc/openvpn", format!("openvpn={here}/openvpn")),
            ("file=/run/fastness-tpm-key/", format!("file={here}/run/")),
        ] {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, &to);
        }
        fs::write(folder.path().join("tpm-key"), text).unwrap();
        let FilePlan::File { content, .. } = &plan.files["/etc/openvpn/history.conf"].value else { panic!() };
        let own = content.replace("/var/lib/fastness/openvpn/", &format!("{here}/openvpn/"));
        fs::write(folder.path().join("openvpn/history.conf"), own).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// One start of the device: the TPM is reset, and the program runs.
    fn start(&self, arguments: &[&str]) -> Output {
        let socket = self.path("socket");
        let _ = fs::remove_file(&socket);
        let _tpm = Tpm::start_for_commands(&self.path("tpm"), &socket, &self.path("log")).unwrap();
        let _line = Line::new(&socket, &self.path("device"));
        let run = Command::new("timeout")
            .args(["120", "sh"])
            .arg(self.path("tpm-key"))
            .args(arguments)
            .output()
            .unwrap();
        assert_ne!(run.status.code(), Some(124), "the TPM did not answer: {run:?}");
        run
    }

    fn says(&self, code: i32, words: &str) {
        let run = self.start(&[]);
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(run.status.code() == Some(code) && said.contains(words), "{run:?}");
    }

    fn shows(&self, code: i32, words: &str) {
        let run = self.start(&["show"]);
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(run.status.code() == Some(code) && said.contains(words), "{run:?}");
    }

    /// OpenSSL in the device's folder, with the provider of the TPM or without.
    fn openssl(&self, arguments: &str, by_tpm: bool) -> Output {
        let socket = self.path("socket");
        let _ = fs::remove_file(&socket);
        let _tpm = Tpm::start_for_commands(&self.path("tpm"), &socket, &self.path("log")).unwrap();
        let _line = Line::new(&socket, &self.path("device"));
        let providers: &[&str] = if by_tpm { &["-provider", "tpm2", "-provider", "default"] } else { &[] };
        let mut words = arguments.split_whitespace();
        Command::new("openssl")
            .current_dir(self.folder.path())
            .env("TPM2OPENSSL_TCTI", format!("device:{}", self.path("device").display()))
            .args(words.next())
            .args(providers)
            .args(words)
            .output()
            .unwrap()
    }

    fn request(&self) -> Vec<u8> {
        fs::read(self.path("requests/tunnels.csr")).unwrap()
    }
}

/// A terminal in the place of `/dev/tpmrm0`: bytes go to the emulator and back.
struct Line(Child);

impl Line {
    fn new(socket: &Path, device: &Path) -> Self {
        // The link of the last start may lead to a terminal that somebody else has by now.
        let _ = fs::remove_file(device);
        let child = Command::new("socat")
            .arg(format!("PTY,raw,echo=0,link={}", device.display()))
            // The socket is there a moment before the emulator listens.
            .arg(format!("UNIX-CONNECT:{},retry=200,interval=0.05", socket.display()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !device.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        // socat sets this after it has made the link.
        let raw = Command::new("stty").arg("-F").arg(device).args(["raw", "-echo"]).status().unwrap();
        assert!(raw.success(), "the terminal is not there");
        Self(child)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn authority(folder: &Path) -> Authority {
    let init = Init {
        organization: "Grid".into(),
        algorithm: Algorithm::P384,
        days: 7300,
        crl_url: None,
        ocsp_url: None,
        domains: Vec::new(),
    };
    Authority::init(folder, &init, &secret(), NOW).unwrap()
}

fn device_request(name: &str, csr: Option<Vec<u8>>) -> Request {
    Request {
        name: name.to_owned(),
        common_name: Some(HOST.to_owned()),
        role: Role::Device,
        names: vec![format!("dns:{HOST}").parse().unwrap()],
        device_serial: Some("SN-17".to_owned()),
        days: None,
        algorithm: Algorithm::P256,
        csr,
    }
}

/// What `provision` writes, unpacked where the device looks.
fn provision(pki: &Path, name: &str, device: &Device) {
    let holder = Holder::open(pki, name, None, NOW).unwrap();
    let names = [format!("dns:{HOST}").parse().unwrap()];
    holder.check_own_key(&names, &names).unwrap();
    let tls_crypt = Secret::new(b"-----BEGIN OpenVPN tls-crypt-v2 client key-----\n".to_vec());
    let targets = [
        Target::Ipsec { folder: "swanctl".to_owned() },
        Target::Openvpn { folder: "openvpn/history".to_owned(), tls_crypt },
    ];
    let items = without_key(&holder, &targets).unwrap();
    assert!(items.keys().all(|path| !path.ends_with("private/device.pem") && !path.ends_with("device.key")));
    let bytes = archive(&items, 0).unwrap();
    tar::Archive::new(bytes.as_slice()).unpack(device.folder.path()).unwrap();
}

#[test]
fn a_device_makes_its_key_asks_for_a_certificate_and_knows_it() {
    if !can_run() {
        return;
    }
    let device = Device::new();
    device.shows(1, "handle 81004653: no key of ours");
    device.says(0, "first start: the tunnels' key is made in the TPM");
    let first = device.request();
    let request = pki::read_csr(&first).unwrap();
    assert_eq!(request.info.subject.to_string(), format!("CN={HOST}"));
    let mode = fs::metadata(device.path("requests/tunnels.csr")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "whoever maintains the device fetches it");

    // The next start, without a certificate: the same key, another signature.
    device.says(0, "there is no certificate yet");
    let again = pki::read_csr(&device.request()).unwrap();
    assert_eq!(again.info.public_key, request.info.public_key);
    device.shows(0, &format!("{OWN}; certificate: none; private keys in files: 0"));

    let pki = device.path("pki");
    let mut authority = authority(&pki);
    authority.issue(&device_request("ft-17", Some(first)), &secret()).unwrap();
    // One whose key is a file, under the same name.
    authority.issue(&device_request("ft-file", None), &secret()).unwrap();
    authority.crl(30, &secret()).unwrap();
    drop(authority);
    let file = Holder::open(&pki, "ft-file", None, NOW).unwrap().check_own_key(&[], &[]).unwrap_err();
    assert_eq!((file.diagnostics[0].code.as_str(), file.status), ("key-here", diag::ExitStatus::Input));
    assert!(file.to_string().contains("expected the key of `ft-file` to be in its device's TPM"), "{file}");
    let holder = Holder::open(&pki, "ft-17", None, NOW).unwrap();
    let other = ["dns:other.example".parse().unwrap()];
    for name in [holder.check_own_key(&other, &[]), holder.check_own_key(&[], &other)] {
        assert_eq!(name.unwrap_err().diagnostics[0].code, "wrong-name");
    }

    provision(&pki, "ft-17", &device);
    device.says(0, "the key of the certificate is in the TPM");
    device.shows(0, "certificate: its; private keys in files: 0");

    // Of two certificates one is not there: the request for it lies ready, and the other tunnel comes up.
    fs::rename(device.path("openvpn/history/device.pem"), device.path("kept")).unwrap();
    device.says(0, "there is no certificate yet");
    device.shows(0, "certificate: none");
    // One of another key keeps both down.
    fs::write(device.path("openvpn/history/device.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    device.says(1, "the certificate is of another key than this TPM's");
    device.shows(1, "certificate: another");
    fs::rename(device.path("kept"), device.path("openvpn/history/device.pem")).unwrap();
    device.says(0, "the key of the certificate is in the TPM");

    // The TPM is exchanged: another key, of which the certificate is none.
    fs::remove_dir_all(device.path("tpm")).unwrap();
    fs::create_dir(device.path("tpm")).unwrap();
    device.says(1, "the certificate is of another key than this TPM's: the tunnels stay down");
    device.shows(1, &format!("{OWN}; certificate: another"));
    let other = pki::read_csr(&device.request()).unwrap();
    assert_ne!(other.info.public_key, request.info.public_key, "a request of the new key lies ready");
}

#[test]
fn a_private_key_in_a_file_is_refused_and_seen() {
    if !can_run() {
        return;
    }
    let device = Device::new();
    device.says(0, "first start");
    let key = device.path("swanctl/private/device.pem");
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    device.says(1, "a private key lies in a file of");
    device.shows(1, "private keys in files: 2");
    fs::rename(&key, device.path("swanctl/elsewhere")).unwrap();
    device.shows(1, "private keys in files: 1");
    fs::rename(device.path("swanctl/elsewhere"), device.path("openvpn/history/device.key")).unwrap();
    device.says(1, "a private key lies in a file of");
    device.shows(1, "private keys in files: 2");
}

/// A key that could be taken to another TPM is not taken for the device's own, whoever made it.
#[test]
fn another_key_at_the_handle_keeps_the_tunnels_down() {
    if !can_run() {
        return;
    }
    let device = Device::new();
    let right = fs::read_to_string(device.path("tpm-key")).unwrap();
    let form = "form=0023000b0004047200000010\n";
    assert!(right.contains(form));
    // Without fixedTPM and fixedParent.
    fs::write(device.path("tpm-key"), right.replace(form, "form=0023000b0004046000000010\n")).unwrap();
    device.says(0, "first start");
    fs::remove_file(device.path("requests/tunnels.csr")).unwrap();
    fs::write(device.path("tpm-key"), &right).unwrap();
    device.says(1, "the handle 81004653 of the TPM holds another key, with the attributes 00040460");
    device.shows(1, "handle 81004653: no key of ours, attributes 00040460");
    assert!(
        !device.path("requests/tunnels.csr").exists(),
        "nothing is asked for a key that is not the device's"
    );
}

/// What OpenVPN reads: OpenSSL's provider signs by it with the key of the request, and with no other TPM.
#[test]
fn a_provider_signs_by_the_file_for_openvpn_with_this_tpm_alone() {
    if !(can_run() && has_provider()) {
        return;
    }
    let device = Device::new();
    device.says(0, "first start");
    let first = fs::read(device.path("run/key.pem")).unwrap();
    assert!(first.starts_with(b"-----BEGIN TSS2 PRIVATE KEY-----\n"));
    let mode = fs::metadata(device.path("run/key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What is below /run goes with the power, and comes again from the TPM, the same.
    fs::remove_file(device.path("run/key.pem")).unwrap();
    device.says(0, "there is no certificate yet");
    assert_eq!(fs::read(device.path("run/key.pem")).unwrap(), first);
    fs::write(device.path("data"), "what is signed").unwrap();
    let signed = device
        .openssl("pkeyutl -sign -rawin -digest sha256 -inkey run/key.pem -in data -out signature", true);
    assert!(signed.status.success(), "{signed:?}");
    for arguments in [
        "req -in requests/tunnels.csr -pubkey -noout -out public",
        "dgst -sha256 -verify public -signature signature data",
    ] {
        let run = device.openssl(arguments, false);
        assert!(run.status.success(), "{run:?}");
    }
    // The scheme is the key's: it signs over nothing weaker.
    let weak =
        device.openssl("pkeyutl -sign -rawin -digest sha1 -inkey run/key.pem -in data -out weak", true);
    assert!(!weak.status.success(), "{weak:?}");
    fs::remove_dir_all(device.path("tpm")).unwrap();
    fs::create_dir(device.path("tpm")).unwrap();
    let other =
        device.openssl("pkeyutl -sign -rawin -digest sha256 -inkey run/key.pem -in data -out other", true);
    assert!(!other.status.success() && !device.path("other").is_file(), "{other:?}");
}

/// The power is cut between the TPM's memory and the handle, and within the memory: the next start goes on.
#[test]
fn a_first_start_that_was_cut_is_gone_on_with() {
    if !can_run() {
        return;
    }
    let right = |device: &Device| fs::read_to_string(device.path("tpm-key")).unwrap();
    let cut = |device: &Device, before: &str| {
        let text = right(device);
        assert!(text.contains(before), "{before}");
        fs::write(device.path("tpm-key"), text.replace(before, &format!("exit 9\n{before}"))).unwrap();
        assert_eq!(device.start(&[]).status.code(), Some(9));
        fs::write(device.path("tpm-key"), text).unwrap();
    };
    let device = Device::new();
    cut(&device, "\torder 8002 00000120 ");
    let run = device.start(&[]);
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    // The key that is kept is taken.
    assert!(run.status.success() && !said.contains("first start"), "{run:?}");
    device.shows(0, OWN);
    let device = Device::new();
    cut(&device, "\torder 8002 00000137 ");
    device.says(0, "first start");
    device.shows(0, OWN);
}

#[test]
fn what_is_somebody_elses_at_the_index_is_left_alone() {
    if !can_run() {
        return;
    }
    let device = Device::new();
    let right = fs::read_to_string(device.path("tpm-key")).unwrap();
    // One that everybody may read.
    let (own, other) =
        ("written=220200020000\nfresh=020200020000", "written=220600020000\nfresh=020600020000");
    assert!(right.contains(own));
    fs::write(device.path("tpm-key"), right.replace(own, other)).unwrap();
    device.says(0, "first start");
    fs::write(device.path("tpm-key"), &right).unwrap();
    device.says(1, "the index 01804653 of the TPM holds something else: the tunnels stay down");
    device.shows(1, "; OpenVPN cannot read it");
    // A key at the handle of which nothing is kept: one of a release that kept none.
    let device = Device::new();
    let right = fs::read_to_string(device.path("tpm-key")).unwrap();
    fs::write(device.path("tpm-key"), right.replace("index=01804653", "index=01804654")).unwrap();
    device.says(0, "first start");
    fs::write(device.path("tpm-key"), &right).unwrap();
    device.says(1, "the TPM has the key at 81004653 and not what OpenVPN reads of it at 01804653");
    device.shows(1, "; OpenVPN cannot read it");
}

#[test]
fn without_a_tpm_there_is_no_tunnel() {
    let device = Device::new();
    let run = Command::new("sh").arg(device.path("tpm-key")).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(said, "fastness-tpm-key: there is no TPM: the tunnels stay down\n");
}
