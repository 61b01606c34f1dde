//! Every shipped board is constructed with every backend, and what each generates is there.

use std::fs;
use std::path::Path;

use spec::Choice;
use spec::library::{Area, Library};
use spec::plan::Plan;
use spec::product::Backend;

fn plan(board: &str, backend: Backend) -> Plan {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    fs::write(&product, spec::scaffold("bench").replace("qemu-aarch64", board)).expect("written");
    let library = Library::built_in(None);
    let choice = Choice { backend: Some(backend), series: None };
    spec::load_as(&library, &product, Some(board), choice)
        .unwrap_or_else(|failure| panic!("{board}: {failure}"))
}

fn generated(plan: &Plan) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    backend::generate(plan, &folder.path().join("generated"), Path::new("no.lock"))
        .unwrap_or_else(|failure| panic!("{}: {failure}", plan.board.name));
    folder
}

/// Whether a file below the folder has the text.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).expect("a folder").filter_map(Result::ok).any(|entry| {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => holds(&path, text),
            Ok(kind) if kind.is_file() => fs::read_to_string(&path).is_ok_and(|found| found.contains(text)),
            _ => false,
        }
    })
}

#[test]
fn every_board_is_generated_with_every_backend() {
    for board in Library::built_in(None).names(Area::Boards).expect("boards") {
        for backend in [Backend::Debian, Backend::Buildroot, Backend::Yocto] {
            let plan = plan(&board, backend);
            let folder = generated(&plan);
            let base = &plan.uboot.base;
            let spelled = match backend {
                Backend::Buildroot => base.trim_end_matches("_defconfig"),
                Backend::Debian | Backend::Yocto => base,
            };
            assert!(holds(folder.path(), spelled), "{board} with {}: `{spelled}`", backend.as_str());
            let console = format!("console={}", plan.board.console);
            assert!(plan.cmdline.iter().any(|asked| asked.value.starts_with(&console)), "{board}: {console}");
            let signed = plan.board.algorithms.contains(&plan.signing.algorithm);
            assert!(signed, "{board}: {}", plan.signing.algorithm);
        }
    }
}

/// Commands of U-Boot that write fuses, or other memory that is written once: the general ones, then those of an architecture or a
/// kind of memory. Source: who calls `fuse_prog`, `misc_write` and a driver's OTP in U-Boot 2025.01.
const GENERAL: [&str; 2] = ["CMD_FUSE", "CMD_MISC"];
const OF_SOME: [&str; 5] = ["CMD_STM32KEY", "CMD_STM32PROG", "CMD_STBOARD", "CMD_MESON", "CMD_MTD_OTP"];
/// Of those, what the defconfig or the target of an STM32MP15 switches on.
const OF_STM32: [&str; 3] = ["CMD_STM32KEY", "CMD_STM32PROG", "CMD_STBOARD"];

/// What burns a fuse, as the boards' guides have it and as the commands above are called.
const BURNS: [&str; 13] = [
    "fuse prog",
    "fuse override",
    "stm32key fuse",
    "stm32key close",
    "stboard ",
    "misc write",
    "mtd otp",
    "efuse write",
    "sec_fuse_prog",
    "xilskey",
    "XSK_EFUSEPS",
    "program_pubkey=",
    "program_rpiboot_gpio=",
];

/// Nothing in Fastness burns a fuse: no U-Boot has the means, and the words are in the guide for people alone.
#[test]
fn no_board_has_a_command_or_a_script_that_burns_a_fuse() {
    let mut guides = 0;
    for board in Library::built_in(None).names(Area::Boards).expect("boards") {
        for backend in [Backend::Debian, Backend::Buildroot, Backend::Yocto] {
            let mut plan = plan(&board, backend);
            let value = |symbol: &str| plan.uboot.symbols.get(symbol).map(|asked| asked.value.as_str());
            for symbol in GENERAL {
                assert_eq!(value(symbol), Some("n"), "{board}: {symbol}");
            }
            for symbol in OF_SOME {
                let wanted = OF_STM32.contains(&symbol) && plan.uboot.base.starts_with("stm32mp15");
                assert!(
                    value(symbol) == Some("n") || (!wanted && value(symbol).is_none()),
                    "{board}: {symbol}"
                );
            }
            let guide = plan.outside.remove("root-of-trust.txt").unwrap_or_default();
            guides += usize::from(BURNS.iter().any(|word| guide.contains(word)));
            let folder = generated(&plan);
            let texts = plan.files.iter().filter_map(|(path, asked)| Some((path, asked.value.bytes()?)));
            let texts: Vec<_> =
                texts.map(|(path, bytes)| (path, String::from_utf8_lossy(&bytes).into_owned())).collect();
            for word in BURNS {
                assert!(!holds(folder.path(), word), "{board} with {}: `{word}`", backend.as_str());
                let outside = plan.outside.iter().find(|(_, text)| text.contains(word));
                assert!(outside.is_none(), "{board}: `{word}` in {outside:?}");
                let file = texts.iter().find(|(_, text)| text.contains(word));
                assert!(file.is_none(), "{board}: `{word}` in {file:?}");
            }
        }
    }
    // The words are those of the guides: four boards have what U-Boot or a program of the maker burns.
    assert_eq!(guides, 4 * 3);
}

#[test]
fn a_board_that_starts_by_its_makers_programs_says_why_it_is_not_built_here() {
    let plan = plan("imx8mm-evk", Backend::Debian);
    assert!(plan.outside["root-of-trust.txt"].contains("fuse prog 1 3 0x2000000"));
    let failure = not_built(&plan);
    assert_eq!(failure.diagnostics[0].code, "vendor-program");
    let text = failure.to_string();
    for expected in [
        "the board `imx8mm-evk` starts by programs of its maker that no package of the suite has: expected `lpddr4_pmu_train_1d_imem.bin`, ",
        "`lpddr4_pmu_train_2d_dmem.bin`: NXP's training of the LPDDR4, second pass, data, 1 to 16384 bytes; from the folder",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_board_without_an_emulator_is_built_by_one_backend_only() {
    for backend in [Backend::Buildroot, Backend::Yocto] {
        // Programs of the maker would not help.
        for board in ["stm32mp157-dk2", "imx8mm-evk", "zcu102", "rpi-4"] {
            let failure = not_built(&plan(board, backend));
            assert_eq!(failure.diagnostics[0].code, "no-device-tree");
            let text = format!("the board `{board}` has no QEMU machine");
            assert!(failure.to_string().contains(&text), "{failure}");
        }
    }
    // Debian's goes on, to what it would fetch.
    let failure = not_built(&plan("stm32mp157-dk2", Backend::Debian));
    assert_ne!(failure.diagnostics[0].code, "no-device-tree", "{failure}");
}

/// The failure of a build that nothing was made by.
fn not_built(plan: &spec::plan::Plan) -> diag::Failure {
    let folder = tempfile::tempdir().expect("a folder");
    let failure = backend::build(plan, &options(folder.path()), &backend::NoProgress).expect_err("no build");
    if plan.backend != "debian" || !plan.board.vendor_programs.is_empty() {
        assert_eq!(failure.status, diag::ExitStatus::Input);
        assert!(fs::read_dir(folder.path()).expect("a folder").next().is_none(), "nothing was made");
    }
    failure
}

#[test]
fn a_board_with_spl_is_built_by_one_backend_only() {
    for backend in [Backend::Buildroot, Backend::Yocto] {
        let plan = plan("hifive-unleashed", backend);
        assert!(plan.uboot_patches.contains_key("0001-environment-in-flash-is-a-choice.patch"));
        let folder = tempfile::tempdir().expect("a folder");
        let failure = backend::build(&plan, &options(folder.path()), &backend::NoProgress)
            .expect_err("no SPL from there");
        assert_eq!(failure.status, diag::ExitStatus::Input);
        assert_eq!(failure.diagnostics[0].code, "no-spl");
        let text = format!("starts by SPL, for which the backend `{}` hands nothing over", backend.as_str());
        assert!(failure.to_string().contains(&text), "{failure}");
        assert!(fs::read_dir(folder.path()).expect("a folder").next().is_none(), "nothing was made");
    }
}

fn options(folder: &Path) -> backend::BuildOptions {
    backend::BuildOptions {
        cache: folder.join("cache"),
        out: folder.join("out"),
        lock: folder.join("fastness.lock"),
        vendor: folder.join("vendor"),
        jobs: 1,
        offline: true,
        update_lock: false,
        buildroot: Default::default(),
        yocto: Default::default(),
    }
}
