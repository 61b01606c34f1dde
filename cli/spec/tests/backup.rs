//! The layers that make backups and erase the device: what they cannot stand beside, and who reads the records.

use spec::plan::Plan;

const EXAMPLE: &str = include_str!("../../../examples/cell-gateway/product.yaml");
const SEALED: &str = include_str!("../../../examples/sealed-logger/product.yaml");
const RECOVERY: &str = include_str!("../../../examples/sealed-logger/recovery.pub.pem");

fn load(text: &str) -> Result<Plan, diag::Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("recovery.pub.pem"), RECOVERY).expect("written");
    let product = folder.path().join("product.yaml");
    std::fs::write(&product, text).expect("written");
    spec::load(&product, None)
}

fn content<'p>(plan: &'p Plan, path: &str) -> &'p str {
    let spec::plan::FilePlan::File { content, .. } = &plan.files[path].value else {
        panic!("{path} is no file with content")
    };
    content
}

#[test]
fn the_parameters_of_backups_are_in_the_program_and_its_checks() {
    let layers = "layers: {backup: {limit: 2MiB, restart: false, application: /var/lib/pump}}\n";
    let plan = load(&format!("{EXAMPLE}\n{layers}")).unwrap_or_else(|failure| panic!("{failure}"));
    let program = content(&plan, "/usr/lib/fastness/backup");
    for line in [
        "product=cell-gateway",
        "limit=2097152",
        "restart=false",
        "kept='/var/lib/fastness /var/lib/pump'",
        "key=/var/lib/fastness/backup/key",
    ] {
        assert!(program.contains(&format!("\n{line}\n")), "{line}");
    }
    for check in ["rec.backup", "rec.backup-verify", "rec.restore"] {
        assert!(plan.checks.contains_key(check), "{check}");
    }
    assert!(!load(EXAMPLE).unwrap_or_else(|failure| panic!("{failure}")).checks.contains_key("rec.backup"));
}

#[test]
fn a_reset_that_would_leave_a_key_in_the_tpm_is_refused() {
    let plan = load(&format!("{EXAMPLE}\nlayers: {{factory-reset: {{}}}}\n"));
    assert!(plan.unwrap_or_else(|failure| panic!("{failure}")).checks.contains_key("rec.factory-reset"));
    let failure = load(&format!("{SEALED}\nlayers: {{factory-reset: {{}}}}\n")).expect_err("refused");
    let found = failure.diagnostics.iter().find(|d| d.code == "reset-of-tpm");
    let found = found.unwrap_or_else(|| panic!("no `reset-of-tpm` in {failure}"));
    assert_eq!(
        found.message,
        "the layer `factory-reset` erases the data partition, and the key of the sealed data partition is the TPM's (layer `measured-boot`)"
    );
    assert!(found.location.is_some());
    assert_eq!(failure.status, diag::ExitStatus::Input);
}

#[test]
fn auditors_get_the_records_and_nothing_else_of_them() {
    let line = |text: &str| {
        let plan = load(text).unwrap_or_else(|failure| panic!("{failure}"));
        let lines = content(&plan, "/usr/lib/tmpfiles.d/fastness-events.conf").lines().map(str::to_owned);
        lines.filter(|line| line.starts_with("d /var/log/events")).collect::<Vec<_>>()
    };
    let state = "d /var/log/events/state 0700 root root -";
    assert_eq!(
        line(&format!("{EXAMPLE}\nlayers: {{events: {{}}}}\n")),
        ["d /var/log/events 0700 root root -", state]
    );
    assert_eq!(
        line(&format!("{EXAMPLE}\nlayers: {{auditors: {{}}, events: {{}}}}\n")),
        ["d /var/log/events 2750 root auditors -", state]
    );
}

/// `mount` is not among the calls of `@system-service` (systemd.exec(5)): without it a reset is never seen to be asked for.
#[test]
fn a_service_whose_program_mounts_may_mount() {
    let layers = "layers: {backup: {}, factory-reset: {}}\n";
    let plan = load(&format!("{EXAMPLE}\n{layers}")).unwrap_or_else(|failure| panic!("{failure}"));
    let mut seen = Vec::new();
    for unit in plan.files.keys().filter(|path| path.ends_with(".service")) {
        let text = content(&plan, unit);
        let Some(program) = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/lib/fastness/"))
        else {
            continue;
        };
        let (name, word) = program.split_once(' ').unwrap_or((program, ""));
        let script = content(&plan, &format!("/usr/lib/fastness/{name}"));
        // Of the reset's two calls only `start` mounts.
        if word != "ask" && script.lines().any(|line| line.trim_start().starts_with("mount ")) {
            let filter = text.lines().find_map(|line| line.strip_prefix("SystemCallFilter="));
            assert!(filter.is_none_or(|filter| filter.contains("@mount")), "{unit}: {filter:?}");
            seen.push(unit.as_str());
        }
    }
    assert_eq!(seen, ["/etc/systemd/system/fastness-erase.service"]);
}
