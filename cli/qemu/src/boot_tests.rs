use std::collections::BTreeMap;

use record::{KeyMark, SelfcheckEvent, SelfcheckVerdict};
use spec::plan::Plan;

use super::*;

fn record() -> ImageRecord {
    ImageRecord {
        schema_version: 1,
        product: "test".into(),
        version: "1".into(),
        board: "board".into(),
        plan_sha256: String::new(),
        files: BTreeMap::new(),
        vendor: BTreeMap::new(),
        key_mark: KeyMark::Development,
        key_name: "dev".into(),
        key_fingerprint: String::new(),
        algorithm: "sha256,rsa3072".into(),
        padding: "pkcs-1.5".into(),
        verity_root_hash: String::new(),
        verity_salt: String::new(),
        verity_data_blocks: 0,
        cmdline: String::new(),
        partitions: Vec::new(),
        effective: Vec::new(),
    }
}

/// The plan of the shipped example: it has checks of the kind `selfcheck`.
fn plan() -> Plan {
    let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
    spec::load(&product, None).unwrap_or_else(|failure| panic!("{failure}"))
}

fn console(text: &str) -> Vec<ConsoleLine> {
    text.lines().map(|text| ConsoleLine { ms: 5, text: text.to_owned() }).collect()
}

fn event(event: &str, check: &str, verdict: SelfcheckVerdict) -> SelfcheckEvent {
    SelfcheckEvent { event: event.into(), check: check.into(), verdict, seen: "x".into() }
}

fn whole_report(plan: &Plan) -> Report {
    let pass = |check| event("selfcheck", check, SelfcheckVerdict::Pass);
    Report {
        events: selfcheck::expected(plan).map(pass).collect(),
        end: Some(event("selfcheck-end", "all", SelfcheckVerdict::Pass)),
        identity: std::collections::BTreeMap::new(),
    }
}

const GOOD: &str = include_str!("../fixtures/good.log");
const SECONDS: Duration = Duration::from_secs(40);

fn judged(log: &str, report: &Report, ending: &Seen) -> Option<String> {
    ended(log, report, ending, "guest-reset")
}

fn ended(log: &str, report: &Report, ending: &Seen, reset: &str) -> Option<String> {
    let (plan, record) = (plan(), record());
    let timeline = timeline(&record, &console(log), report, &[]);
    judge(&plan, &record, &timeline, report, ending, Some(reset), SECONDS)
}

#[test]
fn a_recorded_good_boot_has_its_points_in_order_and_passes() {
    let plan = plan();
    let report = whole_report(&plan);
    assert!(report.events.len() >= 5, "the example expects {} checks", report.events.len());
    let last = console(r#"{"event":"selfcheck-end","check":"all","verdict":"pass","seen":"x"}"#);
    let points: Vec<String> =
        timeline(&record(), &console(GOOD), &report, &last).into_iter().map(|m| m.name).collect();
    assert_eq!(points, ["u-boot", "fit-verified", "kernel-started", "kernel", "userspace", "selfcheck"]);
    assert_eq!(judged(GOOD, &report, &Seen::Closed), None);
}

#[test]
fn a_check_that_never_reported_is_a_failure() {
    let mut report = whole_report(&plan());
    let missing = report.events.remove(0).check;
    let why = judged(GOOD, &report, &Seen::Closed).unwrap();
    assert_eq!(why, format!("`{missing}` never reported"));
}

#[test]
fn a_boot_without_verification_does_not_pass() {
    let log = GOOD.replace("sha256,rsa3072:dev+ OK", "OK");
    let why = judged(&log, &whole_report(&plan()), &Seen::Closed).unwrap();
    assert!(why.contains("never said that it verified the key `dev` with `sha256,rsa3072`"), "{why}");
}

#[test]
fn a_boot_that_stops_says_where() {
    let panic = ConsoleLine { ms: 9, text: "Kernel panic - not syncing: VFS".into() };
    let why = judged(GOOD, &Report::default(), &Seen::Line { pattern: 1, line: panic }).unwrap();
    assert_eq!(why, "it got as far as `userspace`, then the console says `Kernel panic - not syncing: VFS`");
    let why = judged("U-Boot 2025.01\n", &Report::default(), &Seen::TimedOut).unwrap();
    assert_eq!(why, "it got as far as `u-boot` and did not finish within 40 s");
    let why = judged("", &Report::default(), &Seen::Closed).unwrap();
    assert_eq!(why, "it got as far as `nothing`, then the machine ended (guest-reset)");
    let why = ended(GOOD, &Report::default(), &Seen::Closed, BY_WATCHDOG).unwrap();
    assert!(
        why.starts_with("it got as far as `userspace`, then its watchdog (I6300ESB_WDT) reset it: "),
        "{why}"
    );
    assert!(why.ends_with("keeps the computer busy, start it again with nothing beside it"), "{why}");
}
