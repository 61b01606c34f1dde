//! What a device tells of its settings: the program and its self-check, run as the device runs them, with programs that stand
//! for the device's own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const EXAMPLE: &str = include_str!("../../../examples/cell-gateway/product.yaml");

struct Device {
    folder: tempfile::TempDir,
}

impl Device {
    fn new() -> Self {
        let device = Self { folder: tempfile::tempdir().expect("a folder") };
        let product = device.at("product.yaml");
        fs::write(&product, format!("{EXAMPLE}\nlayers: {{settings: {{}}}}\n"))
            .expect("of the test's own making");
        let plan = spec::load(Path::new(&product), None).unwrap_or_else(|failure| panic!("{failure}"));
        let text = |path: &str| {
            let spec::plan::FilePlan::File { content, .. } = &plan.files[path].value else {
                panic!("no {path}")
            };
            content.clone()
        };
        let mut program = text("/usr/lib/fastness/settings");
        for (from, to) in [
            ("folder=/run/fastness-settings\n", format!("folder={}\n", device.at("run"))),
            ("rules=/usr/lib/sysctl.d/50-fastness.conf\n", format!("rules={}\n", device.at("sysctl.conf"))),
            ("state=/var/lib/fastness\n", format!("state={}\n", device.at("state"))),
            ("done </etc/passwd\n", format!("done <{}\n", device.at("passwd"))),
            ("chgrp settings-readers ", "true ".to_owned()),
        ] {
            assert!(program.contains(from), "{from}");
            program = program.replace(from, &to);
        }
        device.program("settings", &program);
        let check = text("/usr/lib/fastness/selfcheck.d/inv.report");
        let own = check.replace("/usr/lib/fastness/settings", &device.at("bin/settings"));
        assert_ne!(check, own);
        fs::write(device.at("check"), own).expect("of the test's own making");
        for folder in ["run/ask", "state/ssh"] {
            fs::create_dir_all(device.at(folder)).expect("of the test's own making");
        }
        fs::write(device.at("sysctl.conf"), "# why\nkernel.ostype = Linux\nkernel.none = 1\n")
            .expect("of the test's own making");
        fs::write(device.at("state/ssh/ssh_host_ed25519_key.pub"), "ssh-ed25519 AAAA x\n")
            .expect("of the test's own making");
        fs::write(device.at("passwd"), "root:x:0:0:root:/root:/usr/sbin/nologin\n")
            .expect("of the test's own making");
        device.says("nft", "table inet fastness {\n\tcomment \"a \\\\ b\" # \u{e4}\n\n}");
        device.says("sshd", "port 22\nusedns no");
        device.says("auditctl", "enabled 2");
        device.says(
            "systemctl",
            "ssh.service loaded active running OpenSSH\nnft.service loaded inactive dead x",
        );
        device
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.at(&format!("bin/{name}"));
        fs::create_dir_all(self.at("bin")).expect("of the test's own making");
        fs::write(&path, text).expect("of the test's own making");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("of the test's own making");
    }

    fn says(&self, name: &str, text: &str) {
        self.program(name, &format!("#!/bin/sh\ncat <<'@end'\n{text}\n@end\n"));
    }

    fn run(&self, script: &str, arguments: &[&str]) -> (String, Option<i32>) {
        let path = format!("{}:{}", self.at("bin"), std::env::var("PATH").expect("of the test's own making"));
        let out = Command::new("sh")
            .arg(self.at(script))
            .args(arguments)
            .env("PATH", path)
            .output()
            .expect("of the test's own making");
        (
            String::from_utf8(out.stdout).expect("of the test's own making")
                + &String::from_utf8_lossy(&out.stderr),
            out.status.code(),
        )
    }
}

#[test]
fn the_settings_are_one_json_object_whatever_the_programs_say() {
    let device = Device::new();
    let (said, code) = device.run("bin/settings", &[]);
    assert_eq!(code, Some(0), "{said}");
    let told: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|why| panic!("{why}: {said}"));
    assert_eq!(told["schema"], "fastness-settings/1");
    assert_eq!(told["product"]["name"], "cell-gateway");
    assert_eq!(told["product"]["board"], "qemu-aarch64");
    // A tab becomes a space, what is no ASCII becomes `?`; quotes and backslashes are what they were.
    let rules = serde_json::json!(["table inet fastness {", " comment \"a \\\\ b\" # ??", "}"]);
    assert_eq!(told["firewall"], rules);
    assert_eq!(told["sshd"], serde_json::json!(["port 22", "usedns no"]));
    let services = &told["services"];
    assert_eq!(services[0], serde_json::json!({"unit": "ssh.service", "active": "active", "sub": "running"}));
    assert_eq!(services.as_array().expect("of the test's own making").len(), 2);
    // What the kernel does not have is not told as if it had.
    assert_eq!(told["kernel_settings"], serde_json::json!({"kernel.ostype": "Linux"}));
    assert_eq!(told["accounts"][0]["name"], "root");
    let key = &told["public_keys"][0];
    assert!(
        key["file"].as_str().expect("of the test's own making").ends_with("/ssh/ssh_host_ed25519_key.pub"),
        "{key}"
    );
    assert_eq!(key["sha256"].as_str().expect("of the test's own making").len(), 64);
    assert!(told["versions"]["systemd"].is_string(), "{told}");
}

#[test]
fn who_asks_is_answered_by_a_file_and_the_request_is_gone() {
    let device = Device::new();
    for name in ["start", ".hidden", "a folder/in"] {
        let path = device.folder.path().join("run/ask").join(name);
        fs::create_dir_all(path.parent().expect("of the test's own making"))
            .expect("of the test's own making");
        fs::write(path, "").expect("of the test's own making");
    }
    let (said, code) = device.run("bin/settings", &["serve"]);
    assert_eq!((said.as_str(), code), ("", Some(0)));
    let written = fs::read_to_string(device.at("run/settings.json")).expect("of the test's own making");
    assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok(), "{written}");
    let mode =
        fs::metadata(device.at("run/settings.json")).expect("of the test's own making").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(fs::read_dir(device.at("run/ask")).expect("of the test's own making").count(), 0);
    assert_eq!(fs::read_dir(device.at("run")).expect("of the test's own making").count(), 2);
    let (said, code) = device.run("bin/settings", &["tell"]);
    assert_eq!((said.as_str(), code), ("settings: expected `serve` or nothing, found tell\n", Some(2)));
}

#[test]
fn the_self_check_finds_a_part_that_is_empty_or_missing() {
    let device = Device::new();
    let (said, code) = device.run("check", &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(" bytes: product kernel firewall services kernel_settings accounts versions"),
        "{said}"
    );
    device.program("nft", "#!/bin/sh\nexit 1\n");
    assert_eq!(device.run("check", &[]), ("nothing is told of firewall".to_owned(), Some(1)));
    device.says("settings", "{\"schema\":\"fastness-settings/1\",\"product\":{\"name\":\"x\"}}");
    assert_eq!(device.run("check", &[]), ("kernel is missing".to_owned(), Some(1)));
    device.says("settings", "Segmentation fault");
    let (said, code) = device.run("check", &[]);
    assert_eq!((said.as_str(), code), ("no JSON object of the settings: Segmentation fault", Some(1)));
    device.program("settings", "#!/bin/sh\nexit 3\n");
    assert_eq!(device.run("check", &[]), ("the settings are not told".to_owned(), Some(1)));
}
