//! Boards of real hardware: what they must say, and what a person reads of their root of trust.

mod common;

use common::{library, with, write};
use diag::Outcome;
use spec::library::{Area, Library};
use spec::plan::Plan;

const BOARD: &str = include_str!("library/boards/bench-arm64/board.yaml");
const QEMU: &str =
    "qemu: {program: qemu-system-aarch64, machine: virt, cpu: cortex-a57, cpus: 2, memory_mib: 512}\n";
const TREE: &str = "device_tree: {linux: maker/bench.dts, uboot: bench}\n";
const TRUST: &str = r#"
trust:
  kind: fused-key
  mechanism: "a boot ROM"
  verifies: ["SPL: RSA-2048"]
  anchors: [{holds: "a hash", place: "bank 1"}]
  steps:
    - {on: host, permanent: false, command: "sign spl", about: "signs"}
    - {on: u-boot, permanent: true, command: "fuse prog 1 0 HASH", about: "burns the hash"}
  warning: "it cannot be undone"
  limits: "older versions"
  sources: ["the manual, 1.2"]
rom_places:
  - {file: spl.bin, medium: "SD card", offset: 33KiB, source: "the manual, 3"}
"#;

fn board(text: &str) -> Outcome<Plan> {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "boards/bench/board.yaml", text);
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, with("boards: [bench-arm64]", "boards: [bench]")).expect("written");
    spec::load_with(&library(folder.path()), &product, None)
}

fn real() -> String {
    assert!(BOARD.contains(QEMU));
    format!("{}{TREE}{TRUST}", BOARD.replace(QEMU, ""))
}

fn refused(text: &str) -> String {
    let failure = board(text).expect_err("refused");
    assert_eq!(failure.status, diag::ExitStatus::Input);
    failure.to_string()
}

#[test]
fn a_real_board_resolves_and_its_root_of_trust_is_written_for_people() {
    let plan = board(&real()).unwrap_or_else(|failure| panic!("{failure}"));
    let text = &plan.outside["root-of-trust.txt"];
    let warning = text.find("WARNING: it cannot be undone").expect("the warning");
    let step = text.find("2. on u-boot: PERMANENT, CANNOT BE UNDONE: burns the hash\n   fuse prog 1 0 HASH");
    assert!(warning < step.expect("the step"), "{text}");
    for part in [
        "Fastness runs none of these commands",
        "1. on host: signs\n   sign spl",
        "`spl.bin` on SD card, at byte 33792 [the manual, 3]",
        "Set for good: a hash, in bank 1",
        "It does not protect against: older versions",
        "- the manual, 1.2",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    // An emulated board has nothing to burn, and no such file.
    let emulated = board(BOARD).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(!emulated.outside.contains_key("root-of-trust.txt"));
    assert!(emulated.board.root_of_trust_text().contains("there is nothing to burn"));
}

#[test]
fn a_board_that_no_emulator_describes_says_what_it_is() {
    let text = refused(&real().replace(TREE, ""));
    assert!(
        text.contains("expected the key `device_tree` in the board `bench`, which has no QEMU machine"),
        "{text}"
    );
    let text = refused(&format!("{}{TREE}", BOARD.replace(QEMU, "")));
    assert!(text.contains("expected the key `trust` in the board `bench`"), "{text}");
}

#[test]
fn a_root_of_trust_that_is_unclear_is_refused() {
    let fused =
        "a `fused-key` names what is set for good (`anchors`), what the boot ROM verifies (`verifies`)";
    let none = "the kind `none` has no `anchors` and no step that is `permanent`";
    for (from, to, expected) in [
        ("anchors: [{holds: \"a hash\", place: \"bank 1\"}]", "anchors: []", fused),
        ("verifies: [\"SPL: RSA-2048\"]", "verifies: []", fused),
        ("permanent: true", "permanent: false", fused),
        ("kind: fused-key", "kind: none", none),
        ("kind: fused-key", "kind: fuses", "expected one of `fused-key`, `none`, found `fuses`"),
        (
            "offset: 33KiB, ",
            "",
            "expected either `offset` or `partition` for `spl.bin` of the board `bench`, found neither",
        ),
        ("offset: 33KiB, ", "offset: 33KiB, partition: spl, ", "found both"),
        ("on: u-boot", "on: anywhere", "expected one of `host`, `u-boot`, `board`, found `anywhere`"),
    ] {
        let text = real();
        assert!(text.contains(from), "{from}");
        let text = refused(&text.replace(from, to));
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn every_shipped_board_without_an_emulator_warns_before_it_burns() {
    let library = Library::built_in(None);
    let mut real = 0;
    for name in library.names(Area::Boards).expect("boards") {
        let facts = spec::board_facts(&library, &name).expect("reads").expect("is there");
        let Some(trust) = &facts.trust else {
            assert!(facts.qemu.is_some(), "{name}");
            continue;
        };
        real += 1;
        let text = facts.root_of_trust_text();
        let warning = text.find("WARNING: ").expect("a warning");
        assert!(text.find("PERMANENT").is_none_or(|step| warning < step), "{name}");
        assert_eq!(trust.kind == "fused-key", text.contains("PERMANENT, CANNOT BE UNDONE"), "{name}");
        assert!(!trust.sources.is_empty() && !facts.rom_places.is_empty(), "{name}");
        // Nothing overlaps: the FIT, the kernel's room up to the device tree, and what U-Boot reads.
        let boot = &facts.boot;
        let fit = boot.fit_address..boot.fit_address + boot.fit_bytes;
        for address in [boot.kernel_address, boot.fdt_address] {
            assert!(!fit.contains(&address), "{name}: {address:#x} is in the FIT");
        }
        assert!(boot.kernel_address + (16 << 20) <= boot.fdt_address, "{name}: room for a kernel of 16 MiB");
    }
    assert!(real >= 6, "{real}");
    assert_eq!(spec::board_facts(&library, "none").expect("reads"), None);
}
