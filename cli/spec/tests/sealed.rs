//! Sealed data partitions: what they switch on, and what is refused.

use spec::Choice;
use spec::library::Library;
use spec::plan::Plan;
use spec::product::Backend;

const EXAMPLE: &str = include_str!("../../../examples/sealed-logger/product.yaml");
const RECOVERY: &str = include_str!("../../../examples/sealed-logger/recovery.pub.pem");

fn load(change: impl FnOnce(String) -> String, backend: Option<Backend>) -> Result<Plan, diag::Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, change(EXAMPLE.to_owned())).expect("written");
    std::fs::write(folder.path().join("recovery.pub.pem"), RECOVERY).expect("written");
    let library = Library::built_in(Some(folder.path()));
    spec::load_as(&library, &product, None, Choice { backend, ..Choice::default() })
}

#[test]
fn a_sealed_partition_switches_everything_on() {
    let plan = load(|text| text, None).unwrap_or_else(|failure| panic!("{failure}"));
    let sealed = plan.storage.sealed.as_ref().expect("sealed");
    assert_eq!((sealed.recovery.as_str(), sealed.event_log), (RECOVERY, 0x4900_0000));
    for name in ["TPM", "TPM_V2", "TPM2_MMIO", "MEASURED_BOOT", "MEASURE_IGNORE_LOG"] {
        assert_eq!(plan.uboot.symbols[name].value, "y", "{name}");
    }
    assert!(plan.uboot_patches.contains_key("0002-measure-configuration.patch"));
    assert!(plan.packages.contains_key("systemd-cryptsetup"));
    assert!(plan.checks.contains_key("boot.measured") && plan.checks.contains_key("self.data-sealed"));
    assert_eq!(plan.storage.proof_bytes, 1 << 20);
    let qemu = plan.board.qemu.as_ref().expect("a machine");
    assert!(qemu.machine_arguments().contains(&"tpm-tis-device,tpmdev=tpm".to_owned()));
}

/// What the device's own file system reserves for the records, of what LUKS2's header leaves.
#[test]
fn a_sealed_partition_reserves_room_for_the_records_too() {
    let plan = load(|text| text, None).unwrap_or_else(|failure| panic!("{failure}"));
    let storage = &plan.storage;
    assert_eq!(storage.file_system_bytes(), storage.data_bytes - (16 << 20));
    let text = serde_json::to_string(&plan.files["/usr/lib/fastness/data-partition"].value).expect("json");
    let asked = format!("mke2fs -q -t ext4 -m {} -L data", storage.reserved_percent());
    assert!(text.contains(&asked), "{asked}");
    assert!(plan.checks.contains_key("audit.capacity"));
    let audit = &storage.kept["/var/log/audit"];
    assert_eq!((audit.value, audit.origins[0].who.as_str()), (20 << 20, "layer audit"));
}

#[test]
fn records_that_take_half_of_it_do_not_fit() {
    let failure = load(|text| text.replace("data: 96MiB", "data: 48MiB"), None).expect_err("too small");
    let [one] = failure.diagnostics.as_slice() else { panic!("{:#?}", failure.diagnostics) };
    let said = "the records may take 20 MiB of the data partition, whose file system has 32 MiB: expected less than half of it";
    assert_eq!((one.code.as_str(), one.message.as_str()), ("no-room-for-records", said));
    assert!(
        one.hint.as_deref().is_some_and(|hint| hint.contains("layer audit keeps 20 MiB in `/var/log/audit`")),
        "{one:?}"
    );
    assert!(one.location.as_ref().is_some_and(|at| at.excerpt.contains("48MiB")), "{one:?}");
}

/// On 32-bit Arm, too.
#[test]
fn each_board_that_measures_can_seal() {
    let plan = load(|text| text.replace("boards: [qemu-aarch64]", "boards: [qemu-arm]"), None);
    let plan = plan.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.storage.sealed.as_ref().expect("sealed").event_log, 0x4900_0000);
    assert_eq!(plan.uboot.symbols["MEASURED_BOOT"].value, "y");
}

#[test]
fn without_it_nothing_is_measured_and_the_partition_is_plain() {
    let plain = |text: String| text[..text.find("  sealed:").expect("sealed")].to_owned();
    let plan = load(plain, None).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.storage.sealed, None);
    for name in ["TPM", "TPM2_MMIO", "MEASURED_BOOT"] {
        assert_eq!(plan.uboot.symbols[name].value, "n", "{name}");
    }
    assert!(!plan.packages.contains_key("cryptsetup-bin"));
    let json = serde_json::to_string(&plan).expect("json");
    assert!(json.contains("PARTLABEL=data /var") && !json.contains("/fastness-data.service"), "plain");
    assert!(!plan.units.contains_key("fastness-data.service"));
}

#[test]
fn what_cannot_seal_says_so() {
    let board = |text: String| text.replace("boards: [qemu-aarch64]", "boards: [qemu-riscv64]");
    let gone = |text: String| text.replace("recovery: recovery.pub.pem", "recovery: gone.pem");
    let unused = |text: String| {
        text[..text.find("  sealed:").expect("sealed")].to_owned() + "layers: {measured-boot: {}}\n"
    };
    for (failure, code, message) in [
        (
            load(board, None),
            "no-measured-boot",
            "the board `qemu-riscv64` has no measured boot: a key can be sealed only to what its U-Boot measures into a TPM",
        ),
        (load(gone, None), "no-public-key", "expected a public key (PEM) at `gone.pem`, found no such file"),
        (load(unused, None), "unused-layer", "the layer `measured-boot` seals the data partition"),
        (
            load(|text| text, Some(Backend::Buildroot)),
            "no-sealed-storage",
            "for the backend `debian` only, and the backend is `buildroot`",
        ),
        (load(|text| text, Some(Backend::Yocto)), "no-sealed-storage", "and the backend is `yocto`"),
    ] {
        let failure = failure.expect_err(code);
        let found = failure.diagnostics.iter().find(|d| d.code == code);
        let found = found.unwrap_or_else(|| panic!("no `{code}` in {failure}"));
        assert!(found.message.contains(message), "{failure}");
        assert_eq!(failure.status, diag::ExitStatus::Input);
    }
}
