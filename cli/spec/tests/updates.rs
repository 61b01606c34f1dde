//! The layer that takes updates: what it switches on, and what it cannot stand beside.

use std::path::Path;

use spec::plan::Plan;

const EXAMPLE: &str = include_str!("../../../examples/cell-gateway/product.yaml");
const SEALED: &str = include_str!("../../../examples/sealed-logger/product.yaml");

fn with_layer(text: &str) -> String {
    format!("{text}\nlayers:\n  update: {{tries: 5, restart: false}}\n")
}

fn load(text: &str, beside: &[(&str, &str)]) -> Result<Plan, diag::Failure> {
    load_for(text, beside, None)
}

fn load_for(text: &str, beside: &[(&str, &str)], board: Option<&str>) -> Result<Plan, diag::Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in beside {
        std::fs::write(folder.path().join(name), content).expect("written");
    }
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, text).expect("written");
    spec::load(&product, board)
}

fn content<'p>(plan: &'p Plan, path: &str) -> &'p str {
    let spec::plan::FilePlan::File { content, .. } = &plan.files[path].value else {
        panic!("{path} is no file with content")
    };
    content
}

#[test]
fn the_layer_gives_the_disk_its_control_block_and_u_boot_the_choice() {
    let plan = load(&with_layer(EXAMPLE), &[]).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(plan.storage.misc_bytes, 1 << 20);
    for (symbol, value) in [("ANDROID_AB", "y"), ("CMD_BCB", "y"), ("ANDROID_AB_BACKUP_OFFSET", "0x1000")] {
        assert_eq!(plan.uboot.symbols[symbol].value, value);
    }
    let environment = content(&plan, "/usr/lib/fastness/u-boot.env");
    let chosen = "bootcmd=bcb ab_select slot virtio 0#misc; read virtio 0#fit_${slot} 50000000 0 10000; bootm 50000000#conf; read virtio 0#fit_a ";
    assert!(environment.contains(chosen), "{environment}");
    let program = content(&plan, "/usr/lib/fastness/update");
    let root_b = spec::guid::guid("cell-gateway", "qemu-aarch64", "root_b");
    for line in
        ["tries=5", "restart=false", "rollback=0", "product=cell-gateway", &format!("slot_b={root_b}")]
    {
        assert!(program.contains(&format!("\n{line}\n")), "{line}");
    }
    assert!(
        content(&plan, "/usr/lib/fastness/selfcheck")
            .contains("\n/usr/lib/fastness/update settle \"$verdict\"")
    );
    assert!(plan.checks.contains_key("upd.signed-only") && plan.checks.contains_key("self.update"));
}

#[test]
fn without_the_layer_nothing_of_it_is_there() {
    let plan = load(EXAMPLE, &[]).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(!serde_json::to_string(&plan.storage).expect("json").contains("misc"));
    assert!(!content(&plan, "/usr/lib/fastness/u-boot.env").contains("bcb"));
    assert!(!content(&plan, "/usr/lib/fastness/selfcheck").contains("fastness/update"));
    assert!(!plan.uboot.symbols.contains_key("CMD_BCB"));
}

#[test]
fn a_sealed_data_partition_and_a_series_without_the_command_are_refused() {
    let recovery = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sealed-logger/recovery.pub.pem"),
    )
    .expect("the example's key");
    let sealed = with_layer(SEALED);
    let scarthgap = with_layer(EXAMPLE) + "backend: yocto\nyocto: {series: scarthgap}\n";
    for (text, code, message) in [
        (&sealed, "update-of-sealed", "the key of the sealed data partition is bound to this one"),
        (
            &scarthgap,
            "not-in-series",
            "layer update asks for the symbol `CMD_BCB` of U-Boot, which the series `scarthgap` has not: ",
        ),
    ] {
        let failure = load(text, &[("recovery.pub.pem", &recovery)]).expect_err(code);
        let found = failure.diagnostics.iter().find(|d| d.code == code);
        let found = found.unwrap_or_else(|| panic!("no `{code}` in {failure}"));
        assert!(found.message.contains(message), "{failure}");
        assert!(found.location.is_some());
        assert_eq!(failure.status, diag::ExitStatus::Input);
    }
}

#[test]
fn every_shipped_board_chooses_a_slot() {
    let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../boards");
    for board in std::fs::read_dir(boards).expect("boards") {
        let board = board.expect("a board").file_name().into_string().expect("a name");
        let text = spec::scaffold("my-device").replace("qemu-aarch64", &board);
        let plan = load_for(&with_layer(&text), &[], Some(&board))
            .unwrap_or_else(|failure| panic!("{board}: {failure}"));
        let facts = &plan.board.boot;
        let chosen = format!("bcb ab_select slot {} {}#misc; ", facts.block_interface, facts.block_device);
        let environment = content(&plan, "/usr/lib/fastness/u-boot.env");
        // What is read first of a card wakes it, and is not started.
        let first = environment.find("bootm").expect("a start");
        assert!(environment.find(&chosen).is_some_and(|at| at < first), "{board}: {environment}");
    }
}
