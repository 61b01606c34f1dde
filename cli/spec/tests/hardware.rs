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
    // The U-Boot of an image has no prompt, and whoever reads the steps has to know before the first of them.
    assert!(text.contains("Steps on u-boot want a U-Boot with a prompt and these commands: the one that Fastness builds has neither."));
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
fn a_board_without_a_counter_says_what_of_it_could_count() {
    const NONE: &str = "rollback: {store: none, possible: [], limits: \"It is a bench.\"}\n";
    assert!(BOARD.contains(NONE));
    for (to, expected) in [
        (
            "",
            "expected the key `rollback` (a mapping with the keys `store`, `possible`, `limits`), found no such key",
        ),
        (
            "rollback: {store: none, limits: \"It is a bench.\"}\n",
            "expected the key `rollback.possible` in the board `bench`, which has no counter of versions",
        ),
        ("rollback: {store: none, possible: []}\n", "expected the key `limits` ("),
        (
            "rollback: {store: none, possible: [{place: \"RPMB\", about: \"counts\"}], limits: \"None.\"}\n",
            "expected the key `source` (",
        ),
        (
            "rollback: {store: fuses, possible: [], limits: \"None.\"}\n",
            "expected one of `none`, `tpm-nv`, found `fuses`",
        ),
    ] {
        let text = refused(&BOARD.replace(NONE, to));
        assert!(text.contains(expected), "{text}");
    }
    let plan = board(BOARD).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(
        plan.board.rollback.text(),
        "none: every image that was ever signed with the product's key starts. It is a bench.\n\
         Nothing of its hardware is known that could count."
    );
    let could = "possible: [{place: \"RPMB\", about: \"a part\", source: \"the manual, 4\"}]";
    let plan = board(&BOARD.replace("possible: []", could)).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(
        plan.board.rollback.text(),
        "none: every image that was ever signed with the product's key starts. It is a bench.\n\
         Could count, and Fastness does not use it: RPMB: a part [the manual, 4]"
    );
}

#[test]
fn every_shipped_board_says_where_its_counter_is_or_could_be() {
    let library = Library::built_in(None);
    for name in library.names(Area::Boards).expect("boards") {
        let rollback = spec::board_facts(&library, &name).expect("reads").expect("is there").rollback;
        assert_eq!(rollback.is_none(), !["qemu-aarch64", "qemu-arm"].contains(&name.as_str()), "{name}");
        // A sentence, which the report goes on behind.
        assert!(rollback.limits.ends_with('.') && rollback.limits.starts_with(char::is_uppercase), "{name}");
        assert_eq!(rollback.is_none(), !rollback.possible.is_empty(), "{name}");
        for counter in &rollback.possible {
            // The report ends the sentence.
            assert!(!counter.place.ends_with('.') && !counter.about.ends_with('.'), "{name}: {counter:?}");
        }
    }
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

/// A board whose boot ROM takes SPL from the disk, with these places.
fn with_spl(more: &str) -> String {
    let spl = format!("boot:\n  spl: {{uboot_address: 0x40200000, room: 2MiB, {more}}}\n");
    real().replace("\nboot:\n", &format!("\n{spl}"))
}

fn places(places: &str) -> String {
    with_spl(&format!("rom: {{format: ti-gp, address: 0x402f0400, places: [{places}]}}"))
}

#[test]
fn a_boot_rom_looks_where_the_disk_has_room() {
    let good = places(
        "{offset: 128KiB, room: 128KiB}, {offset: 256KiB, room: 64KiB}, {partition: fsbl1, room: 256KiB, type_guid: 2E54B353-1271-4842-806F-E436D6AF6985}",
    );
    let plan = board(&good).unwrap_or_else(|failure| panic!("{failure}"));
    let rom = plan.board.boot.spl.as_ref().and_then(|spl| spl.rom.as_ref()).expect("a boot ROM");
    assert_eq!((rom.format.as_str(), rom.address, rom.places.len()), ("ti-gp", 0x402f_0400, 3));
    assert_eq!((rom.places[0].offset, rom.places[2].partition.as_deref()), (Some(128 << 10), Some("fsbl1")));
    // SPL verifies, and everything that the layers ask of it is asked.
    assert_eq!(plan.uboot.symbols["SPL_FIT_SIGNATURE"].value, "y");
    let without = board(&real()).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(without.uboot.symbols["SPL_FIT_SIGNATURE"].value, "n");
    let bare = with_spl("verifies: false").replace("kind: fused-key", "kind: none");
    let bare = bare
        .replace("  anchors: [{holds: \"a hash\", place: \"bank 1\"}]\n", "")
        .replace("permanent: true", "permanent: false");
    let bare = board(&bare).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(bare.uboot.symbols["SPL_FIT_SIGNATURE"].value, "n");
    assert_eq!(bare.uboot.symbols["SPL_LOAD_FIT"].value, "y");
    for (text, expected) in [
        (places(""), "expected a place, found none"),
        (places("{room: 1KiB}"), "expected either `offset` or `partition`, found neither"),
        (
            places("{offset: 128KiB, partition: a, room: 1KiB}"),
            "expected either `offset` or `partition`, found both",
        ),
        (
            places("{offset: 16KiB, room: 1KiB}"),
            "between the partition table's end, 17408, and the first partition, 1048576, found the bytes 16384 to 17408",
        ),
        (places("{offset: 1023KiB, room: 2KiB}"), "found the bytes 1047552 to 1049600"),
        (places("{offset: 131073, room: 1KiB}"), "expected whole sectors between"),
        (
            places("{offset: 128KiB, room: 8KiB}, {offset: 132KiB, room: 8KiB}"),
            "another place has some of the bytes 135168 to 143360",
        ),
        (
            places("{offset: 128KiB, room: 8KiB, type_guid: 2E54B353-1271-4842-806F-E436D6AF6985}"),
            "`type_guid` is of a partition, and this place is none",
        ),
        (
            places("{partition: fit_a, room: 1MiB}"),
            "expected a name of up to 36 letters that no other partition has, found `fit_a`",
        ),
        (
            places("{partition: a, room: 1MiB}, {partition: a, room: 1MiB}"),
            "that no other partition has, found `a`",
        ),
        (
            places("{partition: a, room: 700}"),
            "expected whole sectors for the partition `a`, found 700 bytes",
        ),
        (
            places("{partition: a, room: 1MiB, type_guid: spl}"),
            "expected a GUID (`0FC63DAF-8483-4772-8E79-3D69D8477DE4`), found `spl`",
        ),
        (
            places("{offset: 128KiB, room: 1KiB}").replace("ti-gp", "elf"),
            "expected one of `ti-gp`, `stm32`, `starfive`, `imx8m`, `zynqmp`, found `elf`",
        ),
        (
            with_spl("rom: {format: stm32, address: 0, places: [{partition: a, room: 1KiB}]}").replace(
                "algorithms: [\"sha256,rsa3072\"",
                "algorithms: [\"sha256,rsa3072\", \"sha256,ecdsa256\", \"sha384,rsa3072\"",
            ),
            "the SPL of the board `bench` verifies SHA-256 with RSA, or ECDSA, and one key signs for SPL and U-Boot, found `sha384,rsa3072`",
        ),
        (with_spl("verifies: false"), "its boot ROM verifies SPL, and SPL nothing (`boot.spl.verifies`)"),
    ] {
        let text = refused(&text);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn only_what_a_layer_leaves_to_the_hardware_is_the_boards() {
    let asks = |symbol: &str| {
        let more = format!(
            "  symbols:\n    - {{symbol: {symbol}, value: y, reason: \"its power comes on by it\"}}\n"
        );
        real().replacen("  symbols:\n", &more, 1)
    };
    let plan = board(&asks("I2C")).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.uboot.symbols["I2C"].value, "y");
    assert_eq!(plan.uboot.symbols["I2C"].origins[0].who, "board bench");
    let text = refused(&asks("CMD_GPIO"));
    assert!(
        text.contains(
            "board bench and layer verified-boot disagree about the U-Boot symbol `CMD_GPIO`: `y` and `n`"
        ),
        "{text}"
    );
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

const PROGRAMS: &str = r#"
vendor_programs:
  - {file: code.bin, about: "training", from: "the maker", at_most: 32KiB}
  - {file: bl31.bin, about: "monitor", from: "the maker", bytes: 100}
  - {file: first.bin, about: "firmware", from: "the maker"}
  - {file: start.elf, about: "firmware", from: "the maker"}
"#;
const FAT: &str = "  fat: {partition: boot, room: 64MiB, image: {name: boot.img, room: 32MiB}, files: [{name: start.elf, holds: vendor}, {name: BOOT.BIN, holds: spl}, {name: c.txt, holds: text, text: \"a=b\"}]}\n";

/// A board that has a place for each kind of a maker's program.
fn with_programs() -> String {
    let spl = with_spl(
        "monitor: {vendor: bl31.bin, address: 0x1000}, behind: [{vendor: code.bin, room: 32KiB}], \
         rom: {format: zynqmp, address: 0, first: first.bin, end: 0x1000}",
    );
    spl.replace("\nboot:\n", &format!("\nboot:\n{FAT}")) + PROGRAMS
}

#[test]
fn a_makers_programs_are_data_and_each_has_its_place() {
    let plan = board(&with_programs()).unwrap_or_else(|failure| panic!("{failure}"));
    let program = plan.board.vendor_program("code.bin").expect("named");
    assert_eq!((program.about.as_str(), program.size().as_str()), ("training", "1 to 32768 bytes"));
    assert!(program.fits(32768) && !program.fits(32769) && !program.fits(0));
    let exact = plan.board.vendor_program("bl31.bin").expect("named");
    assert_eq!(exact.size(), "exactly 100 bytes");
    assert!(exact.fits(100) && !exact.fits(99));
    let text = plan.board.root_of_trust_text();
    assert!(
        text.contains("Its maker's program, which who builds gives: `code.bin`, training; from the maker"),
        "{text}"
    );
    let spl = plan.board.boot.spl.expect("SPL");
    assert_eq!(spl.monitor.expect("a monitor").vendor.as_deref(), Some("bl31.bin"));
    assert_eq!((spl.behind[0].vendor.as_str(), spl.behind[0].room), ("code.bin", 32768));
    let rom = spl.rom.expect("a boot ROM");
    assert_eq!((rom.first.as_deref(), rom.end, rom.places.len()), (Some("first.bin"), Some(0x1000), 0));
    let fat = plan.board.boot.fat.expect("files");
    assert_eq!((fat.files[2].name.as_str(), fat.files[2].text.as_deref()), ("c.txt", Some("a=b")));
    for (from, to, expected) in [
        ("file: code.bin,", "file: bl31.bin,", "`bl31.bin` is named twice"),
        (
            "bytes: 100",
            "bytes: 100, at_most: 200",
            "expected `bytes` or `at_most` for `bl31.bin`, found both",
        ),
        ("bytes: 100", "bytes: 0", "expected a size of 1 to 16777216 bytes for `bl31.bin`, found 0"),
        ("bytes: 100", "bytes: 17MiB", "for `bl31.bin`, found 17825792"),
        ("monitor: {vendor: bl31.bin, address: 0x1000}, ", "", "nothing is made of `bl31.bin`"),
        ("vendor: code.bin", "vendor: cod.bin", "expected a program of that list, found `cod.bin`"),
        (
            "room: 32KiB}]",
            "room: 16KiB}]",
            "expected a multiple of 4 bytes of room for `code.bin`, which may have 32768, found 16384",
        ),
        ("room: 32KiB}]", "room: 32769}]", "found 32769"),
        ("file: code.bin", "file: ../code.bin", "expected a file name of up to 64 letters"),
        ("file: code.bin", "file: .code", "expected a file name of up to 64 letters"),
        (
            "{vendor: bl31.bin, address",
            "{vendor: bl31.bin, package: atf, address",
            "expected `package` and `file`, or `vendor`, for `boot.spl.monitor` of the board `bench`",
        ),
        (
            "{vendor: bl31.bin, address",
            "{package: atf, address",
            "expected `package` and `file`, or `vendor`",
        ),
        ("partition: boot,", "partition: data,", "that no other partition has, found `data`"),
        (
            "room: 64MiB",
            "room: 1GiB",
            "expected whole MiB, from 8 to 512, for the partition, found 1073741824 bytes",
        ),
        ("boot.img, room: 32MiB", "boot.img, room: 4MiB", "for the image, found 4194304 bytes"),
        ("boot.img, room: 32MiB", "boot.img, room: 64MiB", "the image does not fit into the partition"),
        ("name: c.txt", "name: boot.bin", "`boot.bin` is there twice"),
        ("name: c.txt", "name: config.text", "since boot ROMs read short names, found `config.text`"),
        ("name: c.txt", "name: a.b.txt", "since boot ROMs read short names, found `a.b.txt`"),
        ("name: c.txt", "name: BOOT.IMG", "`BOOT.IMG` is there twice"),
        (", text: \"a=b\"", "", "expected `text` for `c.txt` if, and only if, it holds `text`"),
        ("holds: text, ", "holds: u-boot, ", "expected `text` for `c.txt` if, and only if, it holds `text`"),
        ("holds: spl", "holds: u-boot", "expected a place, found none"),
        ("holds: spl", "holds: SPL", "expected one of `vendor`, `spl`, `u-boot`, `text`, found `SPL`"),
    ] {
        let text = with_programs();
        assert!(text.contains(from), "{from}");
        let text = refused(&text.replace(from, to));
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let files = FAT.split_once("files: ").expect("files").1;
    let text = refused(&with_programs().replace(files, "[]}\n"));
    assert!(text.contains("`boot.fat` of the board `bench`: expected a file, found none"), "{text}");
    let text = refused(&(real().replace("\nboot:\n", &format!("\nboot:\n{FAT}")) + PROGRAMS));
    assert!(text.contains("`BOOT.BIN` holds SPL, and the board has no `boot.spl.rom`"), "{text}");
}

#[test]
fn a_watchdog_s_and_a_random_source_s_driver_is_asked_of_the_kernel() {
    assert!(BOARD.contains("linux:\n"), "the bench asks nothing of the kernel");
    let watchdog = "watchdog: {driver: IMX2_WDT, seconds: 30, limits: \"It starts with its driver.\"}\n";
    let random = "random: {driver: HW_RANDOM_OMAP, about: \"The chip's own.\"}\n";
    for (part, expected) in [
        (
            watchdog,
            "expected `IMX2_WDT: y` among the board's `linux` symbols, since `watchdog.driver` names it",
        ),
        (
            random,
            "expected `HW_RANDOM_OMAP: y` among the board's `linux` symbols, since `random.driver` names it",
        ),
    ] {
        let text = refused(&format!("{BOARD}{part}"));
        assert!(text.contains(expected) && text.contains("boards/bench/board.yaml:"), "{text}");
    }
    for seconds in ["4", "601"] {
        let text = refused(&format!("{BOARD}{}", watchdog.replace("30", seconds)));
        let expected = format!("expected 5 to 600 seconds for `watchdog.seconds`, found {seconds}");
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn every_shipped_board_names_its_watchdog_and_the_service_manager_feeds_it() {
    let library = Library::built_in(None);
    for name in library.names(Area::Boards).expect("boards") {
        let facts = spec::board_facts(&library, &name).expect("reads").expect("is there");
        let watchdog = facts.watchdog.as_ref().unwrap_or_else(|| panic!("{name} names no watchdog"));
        // Only QEMU's model of the FU540 has none.
        assert_eq!(watchdog.hardware, name != "hifive-unleashed", "{name}");
        assert!(watchdog.limits.ends_with('.'), "{name}");
        let text = facts.root_of_trust_text();
        assert!(text.contains(&format!("({}), after {} s. ", watchdog.driver, watchdog.seconds)), "{text}");
        assert!(text.contains("\nRandom numbers: "), "{text}");
    }
}

const CRASH_MEMORY: &str =
    "crash_memory: {address: 0x60000000, bytes: 256KiB, limits: \"It outlives a reset.\"}\n";

#[test]
fn memory_for_the_last_words_is_of_the_driver_s_form_and_nothing_that_boots_is_there() {
    for (address, bytes, expected) in [
        (
            "0x60000000",
            "32KiB",
            "expected a power of two from 64KiB to 1MiB for `crash_memory.bytes`, found 32768 bytes",
        ),
        ("0x60000000", "2MiB", "expected a power of two from 64KiB to 1MiB"),
        ("0x60000000", "192KiB", "expected a power of two from 64KiB to 1MiB"),
        (
            "0x49fc0000",
            "512KiB",
            "found 0x49fc0000 to 0x4a040000, where `boot.fit_address` puts up to 33554432 bytes from 0x48000000 on",
        ),
        ("0x41000000", "256KiB", "where `boot.kernel_address` puts up to 33554432 bytes from 0x40400000 on"),
        ("0x46ff0000", "128KiB", "where `boot.fdt_address` puts up to 1048576 bytes from 0x47000000 on"),
        (
            "0x60001000",
            "256KiB",
            "expected a multiple of 64 KiB for `crash_memory.address`, found 0x60001000",
        ),
    ] {
        let memory = CRASH_MEMORY.replace("0x60000000", address).replace("256KiB", bytes);
        let text = refused(&format!("{BOARD}{memory}"));
        assert!(text.contains(expected) && text.contains("boards/bench/board.yaml:"), "{text}");
    }
}

#[test]
fn only_a_product_that_records_the_last_words_has_memory_for_them() {
    let library = Library::built_in(None);
    for name in library.names(Area::Boards).expect("boards") {
        let facts = spec::board_facts(&library, &name).expect("reads").expect("is there");
        let emulated = ["qemu-aarch64", "qemu-arm", "qemu-riscv64"].contains(&name.as_str());
        assert_eq!(facts.crash_memory.is_some(), emulated, "{name}");
        let told = facts.root_of_trust_text().contains("\nLast words of a panic: 262144 bytes at 0x");
        assert_eq!(told, emulated, "{name}");
    }
}
