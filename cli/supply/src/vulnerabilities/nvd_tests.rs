//! Dumps of the NVD, made here in the shape of its schema.

use serde_json::{Value, json};

use super::super::{Database, State, Vulnerabilities, look_up};
use super::*;
use crate::sample;

/// A page with records of one configuration each.
fn page(records: &[Value]) -> Value {
    let vulnerabilities: Vec<Value> = records.iter().map(|record| json!({"cve": record})).collect();
    json!({"resultsPerPage": records.len(), "format": "NVD_CVE", "version": "2.0", "vulnerabilities": vulnerabilities})
}

fn record(configurations: Value) -> Value {
    json!({"id": "CVE-2026-9", "vulnStatus": "Analyzed",
        "descriptions": [{"lang": "es", "value": "uno"}, {"lang": "en", "value": "one\ntwo"}],
        "metrics": {"cvssMetricV31": [{"type": "Primary", "cvssData": {"vectorString": "x", "baseSeverity": "HIGH"}}]},
        "configurations": configurations})
}

/// A configuration with one product.
fn affects(product: &str, version: &str, more: Value) -> Value {
    let mut one = json!({"vulnerable": true, "matchCriteriaId": "1",
        "criteria": format!("cpe:2.3:o:{product}:{version}:*:*:*:*:*:*")});
    one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([{"nodes": [{"operator": "OR", "negate": false, "cpeMatch": [one]}]}])
}

/// What a dump says of a bill with Linux 6.12.3, U-Boot 2025.01-rc2 and Debian's OpenSSL 3.0.1.
fn looked(dump: &Value, more: &[Database<'_>]) -> Vulnerabilities {
    let mut bill = sample::bill();
    bill.components[0].version = "2025.01-rc2".to_owned();
    let mut kernel = bill.components[0].clone();
    (kernel.kind, kernel.name, kernel.version) = (Kind::Kernel, "linux".into(), "6.12.3".into());
    (kernel.purl, kernel.source) = ("pkg:generic/linux@6.12.3".into(), String::new());
    bill.components.push(kernel);
    let mut packaged = bill.components[1].clone();
    (packaged.name, packaged.version) = ("libssl3".into(), "3.0.1-2+deb13u1".into());
    (packaged.purl, packaged.source) =
        ("pkg:deb/debian/libssl3@3.0.1".into(), "openssl 1:3.0.1-2+deb13u1".into());
    bill.components.push(packaged);
    let text = dump.to_string();
    let mut all = vec![Database { name: "nvd.json", bytes: text.as_bytes() }];
    all.extend(more.iter().map(|one| Database { name: one.name, bytes: one.bytes }));
    look_up(&bill, "trixie", &all, None).unwrap()
}

/// Component and state of each finding.
fn found(dump: &Value) -> Vec<(String, State)> {
    looked(dump, &[]).found.into_iter().map(|one| (one.component, one.state)).collect()
}

#[test]
fn the_kernel_and_the_boot_loader_are_held_against_ranges() {
    let range = |start: (&str, &str), end: (&str, &str)| {
        let mut more = json!({});
        for (key, version) in [start, end].into_iter().filter(|(key, _)| !key.is_empty()) {
            more[key] = version.into();
        }
        !found(&page(&[record(affects("linux:linux_kernel", "*:*", more))])).is_empty()
    };
    let (from, after) = ("versionStartIncluding", "versionStartExcluding");
    let (with, until) = ("versionEndIncluding", "versionEndExcluding");
    for (start, end, hit) in [
        (("", ""), ("", ""), true),
        ((from, "6.12"), (until, "6.12.4"), true),
        ((from, "6.12.3"), (until, "6.12.4"), true),
        ((after, "6.12.3"), (until, "6.12.4"), false),
        ((after, "6.12.2"), (with, "6.12.3"), true),
        ((from, "5.0"), (until, "6.12.3"), false),
        ((from, "6.13"), (until, "6.14"), false),
        ((from, "6.2"), (until, "6.100"), true),
    ] {
        assert_eq!(range(start, end), hit, "{start:?} {end:?}");
    }
    let all = looked(&page(&[record(affects("linux:linux_kernel", "*:*", json!({(until): "6.12.4"})))]), &[]);
    let one = &all.found[0];
    assert_eq!((one.id.as_str(), one.severity, one.what.as_str()), ("CVE-2026-9", Severity::High, "one"));
    assert_eq!((one.fixed_in.as_deref(), one.state), (Some("6.12.4"), State::Affected));
    // What it does not speak of is not clean, and a candidate comes before its release.
    assert!(all.not_looked_at.contains(&"u-boot".to_owned()), "{:?}", all.not_looked_at);
    for (end, hit) in [("2025.01", true), ("2025.01-rc2", false), ("2025.01-rc3", true), ("2024.10", false)] {
        let dump = page(&[record(affects("denx:u-boot", "*:*", json!({(until): end})))]);
        assert_eq!(!found(&dump).is_empty(), hit, "{end}");
    }
    for (version, hit) in
        [("2025.01:rc2", true), ("2025.01:rc1", false), ("2025.01:*", false), ("2025.01-rc2:*", true)]
    {
        let dump = page(&[record(affects("denx:u-boot", version, json!({})))]);
        assert_eq!(!found(&dump).is_empty(), hit, "{version}");
    }
}

#[test]
fn what_a_record_does_not_decide_is_undecided_and_what_is_rejected_is_none() {
    let state = |configurations: Value| {
        let all = looked(&page(&[record(configurations)]), &[]);
        all.found.first().map(|one| (one.state, one.why.clone()))
    };
    let undecided = |configurations: Value, why: &str| {
        let (state, said) = state(configurations).expect("it is found");
        assert!(state == State::Undecided && said.contains(why), "{said}");
    };
    undecided(affects("linux:linux_kernel", "-:*", json!({})), "names no version");
    undecided(affects("linux:linux_kernel", "*:*", json!({"versionEndExcluding": "one two"})), "`one two`");
    let mut both = affects("linux:linux_kernel", "*:*", json!({}));
    both[0]["operator"] = "AND".into();
    let chip = json!({"negate": false, "cpeMatch": [{"vulnerable": false, "criteria": "cpe:2.3:h:maker:chip:-:*:*:*:*:*:*:*"}]});
    both[0]["nodes"].as_array_mut().unwrap().push(chip);
    undecided(both.clone(), "only together with `maker:chip`");
    both[0]["operator"] = "OR".into();
    assert_eq!(state(both).unwrap().0, State::Affected);
    let mut denied = affects("linux:linux_kernel", "*:*", json!({}));
    denied[0]["nodes"][0]["negate"] = true.into();
    undecided(denied, "what it is not about");
    // A platform is not what is vulnerable.
    assert!(state(affects("linux:linux_kernel", "*:*", json!({"vulnerable": false}))).is_none());
    assert!(state(affects("other:linux_kernel", "*:*", json!({}))).is_none());
    assert!(state(json!([])).is_none());
    let mut rejected = record(affects("linux:linux_kernel", "*:*", json!({})));
    rejected["vulnStatus"] = "Rejected".into();
    assert!(found(&page(&[rejected])).is_empty());
}

#[test]
fn debians_own_word_goes_before_that_of_the_nvd() {
    let dump = page(&[record(affects("openssl:openssl", "*:*", json!({"versionEndExcluding": "3.0.9"})))]);
    let all = looked(&dump, &[]);
    let one = &all.found[0];
    assert_eq!((one.component.as_str(), one.state), ("libssl3 3.0.1-2+deb13u1", State::Undecided));
    assert!(one.why.contains("ask its tracker"), "{}", one.why);
    // In a version that was never affected there is nothing to ask.
    let later = page(&[record(affects("openssl:openssl", "*:*", json!({"versionStartIncluding": "3.0.2"})))]);
    assert!(found(&later).is_empty());
    let tracker = json!({"openssl": {"CVE-2026-9": {"releases": {"trixie": {"status": "resolved", "fixed_version": "3.0.1-2+deb13u1"}}}}});
    let tracker = tracker.to_string();
    let both = looked(&dump, &[Database { name: "tracker.json", bytes: tracker.as_bytes() }]);
    assert!(both.found.is_empty(), "{:?}", both.found);
}

#[test]
fn the_worst_word_counts_and_a_vector_where_there_is_none() {
    let of = |metrics: Value| {
        let mut record = record(affects("linux:linux_kernel", "*:*", json!({})));
        record["metrics"] = metrics;
        looked(&page(&[record]), &[]).found[0].severity
    };
    assert_eq!(of(json!({})), Severity::Unknown);
    assert_eq!(
        of(json!({"cvssMetricV2": [{"baseSeverity": "MEDIUM", "cvssData": {"vectorString": "AV:N"}}]})),
        Severity::Medium
    );
    let vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H";
    assert_eq!(of(json!({"cvssMetricV31": [{"cvssData": {"vectorString": vector}}]})), Severity::Critical);
    let two = json!({"cvssMetricV31": [{"cvssData": {"baseSeverity": "LOW"}}], "cvssMetricV40": [{"cvssData": {"baseSeverity": "HIGH"}}]});
    assert_eq!(of(two), Severity::High);
}

#[test]
fn a_dump_that_is_torn_or_wrong_is_refused_and_several_pages_are_one() {
    let good = page(&[record(affects("linux:linux_kernel", "*:*", json!({})))]);
    assert_eq!(found(&json!([good.clone(), good.clone()])).len(), 1);
    let refused = |text: &str| {
        let database = Database { name: "nvd.json", bytes: text.as_bytes() };
        let failure = look_up(&sample::bill(), "trixie", &[database], None).unwrap_err();
        assert_eq!(failure.status, diag::ExitStatus::Input);
        failure.to_string()
    };
    let text = good.to_string();
    assert!(
        refused(&text[..text.len() - 3])
            .contains("`nvd.json` is no database of vulnerabilities: expected a dump")
    );
    for wrong in [
        json!({"format": "NVD_CVE"}),
        json!({"format": "NVD_CVE", "vulnerabilities": {}}),
        json!({"format": "NVD_CVE", "vulnerabilities": [{"id": "CVE-1"}]}),
        page(&[json!({"id": 7})]),
        page(&[
            json!({"id": "CVE-1", "configurations": [{"nodes": [{"cpeMatch": [{"vulnerable": "yes"}]}]}]}),
        ]),
    ] {
        assert!(refused(&wrong.to_string()).contains("expected a dump of the NVD"), "{wrong}");
    }
    for name in
        ["cpe:/o:linux:linux_kernel", "cpe:2.3:o:linux", "", "cpe:2.3:o:linux:linux_kernel:*:*:*:*:*:*:*:*:*"]
    {
        let mut one = affects("x:y", "*:*", json!({}));
        one[0]["nodes"][0]["cpeMatch"][0]["criteria"] = name.into();
        let said = refused(&page(&[record(one)]).to_string());
        assert!(said.contains("CVE-2026-9: expected a name of CPE 2.3, found `"), "{said}");
    }
    // A colon that belongs to a field, and a mark in a database of another kind.
    assert_eq!(fields(r"cpe:2.3:a:b:c\:d:1\+2:*:*:*:*:*:*:*").unwrap()[4..6], ["c:d", "1+2"]);
    assert!(!is_dump(b"{\"some-source\": {}}") && is_dump(text.as_bytes()));
}

#[test]
fn each_line_of_the_names_is_one() {
    assert!(names().len() > 50);
    for (source, products) in names() {
        for product in products {
            let parts = product.split(':').filter(|part| !part.is_empty() && !part.contains(' ')).count();
            assert_eq!((parts, product.matches(':').count()), (2, 1), "{source} {product}");
        }
    }
}
