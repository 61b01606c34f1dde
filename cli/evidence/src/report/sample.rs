//! A small, whole input for the tests of the renderings.

use record::{AttackResult, BootRecord, Finding, ImageRecord, TrafficRecord};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spec::plan::Plan;

use super::ReportInput;

fn made<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the sample has the record's shape")
}

fn hash(pair: &str) -> String {
    pair.repeat(32)
}

fn asked(value: Value, who: &str, reason: &str) -> Value {
    json!({"value": value, "origins": [{"who": who, "file": "layers/sample/layer.yaml", "line": 12, "reason": reason}]})
}

/// All of it.
pub fn input() -> ReportInput {
    ReportInput {
        plan: Some(plan()),
        image: Some(image()),
        findings: findings(),
        boot: Some(boot()),
        traffic: Some(traffic()),
        attacks: attacks(),
    }
}

const CHECKS: [(&str, &str, &str, &str, &[&str]); 12] = [
    (
        "acct.no-default-password",
        "accounts",
        "No account has a password that works",
        "base",
        &["CR 1.1", "CR 1.5"],
    ),
    (
        "acct.unique-ids",
        "accounts",
        "Names and ids are unique, only root has uid 0",
        "base",
        &["CR 1.1", "CR 1.3"],
    ),
    (
        "boot.control-fdt-key",
        "control-fdt-key",
        "U-Boot requires the product's key",
        "verified-boot",
        &["NDR 3.12", "NDR 3.14"],
    ),
    (
        "boot.fit-signed",
        "fit-signed",
        "The FIT on the disk is signed",
        "verified-boot",
        &["NDR 3.14", "CR 3.4"],
    ),
    (
        "boot.verity-root",
        "verity-root",
        "The root file system has the signed root hash",
        "verity-root",
        &["CR 3.4", "NDR 3.14"],
    ),
    ("elf.hardening", "elf-hardening", "Every program is hardened", "base", &["CR 3.2"]),
    (
        "kern.cmdline",
        "kernel-cmdline",
        "The signed command line is hardened",
        "kernel-hardening",
        &["CR 7.7"],
    ),
    ("kern.config", "kconfig", "Every kernel symbol asked for was held", "kernel-hardening", &["CR 7.7"]),
    (
        "net.nft-policy",
        "nft-ruleset",
        "Accepted are exactly the product's flows",
        "firewall",
        &["CR 5.1", "NDR 5.2"],
    ),
    ("selfcheck.verity", "selfcheck", "dm-verity is active on the root", "selfcheck", &["CR 3.3"]),
    ("sshd.auth-methods", "key-value", "sshd takes keys only", "ssh", &["CR 1.1", "CR 1.5"]),
    ("sshd.root-login", "key-value", "root cannot log in over SSH", "ssh", &["CR 1.1"]),
];

/// A plan with one check of most kinds.
pub fn plan() -> Plan {
    let checks: serde_json::Map<String, Value> = CHECKS
        .iter()
        .map(|(id, kind, title, layer, requirements)| {
            let check = json!({"title": title, "layer": layer, "kind": kind, "with": null, "requirements": requirements});
            ((*id).to_owned(), asked(check, &format!("layer {layer}"), "sample"))
        })
        .collect();
    let flow = |name: &str,
                direction: &str,
                zone: &str,
                interface: &str,
                service: &str,
                transport: &str,
                port: u16| {
        json!({"name": name, "direction": direction, "zone": zone, "interfaces": [interface], "service": service,
               "transport": transport, "port": port, "peers_v4": ["192.0.2.0/28"], "peers_v6": [],
               "rate": "6/minute", "reason": "sample"})
    };
    made(json!({
        "schema_version": 1,
        "backend": "debian",
        "product": {"name": "cell-gateway", "version": "1.2.0", "description": "Gateway between a cell and the plant",
            "component_type": "NDR", "security_level": 2, "epoch": 1_767_225_600, "hostname": "gateway"},
        "board": {"name": "qemu-aarch64", "title": "QEMU virt, 64-bit Arm", "architecture": "arm64", "kernel_arch": "arm64",
            "cross_compile": "aarch64-linux-gnu-", "console": "ttyAMA0", "interfaces": ["eth0", "eth1"],
            "boot": {"fit_address": 0, "fit_bytes": 0, "kernel_address": 0, "fdt_address": 0,
                "block_interface": "virtio", "flash_bytes": 0},
            "algorithms": [], "paddings": [],
            "root_of_trust": "read-only boot flash (pflash unit 0); a real board uses its mask ROM and fuses",
            "qemu": {"program": "qemu-system-aarch64", "machine": "virt", "cpu": "cortex-a72", "cpus": 2, "memory_mib": 1024}},
        "debian": {"suite": "trixie", "mirror": null, "uboot_source": "u-boot", "linux_source": "linux"},
        "uboot": {"base": "x", "symbols": {}}, "linux": {"base": "x", "symbols": {}},
        "cmdline": [], "packages": {}, "files": {}, "removals": {}, "users": {}, "groups": {}, "units": {},
        "sysctl": {}, "modes": {},
        "network": {
            "zones": {
                "service": {"description": "Maintenance staff", "interfaces": ["eth0"]},
                "plant": {"description": "Plant network, historian and time", "interfaces": ["eth0"]},
                "cell": {"description": "PLCs and drives", "interfaces": ["eth1"]}},
            "interfaces": {
                "eth0": {"zone": "plant", "addresses": ["198.51.100.10/24"], "gateway": "198.51.100.1"},
                "eth1": {"zone": "cell", "addresses": ["192.0.2.1/24"], "gateway": null}},
            "flows": [flow("ssh-from-service", "in", "service", "eth0", "ssh", "tcp", 22),
                flow("ntp-to-plant", "out", "plant", "eth0", "ntp", "udp", 123),
                flow("syslog-to-plant", "out", "plant", "eth0", "syslog-tls", "tcp", 6514),
                flow("modbus-to-cell", "out", "cell", "eth1", "modbus", "tcp", 502)]},
        "signing": {"algorithm": "sha256,rsa3072", "padding": "pss", "key": "cell-gateway", "release": false},
        "storage": {"fit_bytes": 0, "root_bytes": 0, "data_bytes": 0, "zstd_level": 3},
        "checks": checks,
        "waivers": {
            "elf.hardening": asked(Value::Null, "product", "sample reason: one vendor library without canary"),
            "linux:INET_DIAG": asked(Value::Null, "product", "sample reason: ss is needed for support"),
            "linux:KSM": asked(Value::Null, "product", "sample reason: no longer needed")},
        "layers": []
    }))
}

/// The record of the image.
pub fn image() -> ImageRecord {
    let file = |name: &str, pair: &str, bytes: u64| json!({"path": format!("image/{name}"), "sha256": hash(pair), "bytes": bytes});
    let symbol = |component: &str, name: &str, asked: &str, found: &str, state: &str, why: &str| {
        json!({"component": component, "symbol": name, "asked": asked, "found": found,
               "asked_by": "layer kernel-hardening", "asked_at": "layers/kernel-hardening/layer.yaml:40",
               "state": state, "why": why})
    };
    made(json!({
        "schema_version": 1, "product": "cell-gateway", "version": "1.2.0", "board": "qemu-aarch64",
        "plan_sha256": hash("01"),
        "files": {"uboot": file("u-boot.bin", "5e", 812_032), "fit": file("fit.itb", "a7", 10_920_448),
            "rootfs-verity": file("rootfs.verity", "c3", 49_283_072), "disk": file("disk.img", "9d", 268_435_456)},
        "key_mark": "development", "key_name": "cell-gateway", "key_fingerprint": hash("b4"),
        "algorithm": "sha256,rsa3072", "padding": "pss", "verity_root_hash": hash("7f"), "verity_salt": hash("2c"),
        "verity_data_blocks": 11_872,
        "cmdline": "console=ttyAMA0 audit=1 slab_nomerge root=/dev/dm-0 rootfstype=squashfs ro",
        "partitions": [
            {"name": "fit_a", "guid": "0c9e0f0e-7c3c-8b4f-9d2a-5c1f4b7a9e10", "offset": 1_048_576, "bytes": 33_554_432, "sha256": hash("a7")},
            {"name": "root_a", "guid": "3a7c11d2-91b0-8e55-a0c4-77d0e6f2b801", "offset": 68_157_440, "bytes": 67_108_864, "sha256": hash("c3")}],
        "effective": [symbol("linux", "DEVMEM", "n", "n", "held", ""), symbol("linux", "STRICT_KERNEL_RWX", "y", "y", "held", ""),
            symbol("linux", "INET_DIAG", "n", "y", "waived", "sample reason: ss is needed for support"),
            symbol("uboot", "FIT_SIGNATURE", "y", "y", "held", ""), symbol("uboot", "LEGACY_IMAGE_FORMAT", "n", "n", "held", "")]
    }))
}

/// Static findings, one waived.
pub fn findings() -> Vec<Finding> {
    CHECKS
        .iter()
        .filter(|(_, kind, ..)| *kind != "selfcheck")
        .map(|(id, kind, title, layer, requirements)| {
            let waived = *id == "elf.hardening";
            let mut value = json!({
                "check": id, "title": title, "layer": layer, "requirements": requirements,
                "stage": if *kind == "kconfig" { "build" } else { "static" },
                "verdict": if waived { "waived" } else { "pass" },
                "expected": "what the layer asks", "seen": format!("what `{kind}` saw in the image"),
                "artefact_sha256": hash("9d"), "defined_at": format!("layers/{layer}/layer.yaml:31")});
            if *kind == "kconfig" {
                value["parts"] = json!([
                    {"id": "sample:KSM", "verdict": "pass", "expected": "unset", "seen": "unset"},
                    {"id": "sample:GCS", "verdict": "waived", "expected": "`y`", "seen": "unset", "waiver": "sample reason: no such core"}]);
            }
            if waived {
                value["waiver"] = json!("sample reason: one vendor library without canary");
            }
            made(value)
        })
        .collect()
}

/// A boot that passed.
pub fn boot() -> BootRecord {
    let at = |name: &str, ms: u64, text: &str| json!({"name": name, "line": {"ms": ms, "text": text}});
    made(json!({
        "schema_version": 1, "disk_sha256": hash("9d"), "uboot_sha256": hash("5e"), "passed": true,
        "summary": "reached the end of the self-check after 21.4 s, all passed",
        "timeline": [at("u-boot", 310, "U-Boot 2025.01"), at("fit-verified", 840, "sha256,rsa3072:cell-gateway+ OK"),
            at("kernel", 1_920, "Linux version 6.12"), at("verity", 4_310, "device-mapper: verity: sha256"),
            at("userspace", 6_900, "systemd[1]: Detected architecture arm64"), at("selfcheck", 21_400, "selfcheck-end pass")],
        "selfcheck": [{"event": "selfcheck", "check": "selfcheck.verity", "verdict": "pass", "seen": "root is dm-0, verity, restart on corruption"}],
        "console_log": "boot/console.log", "ms": 21_400
    }))
}

/// Probes on two interfaces, as the plan says.
pub fn traffic() -> TrafficRecord {
    let class = |class: &str, source: &str, target: &str, answered: &[&str]| {
        json!({"class": class, "source": source, "target": target, "probes": 65_535, "answered": answered,
               "verdict": "pass", "problems": []})
    };
    let interface = |name: &str, classes: Value| {
        json!({"interface": name, "classes": classes, "unasked": [], "tolerated": ["neighbour discovery: sample reason"],
               "pcap": format!("boot/{name}.pcap"), "ms": 27_500})
    };
    made(json!({
        "schema_version": 1, "disk_sha256": hash("9d"), "passed": true,
        "summary": "3 classes of probes on 2 interfaces: what answers is what the plan says",
        "interfaces": [
            interface("eth0", json!([class("tcp", "198.51.100.7", "198.51.100.10", &["tcp/22 accepts"]),
                class("icmp", "198.51.100.7", "198.51.100.10", &["icmp answers with type 0"])])),
            interface("eth1", json!([class("tcp", "192.0.2.7", "192.0.2.1", &[])]))]
    }))
}

/// Three refused attacks.
pub fn attacks() -> Vec<AttackResult> {
    let attack = |id: &str, title: &str, mutation: &str, stage: &str, line: &str, ms: u64| {
        json!({"attack": id, "title": title, "requirements": ["NDR 3.14"], "mutation": mutation,
            "expected_stage": stage, "expected_line": line, "outcome": "refused",
            "reason": format!("`{line}` on the console, and the device reset"),
            "evidence": [{"ms": 700, "text": "## Loading kernel (any) from FIT Image at 60000000 ..."},
                {"ms": 812, "text": format!("{line} error!")}],
            "console_log": format!("attacks/{id}/console.log"), "ms": ms})
    };
    made(json!([
        attack(
            "fit-other-key",
            "A FIT signed by another key",
            "the signature is made by a key that U-Boot does not know",
            "u-boot",
            "Verification failed for '<NULL>' hash node in 'conf' config node",
            1_640
        ),
        attack(
            "kernel-flipped-byte",
            "One byte of the kernel changed",
            "byte 4096 of the kernel's data is inverted",
            "u-boot",
            "Bad Data Hash",
            1_710
        ),
        attack(
            "verity-flipped-byte",
            "One byte of the root file system changed",
            "byte 1048576 of root_a is inverted",
            "kernel",
            "device-mapper: verity: data block 256 is corrupted",
            9_820
        ),
    ]))
}
