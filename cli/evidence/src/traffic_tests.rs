use super::*;
use crate::report::sample;

fn of(traffic: &TrafficRecord, check: &str) -> Finding {
    findings_of_traffic(traffic).into_iter().find(|finding| finding.check == check).unwrap()
}

#[test]
fn interfaces_are_parts_of_one_finding() {
    let finding = of(&sample::traffic(), "traffic.tcp");
    assert_eq!((finding.verdict, finding.parts.len()), (Verdict::Pass, 2));
    assert_eq!(finding.seen, "2 of 2 hold");
    assert!(finding.parts[0].seen.contains("tcp/22 accepts"), "{:?}", finding.parts);
    assert_eq!(of(&sample::traffic(), "traffic.unasked").verdict, Verdict::Pass);
}

#[test]
fn a_port_too_many_fails_and_a_class_that_was_not_heard_is_no_pass() {
    let mut traffic = sample::traffic();
    let class = &mut traffic.interfaces[1].classes[0];
    class.verdict = TrafficVerdict::Fail;
    class.problems = vec!["tcp/8080 accepts, and no line of the surface allows it".to_owned()];
    let finding = of(&traffic, "traffic.tcp");
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(
        finding.seen.starts_with("1 of 2 hold: eth1, 192.0.2.7 to 192.0.2.1: tcp/8080"),
        "{}",
        finding.seen
    );
    traffic.interfaces[1].classes[0].verdict = TrafficVerdict::NotRun;
    assert_eq!(of(&traffic, "traffic.tcp").verdict, Verdict::CouldNotRun);
}

#[test]
fn events_are_parts_of_one_finding() {
    let mut traffic = sample::traffic();
    let class = |kind: &str, verdict, problem: &str| EventClass {
        kind: kind.into(),
        r#type: "audit.mount".into(),
        verdict,
        seen: vec!["record 7".into()],
        problems: if problem.is_empty() { vec![] } else { vec![problem.into()] },
    };
    traffic.events.push(class("a mount", TrafficVerdict::Pass, ""));
    let found = of(&traffic, "traffic.events");
    assert_eq!(
        (found.verdict, found.parts[0].id.as_str()),
        (Verdict::Pass, "traffic.events:a mount (audit.mount)")
    );
    // A proof of the events alone says nothing of the wires.
    traffic.interfaces.clear();
    let all = findings_of_traffic(&traffic);
    assert!(all.iter().all(|finding| finding.layer != "network"), "{all:?}");
    assert_eq!(all.len(), 1 + NAMED_EVENTS.len());
    // Some are findings of their own, for requirements of their own.
    let own = [
        (FULL_AUDIT_LOG, "traffic.audit-full"),
        (KILLED_RECORDER, "traffic.recorder-killed"),
        (DISABLED_FUNCTION, "traffic.selfcheck"),
        (FLOODED, "traffic.flood"),
        (EVENT_STORM, "traffic.monitor-bounded"),
        (FORGOTTEN, "traffic.wiped"),
        (HUNG, "traffic.watchdog"),
        (LOCKED_OUT, "traffic.lockout"),
        (PERSON_LOGS_IN, "traffic.logins"),
    ];
    for (begin, id) in own {
        traffic.events.push(class(&format!("{begin}: it is told"), TrafficVerdict::NotShown, "too large"));
        assert_eq!(of(&traffic, "traffic.events").parts.len(), 1);
        for (verdict, expected) in [
            (TrafficVerdict::NotShown, Verdict::NotApplicable),
            (TrafficVerdict::Pass, Verdict::Pass),
            (TrafficVerdict::Fail, Verdict::Fail),
        ] {
            traffic.events[1].verdict = verdict;
            assert_eq!(of(&traffic, id).verdict, expected);
        }
        traffic.events.pop();
    }
    traffic.events.push(class("a refused login", TrafficVerdict::Fail, "the device has no record"));
    let found = of(&traffic, "traffic.events");
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.parts[1].seen.contains("no record"), "{found:?}");
}

/// A proof of everything that a catalogue names.
fn whole() -> TrafficRecord {
    let mut traffic = sample::traffic();
    let named = NAMED_EVENTS.iter().flat_map(|named| named.kinds).map(|kind| (*kind).to_owned());
    let own = OF_EVENTS.iter().map(|of| format!("{}: it is told", of.begin));
    let other = std::iter::once("a file system is mounted".to_owned());
    let class = |kind| EventClass {
        kind,
        r#type: "audit.mount".into(),
        verdict: TrafficVerdict::Pass,
        seen: vec!["record 7".into()],
        problems: vec![],
    };
    traffic.events = named.chain(own).chain(other).map(class).collect();
    traffic
}

#[test]
fn a_check_of_the_catalogue_is_lost_with_each_class_that_its_text_names() {
    let catalogue = crate::requirements::Catalogue::built_in().unwrap();
    let shown = |id: &str, traffic: &TrafficRecord| {
        catalogue.is_shown(id, &findings_of_traffic(traffic), &crate::requirements::Planned::default())
    };
    let full = whole();
    let kinds_of = |findings: &[&str]| -> Vec<String> {
        let named = NAMED_EVENTS.iter().filter(|named| findings.contains(&named.finding));
        let own = OF_EVENTS.iter().filter(|of| findings.contains(&of.id));
        named
            .flat_map(|named| named.kinds.iter().map(|kind| (*kind).to_owned()))
            .chain(own.map(|of| format!("{}: it is told", of.begin)))
            .collect()
    };
    let checks: [(&str, &[&str]); 3] = [
        (
            "audit.events-emitted",
            &[
                "traffic.login-refused",
                "traffic.logins",
                "traffic.privilege-use",
                "traffic.configuration-change",
                "traffic.backup-events",
                "traffic.update-events",
                "traffic.audit-full",
            ],
        ),
        ("time.change-audited", &["traffic.time-change"]),
        ("audit.full-disk", &["traffic.audit-full"]),
    ];
    for (id, findings) in checks {
        assert!(shown(id, &full), "{id}");
        let kinds = kinds_of(findings);
        assert!(kinds.len() >= findings.len(), "{kinds:?}");
        for kind in kinds {
            let at = full.events.iter().position(|class| class.kind == kind).unwrap();
            let mut less = full.clone();
            less.events.remove(at);
            assert!(!shown(id, &less), "{id} without `{kind}`");
            for verdict in [TrafficVerdict::NotShown, TrafficVerdict::NotRun, TrafficVerdict::Fail] {
                let mut other = full.clone();
                other.events[at].verdict = verdict;
                assert!(!shown(id, &other), "{id} with `{kind}` {verdict:?}");
            }
        }
    }
}

#[test]
fn a_tunnel_s_classes_are_parts_and_what_has_no_test_is_no_pass_of_its_own() {
    let mut traffic = sample::traffic();
    let class = |class: &str, verdict: TrafficVerdict, problem: &str| TunnelClass {
        tunnel: "scada".into(),
        class: class.into(),
        verdict,
        seen: vec!["AES_GCM_16_256".into()],
        problems: if problem.is_empty() { vec![] } else { vec![problem.into()] },
    };
    traffic.tunnels = vec![class("refuses sha1", TrafficVerdict::NotShown, "no maker of such certificates")];
    assert_eq!(of(&traffic, "traffic.tunnels").verdict, Verdict::NotApplicable);
    traffic.tunnels.push(class("negotiated", TrafficVerdict::Pass, ""));
    let finding = of(&traffic, "traffic.tunnels");
    assert_eq!(finding.verdict, Verdict::Pass);
    assert_eq!(
        finding.seen,
        "1 of 2 hold, 1 has no test here: scada, refuses sha1: no maker of such certificates"
    );
    traffic.tunnels.push(class("leak", TrafficVerdict::Fail, "3 times tcp in clear"));
    let finding = of(&traffic, "traffic.tunnels");
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(
        finding.seen.starts_with("1 of 3 hold, 1 has no test here: scada, leak: 3 times tcp in clear; "),
        "{}",
        finding.seen
    );
}

#[test]
fn a_firewall_that_opens_under_stress_fails() {
    let mut traffic = sample::traffic();
    assert!(findings_of_traffic(&traffic).iter().all(|finding| finding.check != "traffic.firewall"));
    let class = |class: &str, verdict: TrafficVerdict, problem: &str| record::FirewallClass {
        class: class.into(),
        verdict,
        seen: vec!["silent".into()],
        problems: if problem.is_empty() { vec![] } else { vec![problem.into()] },
    };
    traffic.firewall = vec![class("reload", TrafficVerdict::Pass, "")];
    assert_eq!(of(&traffic, "traffic.firewall").verdict, Verdict::Pass);
    traffic.firewall.push(class("broken file", TrafficVerdict::Fail, "tcp/22 accepts"));
    let finding = of(&traffic, "traffic.firewall");
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.seen, "1 of 2 hold: broken file: tcp/22 accepts");
}

#[test]
fn what_was_sent_unasked_fails_and_no_interface_is_no_pass() {
    let mut traffic = sample::traffic();
    traffic.interfaces[0].unasked = vec!["eth0: udp to 203.0.113.9 port 53".to_owned()];
    let finding = of(&traffic, "traffic.unasked");
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(finding.seen.contains("port 53"), "{}", finding.seen);
    traffic.interfaces.clear();
    assert_eq!(of(&traffic, "traffic.unasked").verdict, Verdict::CouldNotRun);
}
