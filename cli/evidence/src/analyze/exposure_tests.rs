//! Exposures against what `systemd-analyze security` says.

#![allow(clippy::print_stderr, reason = "a comparison that could not be made must say so")]

use std::process::Command;

use super::*;

fn settings(text: &str) -> Settings {
    let mut all = Settings::new();
    for line in text.lines() {
        let (name, value) = line.split_once('=').unwrap();
        let values = all.entry(name.to_owned()).or_default();
        if value.is_empty() { values.clear() } else { values.push(value.to_owned()) }
    }
    all
}

fn tenths(text: &str) -> u32 {
    assess(&settings(text), true).tenths()
}

/// Everything that has a row, set to its best.
const TIGHT: &str = "User=daemon\nPrivateTmp=yes\nProtectHome=yes\nProtectSystem=strict\nRootDirectory=/srv\n\
    PrivateDevices=yes\nPrivateMounts=yes\nPrivateNetwork=yes\nPrivateUsers=yes\nProtectControlGroups=yes\n\
    ProtectKernelModules=yes\nProtectKernelTunables=yes\nProtectKernelLogs=yes\nProtectClock=yes\n\
    ProtectHostname=yes\nLockPersonality=yes\nMemoryDenyWriteExecute=yes\nRestrictRealtime=yes\n\
    NoNewPrivileges=yes\nRestrictSUIDSGID=yes\nCapabilityBoundingSet=\nUMask=0077\nProtectProc=invisible\n\
    ProcSubset=pid\nRemoveIPC=yes\nRestrictNamespaces=yes\nRestrictAddressFamilies=none\n\
    SystemCallArchitectures=native\nSystemCallFilter=@basic-io\nIPAddressDeny=any\nDevicePolicy=strict\n";

/// What `systemd-analyze security` of systemd 252 says of the same settings.
#[test]
fn exposures_are_those_of_the_tool() {
    for (text, expected) in [
        ("", 96),
        ("User=daemon\n", 92),
        ("DynamicUser=yes\n", 84),
        ("NoNewPrivileges=yes\nProtectSystem=strict\nPrivateTmp=yes\n", 90),
        ("CapabilityBoundingSet=\n", 71),
        ("SystemCallFilter=@system-service\n", 82),
        ("SystemCallFilter=~@mount\nSystemCallFilter=@mount\n", 96),
        ("RestrictNamespaces=yes\nRestrictAddressFamilies=AF_UNIX\n", 81),
    ] {
        assert_eq!((text, tenths(text)), (text, expected));
    }
    assert!(tenths(TIGHT) <= 1, "{:?}", assess(&settings(TIGHT), true).missing());
    assert_eq!(word(tenths("")), "unsafe");
    assert_eq!(word(0), "perfect");
}

#[test]
fn what_adds_most_stands_first_and_a_boot_unit_is_not_judged_by_all_rows() {
    let missing = assess(&settings(""), true).missing();
    assert_eq!(missing[0], ("PrivateNetwork=".to_owned(), 5));
    assert!(missing.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    let early = assess(&settings(""), false);
    let left_out: Vec<&str> =
        early.rows.iter().filter(|row| row.badness.is_none()).map(|row| row.id).collect();
    assert_eq!(
        left_out,
        [
            "SupplementaryGroups=",
            "PrivateTmp=",
            "ProtectHome=",
            "ProtectSystem=",
            "RootDirectory=/RootImage=",
            "RemoveIPC="
        ]
    );
}

/// The tool itself, on a few services; `ci/peers/analyze` tries hundreds.
#[test]
fn the_tool_says_the_same_where_it_is_installed() {
    let there = Command::new("systemd-analyze").arg("--version").output();
    let version =
        there.as_ref().map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    // Later releases have other rows and weights: against those nothing is compared, which must not look like agreement.
    if !version.starts_with("systemd 252 ") {
        let first = version.lines().next().unwrap_or("none");
        assert!(
            std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none_or(|v| v != "1"),
            "systemd-analyze of systemd 252 is required, found: {first}"
        );
        eprintln!("SKIPPED: systemd-analyze of systemd 252 is not installed, found: {first}");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("usr/lib/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    std::fs::create_dir_all(root.path().join("etc")).unwrap();
    for (number, text) in [
        "",
        TIGHT,
        "DynamicUser=yes\nProtectSystem=full\n",
        "SystemCallFilter=~@debug reboot\nProtectClock=yes\nDevicePolicy=auto\n",
    ]
    .iter()
    .enumerate()
    {
        let name = format!("x{number}.service");
        std::fs::write(units.join(&name), format!("[Service]\nExecStart=/bin/x\n{text}")).unwrap();
        let out = Command::new("systemd-analyze")
            .args([
                "security",
                "--no-pager",
                "--offline=true",
                &format!("--root={}", root.path().display()),
                &name,
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let ours = tenths(text);
        let line = format!("{name}: {}.{} ", ours / 10, ours % 10);
        assert!(
            said.contains(&line),
            "{text:?}: expected `{line}` in: {}",
            said.lines().last().unwrap_or_default()
        );
    }
}
