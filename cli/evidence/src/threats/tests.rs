use std::path::Path;

use record::{Finding, Stage};
use serde_json::json;
use spec::library::{Area, Library};
use spec::plan::{Asked, Origin};
use spec::source::Source;

use super::compare::{Change, ThreatComparison};
use super::*;

fn example(name: &str) -> Plan {
    let path = format!("{}/../../examples/{name}/product.yaml", env!("CARGO_MANIFEST_DIR"));
    spec::load(Path::new(&path), None).unwrap_or_else(|failure| panic!("{failure}"))
}

fn shipped() -> (Threats, Protocols) {
    let library = Library::built_in(None);
    let mut trouble = Vec::new();
    let protocols = spec::protocol::all(&library, &mut trouble).unwrap();
    (Threats::read(&library).unwrap_or_else(|failure| panic!("{failure}")), protocols)
}

fn model(plan: &Plan, findings: Option<&[Finding]>) -> ThreatReport {
    let (threats, protocols) = shipped();
    ThreatReport::new(plan, findings, &threats, &protocols).unwrap_or_else(|failure| panic!("{failure}"))
}

fn threat<'r>(report: &'r ThreatReport, key: &str) -> &'r ThreatState {
    report.threats.iter().find(|threat| threat.key() == key).unwrap_or_else(|| panic!("no threat {key}"))
}

fn finding(check: &str, verdict: Verdict) -> Finding {
    Finding {
        check: check.to_owned(),
        title: String::new(),
        layer: String::new(),
        requirements: Vec::new(),
        stage: Stage::Static,
        verdict,
        expected: String::new(),
        seen: String::new(),
        artefact_sha256: String::new(),
        waiver: None,
        parts: Vec::new(),
        defined_at: String::new(),
    }
}

/// Every check and every proof that the catalogue names, passed.
fn all_passed() -> Vec<Finding> {
    let (threats, _) = shipped();
    let controls = threats.threats.iter().flat_map(|(_, t)| t.controls.iter().chain(&t.lessened_by));
    let mut ids: BTreeSet<String> =
        controls.flat_map(|c| c.checks.iter().chain(&c.proofs)).map(|id| id.as_str().to_owned()).collect();
    // Those that are made once for each interface or tunnel.
    ids.extend(["cell-gateway", "plc-gateway"].into_iter().flat_map(|name| example(name).checks.into_keys()));
    ids.into_iter().map(|id| finding(&id, Verdict::Pass)).collect()
}

fn take(plan: &mut Plan, target: &str) {
    let origin = Origin {
        who: "product".to_owned(),
        file: "product.yaml".to_owned(),
        line: 7,
        reason: "The cabinet is locked".to_owned(),
    };
    plan.waivers.insert(target.to_owned(), Asked { value: (), origins: vec![origin] });
}

#[test]
fn every_check_and_attack_that_the_catalogue_names_is_shipped() {
    let library = Library::built_in(None);
    let mut known = BTreeSet::new();
    for name in library.names(Area::Layers).unwrap() {
        let source = library.read(Area::Layers, &format!("{name}/layer.yaml")).unwrap().unwrap();
        let mut trouble = Vec::new();
        let layer = spec::library::read_model::<spec::layer::Layer>(&source, &mut trouble).unwrap();
        known.extend(layer.checks.iter().map(|check| check.id.as_str().to_owned()));
        known.extend(layer.selfcheck.iter().map(|check| check.id.as_str().to_owned()));
    }
    for (id, threat) in shipped().0.threats {
        for control in threat.controls.iter().chain(&threat.lessened_by) {
            for check in &control.checks {
                // Those of the layer that `fastness monitor` writes for one image.
                let made = check.as_str().starts_with("monitor.");
                assert!(made || known.contains(check.as_str()), "{id}: no layer has `{}`", check.as_str());
            }
            for proof in &control.proofs {
                let proof = proof.as_str();
                let attack = proof.strip_prefix("attack.").map(|name| {
                    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../attacks/{name}.yaml")).is_file()
                });
                assert!(
                    attack.unwrap_or(crate::traffic::is_finding(proof) || known.contains(proof)),
                    "{id}: {proof}"
                );
            }
        }
    }
}

#[test]
fn an_example_s_threats_follow_from_its_zones_services_and_people() {
    let report = model(&example("cell-gateway"), None);
    assert_eq!(report.exit_status(), ExitStatus::Success, "{}", terminal::render(&report, false));
    // Two interfaces: each is a link. SSH by its port, since the product names none of its protocols.
    for key in [
        "link.unplanned:eth0",
        "link.unplanned:eth1",
        "service.impostor:service-ssh",
        "login.root:maintenance",
    ] {
        let found = threat(&report, key);
        assert_eq!((found.status, found.proven), (Status::Answered, false), "{key}: {}", found.why);
    }
    // What the product takes upon itself, with its words.
    let time = threat(&report, "client.time-forged:plant-time");
    assert_eq!((time.status, time.remaining.as_str()), (Status::Accepted, "medium"));
    assert!(time.why.contains("product.yaml:"), "{}", time.why);
    assert_eq!(threat(&report, "hardware.debug-port:hardware").status, Status::LeftTo);
    assert!(!report.threats.iter().any(|threat| threat.at == "tunnel"), "no tunnel, no threat to it");
}

#[test]
fn a_tunnel_brings_its_own_threats_and_a_conduit_s_risk_is_taken_in_its_words() {
    let report = model(&example("plc-gateway"), None);
    assert_eq!(report.exit_status(), ExitStatus::Success, "{}", terminal::render(&report, false));
    let inside = threat(&report, "service.tunnel-left-out:scada-modbus");
    let peers = threat(&report, "service.tunnel-left-out:historian-modbus").controls.iter();
    assert!(peers.flat_map(|c| &c.checks).any(|check| check.check == "openvpn.peers.historian"));
    let link = threat(&report, "link.unplanned:eth1").controls.iter().flat_map(|control| &control.checks);
    let frames: Vec<&str> =
        link.map(|check| check.check.as_str()).filter(|id| id.starts_with("net.frames")).collect();
    assert_eq!(frames, ["net.frames.eth1"]);
    // The other kind of tunnel's control is none of this one's.
    let checks: Vec<&str> =
        inside.controls.iter().flat_map(|c| &c.checks).map(|check| check.check.as_str()).collect();
    assert_eq!((inside.status, checks.contains(&"ipsec.tunnels")), (Status::Answered, true));
    assert!(!checks.iter().any(|check| check.starts_with("openvpn.")), "{checks:?}");
    let frames = threat(&report, "frames.forged:cell-drives");
    assert_eq!(frames.status, Status::Accepted);
    assert_eq!(frames.remaining, "high");
}

#[test]
fn a_check_that_the_plan_no_longer_has_is_a_control_that_is_lost() {
    let before = example("cell-gateway");
    let mut after = before.clone();
    after.checks.remove("net.nft-default-drop").unwrap();
    let (old, new) = (model(&before, None), model(&after, None));
    let lost = threat(&new, "link.unplanned:eth0");
    assert_eq!(lost.status, Status::Part);
    assert!(lost.why.contains("`net.nft-default-drop` is not in the plan"), "{}", lost.why);
    assert_eq!((lost.remaining.as_str(), new.exit_status()), ("high", ExitStatus::Check));
    let comparison = ThreatComparison::new(&old, &new);
    assert_eq!(comparison.exit_status(), ExitStatus::Check);
    assert!(comparison.changed.iter().all(|one| one.change == Change::Lost && !one.lost.is_empty()));
    assert!(comparison.text().contains("link.unplanned:eth1"), "{}", comparison.text());
    // The other way round it is no loss.
    let back = ThreatComparison::new(&new, &old);
    assert!(back.holds && back.changed.iter().all(|one| one.change == Change::Gained));
    assert!(ThreatComparison::new(&old, &old).changed.is_empty());
}

#[test]
fn only_a_run_proves_and_a_failure_of_it_takes_the_control_away() {
    let plan = example("cell-gateway");
    let mut findings = all_passed();
    let report = model(&plan, Some(&findings));
    let answered = report.threats.iter().filter(|threat| threat.status == Status::Answered);
    assert!(answered.clone().count() > 30 && answered.clone().all(|threat| threat.proven));
    // A flipped block that was not refused: the check of the image passed, and the control does not hold.
    for (id, verdict) in
        [("attack.verity-data-flipped", Verdict::Fail), ("boot.cmdline", Verdict::CouldNotRun)]
    {
        let at = findings.iter().position(|finding| finding.check == id).unwrap();
        findings[at].verdict = verdict;
        let report = model(&plan, Some(&findings));
        let lost = threat(&report, "disk.root-changed:disk");
        assert_eq!((lost.status, report.exit_status()), (Status::Open, ExitStatus::Check));
        assert!(lost.why.contains(&format!("`{id}` is failed")), "{}", lost.why);
        findings[at].verdict = Verdict::Pass;
    }
    // What nobody looked at is planned and not proven; what was waived is no control.
    findings.retain(|finding| finding.check != "exec.suid-inventory");
    let at = findings.iter().position(|finding| finding.check == "audit.immutable").unwrap();
    findings[at].verdict = Verdict::Waived;
    let report = model(&plan, Some(&findings));
    let root = threat(&report, "program.to-root:program");
    assert_eq!((root.status, root.proven), (Status::Answered, false));
    let unseen = threat(&report, "program.unseen:program");
    assert_eq!(unseen.status, Status::Open);
    assert!(unseen.why.contains("`audit.immutable` is waived"));
    // A waiver has a reason: the product lives with what the check would have shown, for that reason.
    findings[at].waiver = Some("The collector keeps them".to_owned());
    let report = model(&plan, Some(&findings));
    let unseen = threat(&report, "program.unseen:program");
    assert_eq!((unseen.status, report.exit_status()), (Status::Accepted, ExitStatus::Success));
    assert!(unseen.remaining_why.contains("`audit.immutable` is waived: The collector keeps them"));
    // What failed beside it is no waiver's matter.
    let other = findings.iter().position(|finding| finding.check == "audit.coverage").unwrap();
    findings[other].verdict = Verdict::Fail;
    let report = model(&plan, Some(&findings));
    assert_eq!(threat(&report, "program.unseen:program").status, Status::Open);
}

#[test]
fn a_risk_is_taken_here_or_everywhere_and_one_that_there_is_not_is_refused() {
    let mut plan = example("cell-gateway");
    let gone: Vec<String> = plan.waivers.keys().filter(|key| key.starts_with(WAIVER)).cloned().collect();
    for key in gone {
        plan.waivers.remove(&key);
    }
    let report = model(&plan, None);
    assert_eq!(threat(&report, "data.read:data").status, Status::Open);
    assert_eq!(report.exit_status(), ExitStatus::Check);
    take(&mut plan, "threat:data.read");
    take(&mut plan, "threat:client.time-forged:plant-time");
    take(&mut plan, "threat:login.root");
    let report = model(&plan, None);
    let read = threat(&report, "data.read:data");
    assert_eq!((read.status, read.remaining.as_str()), (Status::Accepted, "high"));
    assert!(read.why.contains("The cabinet is locked (product, product.yaml:7)"), "{}", read.why);
    assert_eq!(threat(&report, "client.time-forged:plant-time").status, Status::Accepted);
    assert_eq!(report.not_needed, ["login.root"]);
    let (threats, protocols) = shipped();
    // The short look refuses what the whole model refuses, and nothing else.
    check(&plan, &threats, &protocols).unwrap();
    for (target, expected) in [
        ("threat:data.reed", "there is no such threat"),
        ("threat:client.time-forged:plant-tim", "plant-time"),
        ("threat:tunnel.read", "the product has no entry point for that threat"),
    ] {
        let mut plan = plan.clone();
        take(&mut plan, target);
        let failure = ThreatReport::new(&plan, None, &threats, &protocols).unwrap_err();
        assert_eq!(check(&plan, &threats, &protocols).unwrap_err().to_string(), failure.to_string());
        assert_eq!(failure.status, ExitStatus::Input);
        assert!(failure.to_string().contains(expected), "{failure}");
        assert!(failure.to_string().contains("product.yaml:7"), "{failure}");
    }
}

#[test]
fn a_product_adds_threats_of_its_own() {
    let (shipped, protocols) = shipped();
    let own = "threats:\n  cell.robot: {title: The robot moves, stride: tampering, at: link, assets: [zones], risk: high, residual: {risk: high, reason: It is strong}}\n";
    let built_in = Library::built_in(None).read(Area::Standards, spec::threats::FILE).unwrap().unwrap();
    let more = Threats::of(&[built_in, Source::new("threats.yaml", "threats.yaml", own.to_owned())]).unwrap();
    assert_eq!(more.threats.len(), shipped.threats.len() + 1);
    let report = ThreatReport::new(&example("cell-gateway"), None, &more, &protocols).unwrap();
    assert_eq!(threat(&report, "cell.robot:eth1").status, Status::Open);
}

#[test]
fn the_page_stands_alone_and_the_schemas_name_what_is_written() {
    let mut report = model(&example("plc-gateway"), Some(&all_passed()));
    report.threats[0].why = "<img src=x onerror=1>\"'".to_owned();
    report.entries[0].title.push_str("<script>");
    let page = html::render(&report);
    assert!(page.contains("&lt;img src=x"));
    // The table counts those that are answered in part, too, which are not open.
    let undone = report.threats.iter().filter(|threat| threat.status.is_open()).count();
    assert_eq!(page.contains(" to do</span>"), undone > 0);
    for banned in ["<img", "<script", "<link", "http://", "https://", "url("] {
        assert!(!page.contains(banned), "{banned}");
    }
    for tag in ["section", "details", "table", "div", "ul"] {
        let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    let names = |value: &serde_json::Value| -> BTreeSet<String> {
        value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let (value, schema) = (json!(report), schema::report());
    assert_eq!(names(&value), names(&schema["properties"]));
    for list in ["threats", "entries", "assets"] {
        assert_eq!(
            names(&value[list][0]),
            names(&schema["properties"][list]["items"]["properties"]),
            "{list}"
        );
    }
    let control = &schema["properties"]["threats"]["items"]["properties"]["controls"]["items"]["properties"];
    assert_eq!(names(&value["threats"][0]["controls"][0]), names(control));
    assert_eq!(
        names(&value["threats"][0]["controls"][0]["checks"][0]),
        names(&control["checks"]["items"]["properties"])
    );
    let mut plan = example("plc-gateway");
    plan.checks.remove("sshd.limits");
    let comparison = json!(ThreatComparison::new(&report, &model(&plan, None)));
    let schema = schema::comparison();
    assert_eq!(names(&comparison), names(&schema["properties"]));
    assert_eq!(
        names(&comparison["changed"][0]),
        names(&schema["properties"]["changed"]["items"]["properties"])
    );
}

#[test]
fn the_report_has_the_model_beside_the_evidence() {
    use crate::report::{Report, html as page, sample};
    let mut report = Report::new(sample::input()).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(!page::render(&report).contains("id=\"threats\""));
    let plan = example("cell-gateway");
    let planned = model(&plan, Some(&[]));
    let open = planned.threats.iter().filter(|threat| threat.status.is_open()).count();
    let all = planned.threats.len();
    report.threats = Some(planned);
    let text = page::render(&report);
    assert!(
        text.contains("id=\"threats\"") && text.contains(&format!("<b>{open}/{all}</b>")),
        "{open} of {all}"
    );
    assert!(text.contains("<b>0</b> of the answered ones proven by this run"));
    // A name that is its own kind is not said twice.
    assert!(
        text.contains("<b>disk</b> <span class=dim></span>")
            && text.contains("<b>eth0</b> <span class=dim>link")
    );
    report.threats = Some(model(&plan, Some(&all_passed())));
    let text = page::render(&report);
    assert!(!text.contains("<b>0</b> of the answered ones proven by this run"));
    let mut hostile = report.threats.clone().unwrap();
    hostile.entries[0].title = "<img src=x>".to_owned();
    report.threats = Some(hostile);
    assert!(!page::render(&report).contains("<img"));
}
