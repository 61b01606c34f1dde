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

/// The lines that bound the Modbus server's unit.
fn bounds(more: &str) -> Vec<String> {
    let folder = folder();
    let text = example().replacen("    uid: 200\n", &format!("    uid: 200\n{more}"), 1);
    let names = ["CPUQuota=", "IOWriteBandwidthMax=", "MemoryMax=", "TasksMax="];
    let plan = load(folder.path(), &text);
    let unit = content(&plan, "/etc/systemd/system/plc-modbus.service");
    unit.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect()
}

#[test]
fn a_program_is_bounded_whether_the_product_says_how_or_not() {
    assert_eq!(bounds(""), ["CPUQuota=80%", "IOWriteBandwidthMax=/var 8M", "MemoryMax=50%", "TasksMax=64"]);
    assert_eq!(
        bounds("    memory: 32MiB\n    cpu: 25%\n    tasks: 4\n"),
        ["CPUQuota=25%", "IOWriteBandwidthMax=/var 8M", "MemoryMax=33554432", "TasksMax=4"]
    );
    for cpu in ["0%", "100%"] {
        says(
            "    uid: 200\n",
            &format!("    uid: 200\n    cpu: {cpu}\n"),
            "application-bounds",
            &format!("expected `cpu` of `plc-modbus` from 1% to 99%, found {cpu}"),
            "is not bounded",
        );
    }
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
    let text = text
        .replace("    packages: [libopen62541-1.4]\n    elsewhere: [plc-opcua]\n", "")
        .replace("    packages: [libmodbus5]\n    elsewhere: [plc-modbus]\n", "");
    let found = refused(&text);
    assert!(found[0].hint.as_deref().unwrap_or_default().contains("`elsewhere: [NAME]` names a package"));
    assert_eq!(
        (found[0].code.as_str(), found[0].message.as_str()),
        (
            "program-elsewhere",
            "`plc-opcua` brings a file that was built for Debian, and the backend is `buildroot`: its libraries are others"
        )
    );
}

/// The example as it is shipped, for the build systems that build its programs themselves; nothing of it is built here.
fn shipped() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/plc-gateway");
    for part in
        ["apps", "buildroot/packages", "buildroot/package/plc-modbus", "yocto/packages", "yocto/recipes"]
    {
        let to = folder.path().join(part);
        std::fs::create_dir_all(&to).expect("a folder");
        for entry in std::fs::read_dir(example.join(part)).expect("the example") {
            let entry = entry.expect("an entry");
            if entry.path().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
            }
        }
    }
    folder
}

/// The example's Modbus server alone.
fn modbus() -> String {
    let (before, rest) = APPLICATIONS.split_once("  plc-opcua:\n").expect("the OPC UA server");
    let (_, modbus) = rest.split_once("  plc-modbus:\n").expect("the Modbus server");
    format!("{EXAMPLE}{before}  plc-modbus:\n{modbus}")
}

#[test]
fn another_build_system_builds_the_program_from_the_same_source_under_the_same_unit() {
    let folder = shipped();
    let place = self::folder();
    let debian = load(place.path(), &example());
    let source = include_str!("../../../examples/plc-gateway/apps/plc-modbus.c");
    let buildroot = load(folder.path(), &format!("backend: buildroot\n{}", modbus()));
    let yocto = load(folder.path(), &format!("backend: yocto\n{}", example()));
    for (plan, services) in [(&buildroot, &["modbus"][..]), (&yocto, &["modbus", "opcua"][..])] {
        assert!(!plan.files.values().any(|file| matches!(file.value, FilePlan::Program { .. })));
        let unit = "/etc/systemd/system/plc-modbus.service";
        assert_eq!(content(plan, unit), content(&debian, unit), "{}", plan.backend);
        assert_eq!(plan.users["plc-modbus"].value, debian.users["plc-modbus"].value);
        assert_eq!(plan.units["plc-modbus.service"].value, UnitState::Enabled);
        // It serves all the same, and nothing is known that could read a node.
        assert_eq!(plan.proof.served, services);
        assert!(plan.proof.readers.is_empty());
    }
    let facts = buildroot.buildroot.expect("facts");
    let files = &facts.packages["plc-modbus"];
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["Config.in", "plc-modbus.hash", "plc-modbus.mk", "src/LICENSE", "src/plc-modbus.c"]);
    assert_eq!(files["src/plc-modbus.c"], source);
    assert_eq!(facts.symbols.symbols["BR2_PACKAGE_PLC_MODBUS"].origins[0].who, "application plc-modbus");
    let facts = yocto.yocto.expect("facts");
    assert_eq!(facts.recipes["plc-modbus"]["files/src/plc-modbus.c"], source);
    assert!(facts.recipes["plc-opcua"]["plc-opcua.bb"].contains("DEPENDS = \"open62541 mbedtls\""));
    assert!(facts.install.contains_key("plc-modbus") && facts.install.contains_key("plc-opcua"));
}

#[test]
fn sources_that_are_none_are_refused_with_their_line() {
    let listed = "sources: [apps/plc-modbus.c, apps/LICENSE]";
    for (backend, own) in [("buildroot", "own: plc-modbus\n"), ("yocto", "own: plc-modbus\n")] {
        for (list, code, message) in [
            ("sources: [apps/none.c]", "missing-source", "expected the source `apps/none.c`, found none"),
            (
                "sources: [apps/bytes]",
                "not-utf8",
                "expected a source in UTF-8 at `apps/bytes`, found other bytes",
            ),
            ("sources: [apps/key.h]", "secret-in-image", "`apps/key.h` holds a private key"),
            (
                "sources: [apps/plc-modbus.c, more/plc-modbus.c]",
                "two-sources",
                "two sources are called `plc-modbus.c`",
            ),
            ("sources: [../product.yaml]", "wrong-type", "expected a path"),
            (
                "",
                "unused-sources",
                "`apps/plc-modbus.c` is for a package of the product's own, and `own` names none",
            ),
        ] {
            let folder = shipped();
            let write = |path: &str, content: &[u8]| {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                std::fs::write(path, content).expect("written");
            };
            write("apps/bytes", b"\x7fELF\xff");
            write("apps/key.h", b"-----BEGIN EC PRIVATE KEY-----\n");
            write("more/plc-modbus.c", b"\n");
            let file = format!("{backend}/packages/plc-modbus.yaml");
            let text = std::fs::read_to_string(folder.path().join(&file)).expect("the example's");
            let text = if list.is_empty() { text.replace(own, "") } else { text.replace(listed, list) };
            write(&file, text.as_bytes());
            let failure = load_in(folder.path(), &format!("backend: {backend}\n{}", modbus()));
            let failure = failure.expect_err(code);
            assert_eq!(failure.status, diag::ExitStatus::Input);
            let found = failure.diagnostics.iter().find(|d| d.code == code);
            let found = found.unwrap_or_else(|| panic!("no `{code}` in {failure}"));
            assert!(found.message.contains(message), "{failure}");
            let at = found.location.as_ref().expect("a place");
            assert!(at.file.ends_with("plc-modbus.yaml") && at.line > 0, "{failure}");
        }
    }
    let folder = shipped();
    let recipe = folder.path().join("yocto/recipes/plc-modbus.bb");
    let text = std::fs::read_to_string(&recipe).expect("the example's");
    std::fs::write(&recipe, text.replace("LICENSE = \"MIT\"", "")).expect("written");
    let yocto = format!("backend: yocto\n{}", modbus());
    let said = load_in(folder.path(), &yocto).expect_err("no licence").to_string();
    assert!(said.contains("`yocto/recipes/plc-modbus.bb` sets no `LICENSE`"), "{said}");
    std::fs::remove_file(&recipe).expect("removed");
    let said = load_in(folder.path(), &yocto).expect_err("no recipe").to_string();
    assert!(said.contains("expected `yocto/recipes/plc-modbus.bb`, found no such file"), "{said}");
}
