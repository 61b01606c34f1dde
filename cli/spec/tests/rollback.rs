//! Rollback versions: what they switch on, and what is refused.

use std::path::Path;

use spec::plan::Plan;

const EXAMPLE: &str = include_str!("../../../examples/field-controller/product.yaml");

fn load(change: impl FnOnce(String) -> String, board: &str) -> Result<Plan, diag::Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, change(EXAMPLE.to_owned())).expect("written");
    spec::load(&product, Some(board))
}

fn symbol<'p>(plan: &'p Plan, name: &str) -> &'p str {
    &plan.uboot.symbols[name].value
}

#[test]
fn a_version_switches_everything_on() {
    for board in ["qemu-aarch64", "qemu-arm"] {
        let plan = load(|text| text, board).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(plan.signing.rollback_version, Some(3));
        for name in ["TPM", "TPM_V2", "TPM2_MMIO", "FIT_ROLLBACK"] {
            assert_eq!(symbol(&plan, name), "y", "{name}");
        }
        assert_eq!(symbol(&plan, "FIT_ROLLBACK_INTERFACE"), "\"virtio\"");
        assert!(plan.uboot_patches.contains_key("0001-fit-rollback.patch"));
        assert_eq!(plan.storage.proof_bytes, 1 << 20);
        let qemu = plan.board.qemu.as_ref().expect("a machine");
        assert!(qemu.machine_arguments().contains(&"tpm-tis-device,tpmdev=tpm".to_owned()));
        assert!(plan.checks.contains_key("self.rollback-locked"));
    }
}

#[test]
fn without_a_version_nothing_of_it_is_there() {
    let plan = load(|text| text.replace("  rollback_version: 3\n", ""), "qemu-aarch64")
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.signing.rollback_version, None);
    for name in ["TPM", "TPM2_MMIO"] {
        assert_eq!(symbol(&plan, name), "n", "{name}");
    }
    assert!(!plan.uboot.symbols.contains_key("FIT_ROLLBACK"));
    assert!(!plan.uboot_patches.contains_key("0001-fit-rollback.patch"));
    let json = serde_json::to_string(&plan.storage).expect("json");
    assert!(!json.contains("proof"), "{json}");
    assert!(!plan.board.qemu.as_ref().expect("a machine").machine_arguments().join(" ").contains("tpm"));
}

#[test]
fn a_version_that_cannot_be_counted_is_refused() {
    let says = |from: &str, to: &str, code: &str, message: &str| {
        let failure = load(|text| text.replace(from, to), "qemu-aarch64").expect_err("refused");
        let found = failure.diagnostics.iter().find(|d| d.code == code);
        let found = found.unwrap_or_else(|| panic!("no `{code}` in {failure}"));
        assert!(found.message.contains(message), "{failure}");
        assert_eq!(failure.status, diag::ExitStatus::Input);
    };
    let version = "rollback_version: 3";
    says(
        version,
        "rollback_version: 0",
        "wrong-type",
        "expected a rollback version from 1 to 255, found `0`",
    );
    says(
        version,
        "rollback_version: 256",
        "wrong-type",
        "expected a rollback version from 1 to 255, found `256`",
    );
    says(
        version,
        "key: x\nlayers: {rollback: {}}",
        "unused-layer",
        "the layer `rollback` wants a rollback version, and the product has none",
    );
    says(
        "storage:",
        "without: [{layer: selfcheck, reason: \"none\"}]\nstorage:",
        "unmet-need",
        "the layer `rollback` needs the layer `selfcheck`",
    );
}

#[test]
fn a_board_without_a_counter_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards/qemu-aarch64/board.yaml");
    let board = std::fs::read_to_string(shipped)
        .expect("a board")
        .replace("store: tpm-nv", "store: none\n  possible: []");
    std::fs::create_dir_all(folder.path().join("boards/bare")).expect("made");
    std::fs::write(folder.path().join("boards/bare/board.yaml"), board).expect("written");
    let product = folder.path().join("product.yaml");
    let text = EXAMPLE.replace("boards: [qemu-aarch64, qemu-arm]", "boards: [bare]");
    std::fs::write(&product, text).expect("written");
    let failure = spec::load(&product, None).expect_err("refused");
    let words = failure.to_string();
    assert!(
        words.contains("the board `bare` has no counter that keeps older images from starting"),
        "{words}"
    );
    assert_eq!(failure.diagnostics[0].code, "no-counter");
}
