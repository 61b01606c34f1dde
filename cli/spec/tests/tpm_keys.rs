//! The tunnels' key in the device's TPM: what it switches on, and what is refused.

use spec::Choice;
use spec::library::Library;
use spec::plan::{FilePlan, Plan};
use spec::product::Backend;

const EXAMPLE: &str = include_str!("../../../examples/feeder-terminal/product.yaml");

/// The example with its tunnel of strongSwan alone.
fn alone() -> String {
    let without = |text: &str, from: &str, to: &str| {
        let (before, rest) = text.split_once(from).expect(from);
        let (_, after) = rest.split_once(to).expect(to);
        format!("{before}{to}{after}")
    };
    without(
        &without(EXAMPLE, "  history:\n", "\nconduits:\n"),
        "  - name: archive\n",
        "  - name: maintenance\n",
    )
}

/// The plan of a changed product, [`alone`] for most.
fn load(change: impl FnOnce(String) -> String, backend: Option<Backend>) -> Result<Plan, diag::Failure> {
    load_text(change(alone()), backend)
}

fn load_text(text: String, backend: Option<Backend>) -> Result<Plan, diag::Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, text).expect("written");
    spec::load_as(&Library::built_in(None), &product, None, Choice { backend, ..Choice::default() })
}

fn content(plan: &Plan, path: &str) -> String {
    match &plan.files[path].value {
        FilePlan::File { content, .. } => content.clone(),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn a_key_in_the_tpm_switches_everything_on() {
    let plan = load(|text| text, None).unwrap_or_else(|failure| panic!("{failure}"));
    let key = plan.network.tpm.as_ref().expect("a key");
    assert_eq!(
        (key.handle.as_str(), key.index.as_str(), key.names.as_slice()),
        ("81004653", "01804653", &["feeder-terminal.grid.example".to_owned()][..])
    );
    assert!(plan.network.strongswan_in_tpm && key.openvpn.is_empty());
    assert!(plan.network.tunnels["control"].in_tpm);
    let tunnels = content(&plan, "/etc/swanctl/swanctl.conf");
    assert!(tunnels.contains("secrets {\n\ttoken-device {\n\t\thandle = 81004653\n\t}\n}\n"), "{tunnels}");
    let daemon = content(&plan, "/etc/strongswan.conf");
    assert!(
        daemon.contains(" pubkey tpm kernel-netlink ") && daemon.contains("opts = /dev/tpmrm0"),
        "{daemon}"
    );
    let unit = content(&plan, "/etc/systemd/system/strongswan.service");
    for line in [
        "Requires=fastness-tpm-key.service",
        "ConditionPathExists=/var/lib/fastness/ipsec/x509/device.pem",
        "DevicePolicy=closed",
        "DeviceAllow=/dev/tpmrm0 rw",
    ] {
        assert!(unit.lines().any(|found| found == line), "no `{line}` in\n{unit}");
    }
    assert!(content(&plan, "/usr/lib/fastness/tpm-key").contains("\nnames='feeder-terminal.grid.example'\n"));
    assert!(plan.packages.contains_key("libtss2-tcti-device0t64"));
    assert!(plan.checks.contains_key("id.hw-keystore") && plan.checks.contains_key("self.tpm-key"));
    // The machine has a TPM, which U-Boot does not use.
    let qemu = plan.board.qemu.as_ref().expect("a machine");
    assert!(qemu.machine_arguments().contains(&"tpm-tis-device,tpmdev=tpm".to_owned()));
    assert_eq!(plan.uboot.symbols["TPM"].value, "n");
}

/// One policy: what the device does with its TPM is the same, whatever built it.
#[test]
fn every_backend_has_the_same_files_and_checks_and_packages_of_its_own() {
    let of =
        |backend| load_text(EXAMPLE.to_owned(), Some(backend)).unwrap_or_else(|failure| panic!("{failure}"));
    let debian = of(Backend::Debian);
    for backend in [Backend::Buildroot, Backend::Yocto] {
        let plan = of(backend);
        for path in [
            "/usr/lib/fastness/tpm-key",
            "/etc/systemd/system/fastness-tpm-key.service",
            "/etc/systemd/system/strongswan.service",
            "/etc/systemd/system/openvpn-history.service",
            "/etc/strongswan.conf",
            "/etc/swanctl/swanctl.conf",
            "/etc/openvpn/history.conf",
        ] {
            assert_eq!(content(&plan, path), content(&debian, path), "{path} of {}", plan.backend);
        }
        for check in ["id.hw-keystore", "ipsec.hw-key", "openvpn.hw-key.history", "self.tpm-key"] {
            assert_eq!(plan.checks[check].value, debian.checks[check].value, "{}", plan.backend);
        }
        for symbol in ["TCG_TPM", "TCG_TIS"] {
            assert_eq!(plan.linux.symbols[symbol].value, "y", "{}", plan.backend);
        }
        for (name, of_debian) in
            [("tpm2-tss", "libtss2-tcti-device0t64"), ("strongswan-tpm", "libstrongswan-extra-plugins")]
        {
            let origin = &plan.packages[name].origins[0];
            assert!(origin.file.ends_with("-keys/layer.yaml") || origin.file.ends_with("-tpm/layer.yaml"));
            assert!(!plan.packages.contains_key(of_debian) && debian.packages.contains_key(of_debian));
        }
        // Who may open the TPM is root's alone to say, and nothing speaks with another TPM.
        for path in ["/usr/lib/udev/rules.d/*tpm-udev.rules", "/usr/lib/libtss2-tcti-swtpm.so*"] {
            assert!(plan.removals.contains_key(path), "{path} of {}", plan.backend);
        }
    }
}

/// Its provider for OpenSSL is too old, and strongSwan needs none.
#[test]
fn a_series_without_the_provider_has_the_key_for_strongswan_alone() {
    let plan = load(|text| text + "yocto: {series: scarthgap}\n", Some(Backend::Yocto));
    let plan = plan.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(plan.network.strongswan_in_tpm && plan.packages.contains_key("strongswan-tpm"));
    for series in ["2025.02", "2026.02", "2026.05"] {
        let text = EXAMPLE.replace(", ml_kem: true", "") + &format!("buildroot: {{series: \"{series}\"}}\n");
        let plan = load_text(text, Some(Backend::Buildroot)).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(plan.packages.contains_key("tpm2-openssl"), "{series}");
    }
}

#[test]
fn without_it_the_key_is_a_file_and_nothing_opens_a_tpm() {
    for place in ["", ", key: file"] {
        let plan = load(|text| text.replace(", key: tpm", place), None);
        let plan = plan.unwrap_or_else(|failure| panic!("{failure}"));
        assert!(plan.network.tpm.is_none() && !plan.network.tunnels["control"].in_tpm);
        assert!(!content(&plan, "/etc/swanctl/swanctl.conf").contains("secrets"));
        assert!(!content(&plan, "/etc/strongswan.conf").contains("tpm"));
        let unit = content(&plan, "/etc/systemd/system/strongswan.service");
        assert!(unit.contains("private/device.pem") && !unit.contains("tpm"), "{unit}");
        assert!(!plan.packages.contains_key("libstrongswan-extra-plugins"));
        assert!(plan.board.qemu.as_ref().is_some_and(|qemu| qemu.tpm.is_none()));
    }
}

#[test]
fn a_tpm_for_the_key_goes_with_one_for_a_rollback_version() {
    let plan = load(|text| text + "signing: {rollback_version: 1}\n", None);
    let plan = plan.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.uboot.symbols["TPM"].value, "y");
    assert!(plan.network.tpm.is_some());
}

/// The tunnel is one of OpenVPN.
fn openvpn(text: String) -> String {
    text.replace("kind: strongswan", "kind: openvpn")
        .replace("192.0.2.60, networks: [203.0.113.0/25]", "192.0.2.60, inner: 10.8.0.1")
        .replacen("key: tpm", "inner: 10.8.0.2/30, key: tpm", 1)
}

/// Both tunnels, with what that of OpenVPN says of the device.
fn history(local: &str) -> String {
    let own = "name: feeder-terminal.grid.example, inner: 10.8.0.2/30, key: tpm";
    assert!(EXAMPLE.contains(own));
    EXAMPLE.replace(own, &format!("inner: 10.8.0.2/30, {local}"))
}

#[test]
fn openvpn_signs_by_the_tpm_and_nothing_of_strongswan_is_there() {
    let plan = load(openvpn, None).unwrap_or_else(|failure| panic!("{failure}"));
    let key = plan.network.tpm.as_ref().expect("a key");
    assert!(!plan.network.strongswan_in_tpm && key.openvpn == ["control"], "{key:?}");
    assert_eq!(key.names, ["feeder-terminal.grid.example"]);
    let tunnel = content(&plan, "/etc/openvpn/control.conf");
    for line in [
        "providers default tpm2",
        "key /run/fastness-tpm-key/key.pem",
        "cert /var/lib/fastness/openvpn/control/device.pem",
        "user openvpn",
    ] {
        assert!(tunnel.lines().any(|found| found == line), "no `{line}` in\n{tunnel}");
    }
    assert!(!tunnel.contains("device.key"), "{tunnel}");
    let unit = content(&plan, "/etc/systemd/system/openvpn-control.service");
    for line in [
        "Requires=fastness-tpm-key.service",
        "ConditionPathExists=/var/lib/fastness/openvpn/control/device.pem",
        "DevicePolicy=closed",
        "DeviceAllow=/dev/net/tun rw",
        "DeviceAllow=/dev/tpmrm0 rw",
        "Environment=TPM2OPENSSL_TCTI=device:/dev/tpmrm0",
        "CapabilityBoundingSet=CAP_NET_ADMIN CAP_SETGID CAP_SETPCAP CAP_SETUID",
    ] {
        assert!(unit.lines().any(|found| found == line), "no `{line}` in\n{unit}");
    }
    let program = content(&plan, "/usr/lib/fastness/tpm-key");
    assert!(program.contains("\nstrongswan=\n") && program.contains("\ntunnels='control'\n"), "{program}");
    let service = content(&plan, "/etc/systemd/system/fastness-tpm-key.service");
    assert!(service.lines().any(|line| line.trim_end() == "Before=openvpn-control.service"), "{service}");
    assert!(plan.packages.contains_key("tpm2-openssl") && plan.checks.contains_key("openvpn.hw-key.control"));
    assert!(!plan.packages.contains_key("libstrongswan-extra-plugins"));
    assert!(!plan.checks.contains_key("ipsec.hw-key") && plan.checks.contains_key("id.hw-keystore"));
}

#[test]
fn both_kinds_of_tunnels_have_one_key_and_one_certificate() {
    let plan = load_text(EXAMPLE.to_owned(), None).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.network.tpm.as_ref().expect("a key").names, ["feeder-terminal.grid.example"]);
    let plan = load_text(history("name: history.feeder.example, key: tpm"), None);
    let plan = plan.unwrap_or_else(|failure| panic!("{failure}"));
    let key = plan.network.tpm.as_ref().expect("a key");
    assert!(plan.network.strongswan_in_tpm && key.openvpn == ["history"], "{key:?}");
    // The common name is that of OpenVPN's tunnel, which is what its peer compares.
    assert_eq!(key.names, ["history.feeder.example", "feeder-terminal.grid.example"]);
    assert!(plan.checks.contains_key("ipsec.hw-key") && plan.checks.contains_key("openvpn.hw-key.history"));
}

#[test]
fn a_file_is_left_to_the_other_kind_of_tunnel() {
    for of_other in ["name: feeder-terminal.grid.example", "name: feeder-terminal.grid.example, key: file"] {
        let plan = load_text(history(of_other), None).unwrap_or_else(|failure| panic!("{failure}"));
        let key = plan.network.tpm.as_ref().expect("a key");
        assert!(plan.network.strongswan_in_tpm && key.openvpn.is_empty(), "{key:?}");
        assert!(content(&plan, "/etc/openvpn/history.conf").contains("/history/device.key\n"));
        let unit = content(&plan, "/etc/systemd/system/openvpn-history.service");
        assert!(!unit.to_lowercase().contains("tpm"), "{unit}");
        assert!(!plan.packages.contains_key("tpm2-openssl"));
    }
}

/// What the image's check wants strongSwan to load is what it loads, whosever key is in the TPM.
#[test]
fn who_asks_a_responder_loads_the_plugin_only_for_its_own_key() {
    let own = "{name: feeder-terminal.grid.example, key: tpm}";
    assert!(EXAMPLE.contains(own));
    let asks = |text: String| {
        text.replacen("services:\n", "services:\n  status: {transport: tcp, port: 2560}\n", 1).replacen(
            "conduits:\n",
            "conduits:\n  - {name: status, from: device, to: uplink, service: status, peers: [192.0.2.40/32], reason: revoked ones}\n",
            1,
        ) + "ocsp: {address: 192.0.2.40, service: status}\n"
    };
    for (text, loads) in
        [(EXAMPLE.to_owned(), true), (EXAMPLE.replace(own, "{name: feeder-terminal.grid.example}"), false)]
    {
        let plan = load_text(asks(text), None).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(plan.network.tpm.is_some());
        let daemon = content(&plan, "/etc/strongswan.conf");
        let line = daemon.lines().find(|line| line.contains("load = ")).expect("a line").trim();
        assert_eq!(line.contains(" tpm "), loads, "{line}");
        let check = plan.checks["ocsp.asked"].value.with.to_string();
        assert!(check.contains(&format!("\"{line}\"")), "{check}");
    }
}

/// Two tunnels of OpenVPN, the first of which has its key in the TPM.
fn two_of_openvpn(second: &str) -> String {
    openvpn(history(second)).replacen("inner: 10.8.0.1}", "inner: 10.8.1.1}", 1).replacen(
        "inner: 10.8.0.2/30",
        "inner: 10.8.1.2/30",
        1,
    )
}

/// A second tunnel of strongSwan whose key is a file.
fn second(text: String) -> String {
    let tunnel = "  other:\n    kind: strongswan\n    zone: uplink\n    peer: {name: x.grid.example, address: 192.0.2.61, networks: [198.51.100.0/25]}\n    reason: Another\n";
    text.replace("\nconduits:", &format!("{tunnel}\nconduits:"))
}

#[test]
fn what_cannot_keep_a_key_says_so_with_its_line() {
    let board = |text: String| text.replace("boards: [qemu-aarch64]", "boards: [rpi-4]");
    let unused = |text: String| text.replace(", key: tpm", "") + "layers: {tpm-keys: {}}\n";
    let word = |text: String| text.replace("key: tpm", "key: token");
    let wireguard = |text: String| {
        text.replace("kind: strongswan", "kind: wireguard")
            .replace("192.0.2.60, networks: [203.0.113.0/25]", "192.0.2.60, inner: 10.8.0.1")
            .replace("key: tpm", "inner: 10.8.0.2/30, key: tpm")
    };
    let unused_openvpn = |text: String| text + "layers: {openvpn-tpm: {}}\n";
    let file = two_of_openvpn("name: feeder-terminal.grid.example");
    let names = two_of_openvpn("name: history.feeder.example, key: tpm");
    let line = |needle: &str| 1 + EXAMPLE.lines().position(|line| line.contains(needle)).expect(needle);
    let at_key = line("key: tpm");
    for (failure, code, message, at) in [
        (load(board, None), "no-tpm", "has no TPM that could keep a key", at_key),
        (
            load(unused, None),
            "unused-layer",
            "the layer `tpm-keys` is for tunnels whose key is in the TPM",
            0,
        ),
        (load(unused_openvpn, None), "unused-layer", "the layer `openvpn-tpm` is for tunnels whose key", 0),
        (load(word, None), "wrong-type", "found `token`", at_key),
        (
            load(wireguard, None),
            "tunnel-setting",
            "`local.key` is a setting of `strongswan` and `openvpn`, and this tunnel is `wireguard`",
            at_key,
        ),
        (load(second, None), "two-keys", "the key of the tunnel `other` is a file", 0),
        (
            load_text(file, None),
            "two-keys",
            "the key of the tunnel `history` is a file, and that of another tunnel of OpenVPN is in the TPM",
            0,
        ),
        (
            load_text(names, None),
            "two-names",
            "the device has another name in the tunnel `history` of OpenVPN than in `control`",
            0,
        ),
        (
            load_text(
                EXAMPLE.replace(", ml_kem: true", "") + "yocto: {series: scarthgap}\n",
                Some(Backend::Yocto),
            ),
            "not-in-series",
            "layer openvpn-tpm asks for the package `tpm2-openssl`, which the series `scarthgap` has not: ",
            0,
        ),
    ] {
        let failure = failure.expect_err(code);
        let found = failure.diagnostics.iter().find(|d| d.code == code);
        let found = found.unwrap_or_else(|| panic!("no `{code}` in {failure}"));
        assert!(found.message.contains(message), "{failure}");
        assert_eq!(failure.status, diag::ExitStatus::Input);
        let place = found.location.as_ref().expect("a place");
        assert!(at == 0 || place.line as usize == at, "{failure}");
    }
}

#[test]
fn a_handle_or_an_index_of_somebody_else_is_none_for_it() {
    for (own, other, message) in [
        ("0x81004653", "0x81804653", "expected a persistent handle of the TPM's owner, found `0x81804653`"),
        ("0x01804653", "0x01c04653", "expected an index of the TPM's owner, found `0x1c04653`"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let board = folder.path().join("boards/qemu-aarch64");
        std::fs::create_dir_all(&board).expect("made");
        let text = include_str!("../../../boards/qemu-aarch64/board.yaml").replace(own, other);
        std::fs::write(board.join("board.yaml"), text).expect("written");
        let product = folder.path().join("product.yaml");
        std::fs::write(&product, EXAMPLE).expect("written");
        let failure = spec::load(&product, None).expect_err("another one");
        let said = failure.to_string();
        assert!(said.contains(message) && said.contains("boards/qemu-aarch64/board.yaml:"), "{said}");
    }
}
