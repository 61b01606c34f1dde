//! The policy of what may run: what its layer brings to every backend, and its two programs, run as the device runs them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use spec::plan::{FilePlan, Plan};

const EXAMPLE: &str = include_str!("../../../examples/cell-gateway/product.yaml");
const POLICY: &str = "dont_appraise fsname=squashfs \nappraise func=BPRM_CHECK appraise_type=imasig \nappraise func=MMAP_CHECK appraise_type=imasig \n";

fn plan(backend: &str) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let product = folder.path().join("product.yaml");
    fs::write(&product, format!("{EXAMPLE}\nbackend: {backend}\nlayers: {{exec-policy: {{}}}}\n")).unwrap();
    spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"))
}

fn content<'a>(plan: &'a Plan, path: &str) -> &'a str {
    let FilePlan::File { content, .. } = &plan.files[path].value else { panic!("no {path}") };
    content
}

#[test]
fn every_backend_s_kernel_appraises_and_the_policy_is_loaded_before_any_service() {
    for backend in ["debian", "buildroot", "yocto"] {
        let plan = plan(backend);
        for (symbol, value) in
            [("IMA", "y"), ("IMA_APPRAISE", "y"), ("IMA_APPRAISE_BOOTPARAM", "n"), ("IMA_WRITE_POLICY", "n")]
        {
            let asked = &plan.linux.symbols[symbol].value;
            assert_eq!(serde_json::to_value(asked).unwrap(), serde_json::json!(value), "{backend}: {symbol}");
        }
        assert!(plan.checks.contains_key("exec.appraisal"), "{backend}");
        let unit = content(&plan, "/etc/systemd/system/fastness-exec-policy.service");
        for line in ["DefaultDependencies=no", "WantedBy=sysinit.target"] {
            assert!(unit.lines().any(|found| found == line), "{backend}: {line}");
        }
        // What is on the root runs; whatever else is run or mapped wants a signature.
        let policy: Vec<&str> =
            content(&plan, "/etc/ima/ima-policy").lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(policy[0], "dont_appraise fsname=squashfs");
        assert!(policy[1..].iter().all(|line| line.ends_with(" appraise_type=imasig")), "{policy:?}");
    }
    // Nobody has it who did not ask for it.
    let folder = tempfile::tempdir().unwrap();
    let product = folder.path().join("product.yaml");
    fs::write(&product, EXAMPLE).unwrap();
    let without = spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(!without.linux.symbols.contains_key("IMA"));
}

/// A folder with a program of the layer, its places changed.
struct Device {
    folder: tempfile::TempDir,
}

impl Device {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn stub(&self, name: &str, body: &str) {
        let path = self.path("stubs").join(name);
        fs::create_dir_all(self.path("stubs")).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, script: &str) -> (String, Option<i32>) {
        let own = script
            .replace("/sys/kernel/security/ima/policy", &self.path("policy").display().to_string())
            .replace("-p /run fastness-exec", &format!("-p {} place", self.folder.path().display()));
        fs::write(self.path("script"), own).unwrap();
        let places =
            format!("{}:{}", self.path("stubs").display(), std::env::var("PATH").unwrap_or_default());
        let out = Command::new("sh").arg(self.path("script")).env("PATH", places).output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), out.status.code())
    }
}

#[test]
fn the_policy_is_loaded_once() {
    let device = Device { folder: tempfile::tempdir().unwrap() };
    let plan = plan("debian");
    let program = content(&plan, "/usr/lib/fastness/exec-policy");
    fs::write(device.path("policy"), "").unwrap();
    assert_eq!(device.run(program), (String::new(), Some(0)));
    assert_eq!(fs::read_to_string(device.path("policy")).unwrap(), "/etc/ima/ima-policy\n");
    // What a systemd with IMA loaded stays.
    fs::write(device.path("policy"), POLICY).unwrap();
    assert_eq!(device.run(program), (String::new(), Some(0)));
    assert_eq!(fs::read_to_string(device.path("policy")).unwrap(), POLICY);
    // A kernel without IMA is told.
    fs::remove_file(device.path("policy")).unwrap();
    let missing = program.replace("/sys/kernel/security/ima/policy", "/sys/no/such/policy");
    assert_ne!(device.run(&missing).1, Some(0));
}

#[test]
fn a_program_that_runs_outside_of_the_root_and_another_policy_are_found() {
    let plan = plan("debian");
    let check = content(&plan, "/usr/lib/fastness/selfcheck.d/self.exec-policy");
    let device = Device { folder: tempfile::tempdir().unwrap() };
    device.stub("mount", "exit 0");
    device.stub("umount", "rm -f \"$1\"/*");
    fs::write(device.path("policy"), POLICY).unwrap();
    // This machine has no such policy: the copied program runs.
    assert_eq!(device.run(check), ("a program in memory that may be run ran".to_owned(), Some(1)));
    // What the kernel refuses, as a file that is no program stands for it.
    device.stub("cp", "echo no program >\"$2\"");
    let (said, code) = device.run(check);
    assert_eq!((said.contains("was refused"), code), (true, Some(0)), "{said}");
    let left = fs::read_dir(device.folder.path()).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| Path::new(name).starts_with("place")), "{names:?}");
    for line in POLICY.lines() {
        fs::write(device.path("policy"), POLICY.replace(&format!("{line}\n"), "")).unwrap();
        let (said, code) = device.run(check);
        assert_eq!(
            (said, code),
            (format!("the policy in force has not the rule `{}`", line.trim()), Some(1))
        );
    }
}
