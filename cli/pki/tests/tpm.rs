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
use pki::provision::{archive, without_key};
use pki::{Algorithm, Authority, Holder, Init, Request, Role};
use secret::Secret;
use spec::plan::FilePlan;
use tempfile::TempDir;

const NOW: u64 = 1_767_225_600;
const HOST: &str = "feeder-terminal.grid.example";

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

/// A device with a TPM of its own: its folders, and its program with their places.
struct Device {
    folder: TempDir,
}

impl Device {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for name in ["tpm", "swanctl/x509", "swanctl/private", "requests"] {
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
            ("=/etc/swanctl/x509/", format!("={here}/swanctl/x509/")),
            ("=/etc/swanctl/private", format!("={here}/swanctl/private")),
        ] {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, &to);
        }
        fs::write(folder.path().join("tpm-key"), text).unwrap();
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

    fn request(&self) -> Vec<u8> {
        fs::read(self.path("requests/ipsec.csr")).unwrap()
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
    holder.check_own_key(&[format!("dns:{HOST}").parse().unwrap()]).unwrap();
    let items = without_key(&holder, "swanctl").unwrap();
    assert!(items.keys().all(|path| !path.ends_with("private/device.pem")));
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
    let mode = fs::metadata(device.path("requests/ipsec.csr")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "whoever maintains the device fetches it");

    // The next start, without a certificate: the same key, another signature.
    device.says(0, "there is no certificate yet");
    let again = pki::read_csr(&device.request()).unwrap();
    assert_eq!(again.info.public_key, request.info.public_key);
    device.shows(0, "key, attributes 00040472; certificate: none; private keys in files: 0");

    let pki = device.path("pki");
    let mut authority = authority(&pki);
    authority.issue(&device_request("ft-17", Some(first)), &secret()).unwrap();
    // One whose key is a file, under the same name.
    authority.issue(&device_request("ft-file", None), &secret()).unwrap();
    authority.crl(30, &secret()).unwrap();
    drop(authority);
    let file = Holder::open(&pki, "ft-file", None, NOW).unwrap().check_own_key(&[]).unwrap_err();
    assert_eq!((file.diagnostics[0].code.as_str(), file.status), ("key-here", diag::ExitStatus::Input));
    assert!(file.to_string().contains("expected the key of `ft-file` to be in its device's TPM"), "{file}");
    let holder = Holder::open(&pki, "ft-17", None, NOW).unwrap();
    let name = holder.check_own_key(&["dns:other.example".parse().unwrap()]).unwrap_err();
    assert_eq!(name.diagnostics[0].code, "wrong-name");

    provision(&pki, "ft-17", &device);
    device.says(0, "the key of the certificate is in the TPM");
    device.shows(0, "certificate: its; private keys in files: 0");

    // The TPM is exchanged: another key, of which the certificate is none.
    fs::remove_dir_all(device.path("tpm")).unwrap();
    fs::create_dir(device.path("tpm")).unwrap();
    device.says(1, "the certificate is of another key than this TPM's: the tunnels stay down");
    device.shows(1, "key, attributes 00040472; certificate: another");
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
    fs::remove_file(device.path("requests/ipsec.csr")).unwrap();
    fs::write(device.path("tpm-key"), &right).unwrap();
    device.says(1, "the handle 81004653 of the TPM holds another key, with the attributes 00040460");
    device.shows(1, "handle 81004653: no key of ours, attributes 00040460");
    assert!(
        !device.path("requests/ipsec.csr").exists(),
        "nothing is asked for a key that is not the device's"
    );
}

#[test]
fn without_a_tpm_there_is_no_tunnel() {
    let device = Device::new();
    let run = Command::new("sh").arg(device.path("tpm-key")).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(said, "fastness-tpm-key: there is no TPM: the tunnels stay down\n");
}
