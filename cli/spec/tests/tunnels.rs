//! Tunnels with WireGuard, over IPv6 and with ML-KEM: what both ends get, and what nft, swanctl's and wg's own readers say of it.

#[path = "common/network.rs"]
mod network;

use std::path::Path;
use std::process::{Command, Output};

use network::{EXAMPLE, content, load, refused, says, with};
use spec::Choice;
use spec::library::Library;
use spec::plan::Plan;
use spec::product::Backend;

const PUMP: &str = include_str!("../../../examples/pump-station/product.yaml");
/// A public key whose private half is the first of RFC 7748, 6.1.
const KEY: &str = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

fn pump() -> Plan {
    load(PUMP).unwrap_or_else(|failure| panic!("{failure}"))
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|found| found.trim() == *line), "no `{line}` in\n{text}");
    }
}

fn trimmed(text: &str, line: &str) -> usize {
    text.lines().filter(|found| found.trim() == line).count()
}

#[test]
fn wireguard_has_one_peer_by_its_key_and_brings_no_secret() {
    let plan = pump();
    let tunnel = &plan.network.tunnels["readings"];
    assert_eq!(
        (tunnel.kind.as_str(), tunnel.device.as_deref(), tunnel.ports.as_slice()),
        ("wireguard", Some("wg2"), &[51820][..])
    );
    assert_eq!((tunnel.peer_key.as_deref(), tunnel.reqid), (Some(KEY), None));
    assert_eq!(tunnel.proposals, ["Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"], "nothing is negotiated");
    assert!(plan.layer("wireguard").is_some());
    let configuration = content(&plan, "/etc/wireguard/readings.conf");
    has(
        &configuration,
        &[
            "[Peer]",
            &format!("PublicKey = {KEY}"),
            "AllowedIPs = fd00:9::1/128, fd00:10::/64",
            "Endpoint = [2001:db8:30::1]:51820",
            "PersistentKeepalive = 25",
        ],
    );
    assert!(!configuration.contains("PrivateKey") && !configuration.contains("PresharedKey"));
    let unit = content(&plan, "/etc/systemd/system/wireguard-readings.service");
    has(
        &unit,
        &[
            "ConditionPathExists=/var/lib/fastness/wireguard/readings/private.key",
            "ExecStart=/usr/sbin/ip link add dev wg2 type wireguard",
            "ExecStart=/usr/bin/wg setconf wg2 /etc/wireguard/readings.conf",
            "ExecStart=/usr/sbin/ip address add fd00:9::2/64 dev wg2",
            "ExecStart=/usr/sbin/ip route add fd00:10::/64 dev wg2",
            "CapabilityBoundingSet=CAP_NET_ADMIN",
        ],
    );
    assert!(!unit.contains("route add fd00:9::1"), "the peer itself is on the link");
    assert!(plan.packages.contains_key("wireguard-tools"));
    assert!(
        plan.linux.symbols.contains_key("WIREGUARD") || plan.linux.symbols.contains_key("CONFIG_WIREGUARD")
    );
    for check in ["wireguard.peers.readings", "wireguard.service.readings", "wireguard.kernel"] {
        assert!(plan.checks.contains_key(check), "{check}");
    }
    let peer = &plan.outside["peer/readings/wireguard.conf"];
    has(
        peer,
        &[
            "Address = fd00:9::1/64",
            "ListenPort = 51820",
            "PostUp = wg addconf %i /etc/wireguard/readings/device.conf",
        ],
    );
    assert!(!peer.contains(KEY), "its own key is provisioned");
}

#[test]
fn the_firewall_binds_wireguard_to_its_peer_outside_and_to_its_interface_inside() {
    let plan = pump();
    let rules = content(&plan, "/etc/nftables.conf");
    has(
        &rules,
        &[
            "oifname \"eth0\" ip6 saddr 2001:db8:7::10/128 ip6 daddr 2001:db8:30::1/128 udp dport { 51820 } ct state { new, established } counter accept comment \"readings\"",
            "ip6 saddr { fd00:9::1/128, fd00:10::/64 } jump sealed-in.readings",
            "iifname \"wg2\" return",
            "oifname \"wg2\" return",
            "\"wg2\" . tcp . 502 : goto in-engineer",
        ],
    );
    assert!(!rules.contains("udp dport { 51820 } ct state established"), "nobody may open it from outside");
    assert!(
        !plan.network.surface.iter().any(|s| s.port == Some(51820)),
        "it answers nobody: {:?}",
        plan.network.surface
    );
    let peer = &plan.outside["peer/readings/nftables.conf"];
    has(peer, &["ip6 saddr 2001:db8:7::10/128 udp dport 51820 accept", "iifname \"wg2\" jump from-device"]);
}

#[test]
fn tunnels_over_ipv6_are_policies_routes_and_rules_of_ipv6_at_both_ends() {
    let plan = pump();
    let device = content(&plan, "/etc/swanctl/swanctl.conf");
    has(
        &device,
        &[
            "local_addrs = 2001:db8:7::10",
            "remote_addrs = 2001:db8:7::20",
            "local_ts = 2001:db8:7::10",
            "remote_ts = 2001:db8:20::/64",
        ],
    );
    let peer = &plan.outside["peer/control/swanctl.conf"];
    has(
        peer,
        &["local_addrs = 2001:db8:7::20", "local_ts = 2001:db8:20::/64", "remote_ts = 2001:db8:7::10/128"],
    );
    let rules = content(&plan, "/etc/nftables.conf");
    has(
        &rules,
        &[
            "iifname \"eth0\" ip6 saddr 2001:db8:7::20/128 ip6 daddr 2001:db8:7::10/128 meta l4proto esp ct state { new, established } counter accept comment \"control\"",
            "ip6 saddr { 2001:db8:20::/64 } jump sealed-in.control",
            "ip6 saddr { 2001:db8:20::/64 } ipsec in reqid 1 update @from-control-room-6 { ip6 saddr limit rate 30/minute } add @open-control-room-6 { ip6 saddr ct count 4 } counter accept comment \"control-room\"",
        ],
    );
    // OpenVPN: outer and inner IPv6 in the example's place.
    let text = EXAMPLE
        .replacen("address: 192.0.2.30, inner: 10.8.0.1, networks: [10.8.0.1/32]", "address: \"2001:db8:1::30\", inner: \"fd00:8::1\", networks: [\"fd00:8::1/128\", \"fd00:11::/64\"]", 1)
        .replacen("inner: 10.8.0.2/30", "inner: \"fd00:8::2/64\"", 1);
    let openvpn = load(&text).unwrap_or_else(|failure| panic!("{failure}"));
    has(
        &content(&openvpn, "/etc/openvpn/historian.conf"),
        &[
            "proto udp6",
            "local 2001:db8:1::10",
            "remote 2001:db8:1::30",
            "ifconfig-ipv6 fd00:8::2/64 fd00:8::1",
            "route-ipv6 fd00:11::/64",
        ],
    );
    has(
        &openvpn.outside["peer/historian/openvpn.conf"],
        &["proto udp6", "ifconfig-ipv6 fd00:8::1/64 fd00:8::2"],
    );
    let rules = content(&openvpn, "/etc/nftables.conf");
    has(&rules, &["ip6 saddr { fd00:8::1/128, fd00:11::/64 } jump sealed-in.historian"]);
    for plan in [&plan, &openvpn] {
        loads(plan);
    }
}

/// nft and the kernel take the device's rules and the peers'.
fn loads(plan: &Plan) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut texts = vec![("device".to_owned(), content(plan, "/etc/nftables.conf"))];
    texts.extend(
        plan.outside
            .iter()
            .filter(|(path, _)| path.ends_with("nftables.conf"))
            .map(|(p, t)| (p.replace('/', "-"), t.clone())),
    );
    for (name, text) in texts {
        let file = folder.path().join(name);
        std::fs::write(&file, &text).expect("written");
        let Some(run) = namespaced("nft", &["--check".as_ref(), "--file".as_ref(), file.as_os_str()]) else {
            return;
        };
        assert!(run.status.success(), "{}\n{text}", String::from_utf8_lossy(&run.stderr));
    }
}

/// A tool in a network namespace of its own; none where the machine gives none.
fn namespaced(tool: &str, arguments: &[&std::ffi::OsStr]) -> Option<Output> {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net"]);
        command
    };
    let there = Command::new(tool).arg("--version").output().is_ok();
    assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{tool} is not installed");
    if !there || !unshare().arg("true").output().is_ok_and(|run| run.status.success()) {
        #[allow(clippy::print_stderr, reason = "what was skipped is said aloud")]
        {
            eprintln!("SKIPPED: {tool} or namespaces are missing");
        }
        return None;
    }
    Some(unshare().arg(tool).args(arguments).output().expect("started"))
}

#[test]
fn wg_reads_the_tunnels_configuration_and_finds_the_peer() {
    let folder = tempfile::tempdir().expect("a folder");
    let there = |tool: &str| {
        let there = Command::new(tool).arg("--version").output().is_ok();
        assert!(there || std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "{tool} is not installed");
        there
    };
    // Without a kernel that has it: the same interface made by the userspace program.
    if !there("wg") || !there("wireguard-go") || !Path::new("/dev/net/tun").exists() {
        #[allow(clippy::print_stderr, reason = "what was skipped is said aloud")]
        {
            eprintln!("SKIPPED: wg, wireguard-go or /dev/net/tun is missing");
        }
        return;
    }
    std::fs::write(folder.path().join("tunnel.conf"), content(&pump(), "/etc/wireguard/readings.conf"))
        .expect("written");
    let script = "mount -t tmpfs none /run && wireguard-go wg2 >/dev/null 2>&1 && wg setconf wg2 tunnel.conf && wg showconf wg2; kill $(pidof wireguard-go) 2>/dev/null; true";
    let run = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "timeout",
            "20",
            "sh",
            "-c",
            script,
        ])
        .current_dir(folder.path())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let problems = String::from_utf8_lossy(&run.stderr);
    if said.is_empty() && problems.contains("unshare") {
        #[allow(clippy::print_stderr, reason = "what was skipped is said aloud")]
        {
            eprintln!("SKIPPED: this machine gives no namespaces: {problems}");
        }
        return;
    }
    assert_eq!(trimmed(&said, &format!("PublicKey = {KEY}")), 1, "{said}{problems}");
    has(
        &said,
        &[
            "AllowedIPs = fd00:9::1/128, fd00:10::/64",
            "Endpoint = [2001:db8:30::1]:51820",
            "PersistentKeepalive = 25",
        ],
    );
}

#[test]
fn what_wireguard_needs_and_what_it_has_not() {
    let openvpn = "    kind: openvpn\n    zone: plant\n    peer: {name: historian.plant.example, address: 192.0.2.30, inner: 10.8.0.1, networks: [10.8.0.1/32]}\n";
    let with_key = |kind: &str, key: &str| {
        openvpn.replacen("openvpn", kind, 1).replacen(
            "networks: [10.8.0.1/32]",
            &format!("networks: [10.8.0.1/32], public_key: \"{key}\""),
            1,
        )
    };
    says(
        openvpn,
        &openvpn.replacen("openvpn", "wireguard", 1),
        "missing-key",
        "a WireGuard tunnel needs the peer's public key, `peer.public_key`",
        "wg genkey",
    );
    let bad = refused(&with(openvpn, &with_key("wireguard", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")));
    assert!(bad[0].message.starts_with("expected a public key of WireGuard"), "{bad:?}");
    says(
        openvpn,
        &with_key("openvpn", KEY),
        "tunnel-setting",
        "`peer.public_key` is a setting of `wireguard`, and this tunnel is `openvpn`",
        "take it away",
    );
    let ciphers = with_key("wireguard", KEY) + "    ciphers: [AES-256-GCM]\n";
    says(
        openvpn,
        &ciphers,
        "tunnel-setting",
        "`ciphers` is a setting of `openvpn`, and this tunnel is `wireguard`",
        "take it away",
    );
    let port = with_key("wireguard", KEY) + "    port: 4444\n";
    let plan = load(&with(openvpn, &port)).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(
        (
            plan.network.tunnels["historian"].ports.as_slice(),
            plan.network.tunnels["historian"].device.as_deref()
        ),
        (&[4444][..], Some("wg1"))
    );
    let bare = refused(&with(openvpn, &with_key("wireguard", KEY)).replacen(", inner: 10.8.0.2/30", "", 1));
    assert_eq!(
        (bare.len(), bare[0].message.as_str()),
        (1, "a WireGuard tunnel needs the addresses inside of it, `local.inner` and `peer.inner`")
    );
}

/// The example with a peer that has ML-KEM, for a backend.
fn hybrid(backend: Backend, more: &str, tunnel: &str) -> diag::Outcome<Plan> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("product.yaml");
    let text =
        with("networks: [203.0.113.0/25]}", &format!("networks: [203.0.113.0/25], ml_kem: true}}{tunnel}"));
    std::fs::write(
        &file,
        text.replacen("boards: [qemu-aarch64]\n", &format!("boards: [qemu-aarch64]\n{more}"), 1),
    )
    .expect("written");
    spec::load_as(&Library::built_in(None), &file, None, Choice { backend: Some(backend), series: None })
}

#[test]
fn ml_kem_is_used_where_both_ends_have_it_and_refused_where_the_device_has_not() {
    for (backend, more) in [
        (Backend::Buildroot, ""),
        (Backend::Buildroot, "buildroot: {series: \"2026.05\"}\n"),
        (Backend::Yocto, ""),
    ] {
        let plan = hybrid(backend, more, "").unwrap_or_else(|failure| panic!("{failure}"));
        let own = content(&plan, "/etc/swanctl/swanctl.conf");
        for end in [&own, &plan.outside["peer/scada/swanctl.conf"]] {
            has(
                end,
                &[
                    "proposals = aes256gcm16-prfsha384-ecp384-ke1_mlkem768",
                    "esp_proposals = aes256gcm16-ecp384-ke1_mlkem768",
                ],
            );
        }
    }
    let of = |result: diag::Outcome<Plan>| -> Vec<(String, String, String)> {
        let found = result.err().map(|failure| failure.diagnostics).unwrap_or_default();
        found.into_iter().map(|d| (d.code, d.message, d.hint.unwrap_or_default())).collect()
    };
    for (backend, more, where_) in [
        (Backend::Debian, "", "`debian` `trixie`"),
        (Backend::Buildroot, "buildroot: {series: \"2025.02\"}\n", "`buildroot` `2025.02`"),
        (Backend::Yocto, "yocto: {series: scarthgap}\n", "`yocto` `scarthgap`"),
    ] {
        let found = of(hybrid(backend, more, ""));
        let [(code, message, hint)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(code, "absent-cipher");
        assert!(
            message
                .starts_with(&format!("the algorithm `ke1_mlkem768` is not in the strongSwan of {where_}: ")),
            "{message}"
        );
        assert_eq!(
            hint,
            "leave it out, or build with `buildroot` (`2026.02`, `2026.05`) or `yocto` (`wrynose`)"
        );
    }
    let classical = "\n    proposals: [aes256gcm16-prfsha384-ecp384]";
    assert_eq!(
        of(hybrid(Backend::Buildroot, "", classical))[0].1,
        "the peer has ML-KEM, and no proposal of the tunnel uses it"
    );
    let silent = "\n    proposals: [aes256gcm16-prfsha384-ecp384-ke1_mlkem1024]";
    let result = {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("product.yaml");
        std::fs::write(
            &file,
            with("networks: [203.0.113.0/25]}", &format!("networks: [203.0.113.0/25]}}{silent}")),
        )
        .expect("written");
        spec::load_as(
            &Library::built_in(None),
            &file,
            None,
            Choice { backend: Some(Backend::Yocto), series: None },
        )
    };
    let found = of(result);
    assert_eq!(
        found[0].1,
        "the proposal `aes256gcm16-prfsha384-ecp384-ke1_mlkem1024` has ML-KEM, and nothing says that the peer has it"
    );
    assert!(found[0].2.contains("ml_kem: true"), "{found:?}");
}

#[test]
fn openvpn_has_ml_kem_where_both_ends_have_it_and_then_nothing_else() {
    let (from, to) = ("networks: [10.8.0.1/32]}", "networks: [10.8.0.1/32], ml_kem: true}");
    let of = |text: &str, backend, series: Option<&str>| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("product.yaml");
        std::fs::write(&file, text).expect("written");
        let choice = Choice { backend: Some(backend), series: series.map(str::to_owned) };
        spec::load_as(&Library::built_in(None), &file, None, choice)
    };
    let classical = ["tls-version-min 1.2", "tls-groups secp384r1:X25519:prime256v1"];
    let hybrid = ["tls-version-min 1.3", "tls-groups X25519MLKEM768:SecP384r1MLKEM1024"];
    for (text, lines) in [(EXAMPLE.to_owned(), classical), (with(from, to), hybrid)] {
        for backend in [Backend::Debian, Backend::Buildroot, Backend::Yocto] {
            let plan = of(&text, backend, None).unwrap_or_else(|failure| panic!("{failure}"));
            has(&content(&plan, "/etc/openvpn/historian.conf"), &lines);
            has(&plan.outside["peer/historian/openvpn.conf"], &lines);
        }
    }
    let failure = of(&with(from, to), Backend::Buildroot, Some("2025.02")).expect_err("too old");
    let [one] = failure.diagnostics.as_slice() else { panic!("{failure}") };
    assert_eq!(
        (one.code.as_str(), one.message.as_str()),
        (
            "absent-cipher",
            "the algorithm `X25519MLKEM768` is not in the OpenVPN of `buildroot` `2025.02`: ML-KEM is in OpenSSL since 3.5; \
             older series have an older one, with which OpenVPN would not start (draft-ietf-tls-ecdhe-mlkem; FIPS 203; OpenSSL 3.5 release notes)"
        )
    );
    let wireguard = PUMP.replacen("      public_key: ", "      ml_kem: true\n      public_key: ", 1);
    let failure = load(&wireguard).expect_err("it has none");
    assert_eq!(
        failure.diagnostics[0].message,
        "`peer.ml_kem` is a setting of `strongswan` and `openvpn`, and this tunnel is `wireguard`"
    );
    says(
        "local: {name: plc-gateway.plant.example, inner: 10.8.0.2/30}",
        "local: {name: plc-gateway.plant.example, inner: 10.8.0.2/30}\n    ciphers: [X25519MLKEM768]",
        "unknown-cipher",
        "expected a data cipher, found `X25519MLKEM768`, an exchange of keys",
        "`peer: {ml_kem: true}` switches it on",
    );
}
