//! The product's own programs: what they bring, and what is refused.

#[path = "common/network.rs"]
mod network;

use std::path::Path;

use network::{EXAMPLE, content, load_in};
use spec::plan::{FilePlan, Plan, UnitState};

const APPLICATIONS: &str = include_str!("../../../examples/plc-gateway/apps/applications.yaml");

/// A folder with the two programs, as the example builds them.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("apps/bin/arm64");
    std::fs::create_dir_all(&place).expect("a folder");
    for name in ["plc-opcua", "plc-modbus", "opcua-read"] {
        std::fs::write(place.join(name), [b"\x7fELF\xff\0", name.as_bytes()].concat()).expect("written");
    }
    folder
}

fn example() -> String {
    format!("{EXAMPLE}{APPLICATIONS}")
}

#[track_caller]
fn load(folder: &Path, text: &str) -> Plan {
    load_in(folder, text).unwrap_or_else(|failure| panic!("{failure}"))
}

/// The example with one text replaced, and the one thing that must be said.
#[track_caller]
fn says(from: &str, to: &str, code: &str, message: &str, hint: &str) {
    let text = example();
    assert!(text.contains(from), "the example has no `{from}`");
    let folder = folder();
    let failure = match load_in(folder.path(), &text.replacen(from, to, 1)) {
        Ok(_) => panic!("accepted"),
        Err(failure) => failure,
    };
    let [one] = failure.diagnostics.as_slice() else { panic!("{:#?}", failure.diagnostics) };
    assert_eq!((one.code.as_str(), one.message.as_str()), (code, message));
    assert!(one.hint.as_deref().unwrap_or_default().contains(hint), "hint: {:?}", one.hint);
    assert!(one.location.as_ref().is_some_and(|at| at.file.ends_with("product.yaml") && at.line > 100));
}

#[test]
fn a_program_comes_with_its_packages_account_and_sandboxed_unit() {
    let folder = folder();
    let plan = load(folder.path(), &example());
    let file = &plan.files["/usr/bin/plc-opcua"];
    let FilePlan::Program { mode, owner, sha256, .. } = &file.value else { panic!("{file:?}") };
    assert_eq!((mode.as_str(), owner.as_str(), sha256.len()), ("0755", "root", 64));
    assert_eq!(file.value.bytes().as_deref(), Some(&b"\x7fELF\xff\0plc-opcua"[..]));
    assert_eq!(
        (file.origins[0].who.as_str(), file.origins[0].file.as_str()),
        ("application plc-opcua", "product.yaml")
    );
    assert!(plan.packages.contains_key("libopen62541-1.4") && plan.packages.contains_key("libmodbus5"));
    assert_eq!(plan.units["plc-modbus.service"].value, UnitState::Enabled);
    assert_eq!(
        (plan.users["plc-modbus"].value.uid, plan.users["plc-modbus"].value.shell.as_str()),
        (200, "/usr/sbin/nologin")
    );
    assert!(!plan.users.contains_key("plc-opcua"));
    let opcua = content(&plan, "/etc/systemd/system/plc-opcua.service");
    for line in [
        "ExecStart=/usr/bin/plc-opcua /etc/opcua/plc.conf",
        "User=opcua",
        "CapabilityBoundingSet=",
        "ConditionPathExists=/var/lib/fastness/opcua/plc/own/private/application.pem",
        "ProtectSystem=strict",
        "Requires=nftables.service",
    ] {
        assert!(opcua.lines().any(|found| found == line), "{line}\n{opcua}");
    }
    let modbus = content(&plan, "/etc/systemd/system/plc-modbus.service");
    assert!(
        modbus.contains("AmbientCapabilities=CAP_NET_BIND_SERVICE\n") && modbus.contains("User=plc-modbus\n")
    );
    // The plan is whole: what it is written to reads back the same.
    let text = serde_json::to_string(&plan).expect("JSON");
    assert_eq!(serde_json::from_str::<Plan>(&text).expect("a plan"), plan);
    assert!(!text.contains(folder.path().to_str().expect("text")), "no path of this machine");
}

#[test]
fn a_reader_for_the_proof_is_in_the_plan_and_not_in_the_image() {
    let folder = folder();
    let plan = load(folder.path(), &example());
    assert_eq!(plan.proof.served, ["modbus", "opcua"]);
    let reader = &plan.proof.readers["plc"];
    assert_eq!(reader.node, "pressure");
    assert_eq!(reader.program().as_deref(), Ok(&b"\x7fELF\xff\0opcua-read"[..]));
    let inside =
        plan.files.values().any(|file| file.value.bytes().as_deref() == Some(b"\x7fELF\xff\0opcua-read"));
    assert!(!inside, "the reader is in the image");
    // Without programs the plan says nothing of them.
    let without = load(folder.path(), EXAMPLE);
    assert!(without.proof.is_empty());
    assert!(!serde_json::to_string(&without).expect("JSON").contains("\"proof\""));
}

#[test]
fn a_reader_that_is_missing_or_of_no_server_is_refused() {
    says(
        "bin/{{board.architecture}}/opcua-read",
        "bin/none",
        "missing-program",
        "expected the file `apps/bin/none` of `plc-opcua`, found none",
        "build it first",
    );
    for (from, to) in
        [("proof: {opcua: plc,", "proof: {opcua: plx,"), ("services: [opcua]", "services: [modbus]")]
    {
        let found = if to.contains("plx") { "plx" } else { "plc" };
        says(
            from,
            to,
            "unknown-server",
            &format!(
                "expected an OPC UA server of the product whose service is one of `plc-opcua`, found `{found}`"
            ),
            "plc",
        );
    }
}

#[test]
fn a_file_that_is_missing_other_or_outside_is_refused() {
    let source = "apps/bin/{{board.architecture}}/plc-modbus";
    says(
        source,
        "apps/bin/nothing",
        "missing-program",
        "expected the file `apps/bin/nothing` of `plc-modbus`, found none",
        "build it first",
    );
    says(
        "path: /usr/bin/plc-modbus}",
        &format!("path: /usr/bin/plc-modbus, sha256: {}}}", "0a".repeat(32)),
        "wrong-program",
        &format!(
            "`apps/bin/arm64/plc-modbus` has the SHA-256 `{}`, and the product says `{}`",
            record::sha256_hex(b"\x7fELF\xff\0plc-modbus"),
            "0a".repeat(32)
        ),
        "write its SHA-256",
    );
    let folder = folder();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).expect("a link");
    let failure = load_in(folder.path(), &example().replacen(source, "link", 1)).expect_err("leads out");
    assert_eq!(failure.diagnostics[0].code, "path-escape");
    for path in ["../plc", "/etc/passwd", "a/../b", "a//b"] {
        let failure = load_in(folder.path(), &example().replacen(source, path, 1)).expect_err(path);
        assert!(
            failure.diagnostics[0].message.starts_with("expected a path below the product's folder"),
            "{failure}"
        );
    }
}

#[test]
fn a_private_key_in_a_program_is_refused() {
    let folder = folder();
    let key = b"\x7fELF\0\xff-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    std::fs::write(folder.path().join("apps/bin/arm64/plc-modbus"), key).expect("written");
    let failure = load_in(folder.path(), &example()).expect_err("a key");
    assert_eq!(failure.diagnostics[0].code, "secret-in-image");
}

#[test]
fn nobody_runs_as_root_or_as_two() {
    let hint = "give it a `uid`";
    says("account: opcua", "account: root", "application-account", "`plc-opcua` would run as root", hint);
    says(
        "account: opcua",
        "account: opcua\n    uid: 201",
        "application-account",
        "`plc-opcua` runs as `opcua` and has a `uid` of its own",
        "take one of the two away",
    );
    says(
        "    uid: 200\n",
        "",
        "application-account",
        "expected `uid` or `account` for `plc-modbus`, found neither",
        "write `uid: 200`",
    );
    says(
        "    uid: 200\n",
        "    uid: 1200\n",
        "uid-range",
        "expected a uid below 1000 for a service, found `1200`",
        "",
    );
    says(
        "account: opcua",
        "account: opcau",
        "unknown-owner",
        "`plc-opcua` runs as `opcau`, which does not exist",
        "did you mean `opcua`?",
    );
}

#[test]
fn a_command_is_a_path_and_a_service_is_reached() {
    says(
        "command: [/usr/bin/plc-opcua,",
        "command: [plc-opcua,",
        "wrong-type",
        "expected the path of a program first in `command`, found `plc-opcua`",
        "write `/usr/bin/…`",
    );
    says(
        "services: [modbus]",
        "services: [drives]",
        "unreachable-service",
        "no conduit leads to the service `drives` of `plc-modbus`",
        "add a conduit",
    );
}

#[test]
fn what_was_built_for_debian_does_not_go_into_another_image() {
    let text = format!("backend: buildroot\n{}", example());
    let folder = folder();
    let refused = |text: &str| load_in(folder.path(), text).expect_err("built for Debian").diagnostics;
    let codes: Vec<String> = refused(&text).into_iter().map(|d| d.code).collect();
    assert_eq!(codes, ["unmapped-package", "unmapped-package"]);
    let text =
        text.replace("    packages: [libopen62541-1.4]\n", "").replace("    packages: [libmodbus5]\n", "");
    let found = refused(&text);
    assert_eq!(
        (found[0].code.as_str(), found[0].message.as_str()),
        (
            "program-elsewhere",
            "`plc-opcua` brings a file that was built for Debian, and the backend is `buildroot`: its libraries are others"
        )
    );
}
