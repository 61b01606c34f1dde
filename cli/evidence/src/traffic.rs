//! Findings of the probes on the device's wires.
//!
//! One finding for each kind of probes, whatever the number of interfaces, so that the catalogue can name
//! it; its parts say interface, sender and address. The findings are made from the record alone.

use std::collections::BTreeMap;

use record::{
    DISABLED_FUNCTION, EVENT_STORM, EventClass, FLOODED, FORGOTTEN, FULL_AUDIT_LOG, Finding, HUNG,
    KILLED_RECORDER, LOCKED_OUT, NAMED_EVENTS, NamedEvents, PERSON_LOGS_IN, Part, Stage, TrafficClass,
    TrafficRecord, TrafficVerdict, TunnelClass, Verdict,
};

/// What each class of probes asserts. A class that is not listed is shown under its own name.
const TITLES: [(&str, &str); 12] = [
    ("early", "From power-on until the firewall is up nothing answers that the plan does not allow"),
    ("ethernet", "No ethertype answers that the plan does not allow"),
    (
        "forged",
        "Nobody is answered who cannot be on that link: the device itself, no host, peers of another interface",
    ),
    ("fragments", "No fragments get past the firewall, and many without a rest do not stop the device"),
    ("icmp", "Of all ICMP types exactly the plan's are answered"),
    ("icmpv6", "Of the ICMPv6 types exactly the plan's are answered"),
    ("link-local", "The interface has no IPv6 address that the plan does not give it"),
    ("protocols", "No IP protocol without ports answers"),
    ("rate", "Of many connections at once a conduit takes no more than its rate allows"),
    ("tcp", "Of all TCP ports exactly the plan's are reached, and by the plan's senders only"),
    ("udp", "Of all UDP ports none answers that the plan does not allow"),
    ("unused", "An interface to which the product gives no address answers nothing"),
];

/// Words of parts that are shown in a finding's `seen`; the rest is counted.
const SHOWN: usize = 6;

/// One finding for each class of probes, and one for what the device sent unasked.
#[must_use]
pub fn findings_of_traffic(traffic: &TrafficRecord) -> Vec<Finding> {
    let mut classes: BTreeMap<&str, Vec<Part>> = BTreeMap::new();
    let mut unasked = Vec::new();
    for interface in &traffic.interfaces {
        let name = &interface.interface;
        for class in &interface.classes {
            classes.entry(&class.class).or_default().push(part(name, class));
        }
        let sent = &interface.unasked;
        unasked.push(Part {
            id: format!("traffic.unasked:{name}"),
            verdict: if sent.is_empty() { Verdict::Pass } else { Verdict::Fail },
            expected: "nothing that the plan does not allow".to_owned(),
            seen: if sent.is_empty() { "nothing else".to_owned() } else { sent.join("; ") },
            waiver: None,
        });
    }
    let mut findings: Vec<Finding> = classes
        .into_iter()
        .map(|(name, parts)| {
            let title = TITLES.iter().find(|(class, _)| *class == name).map_or(name, |(_, title)| title);
            finding(&format!("traffic.{name}"), title, parts, traffic)
        })
        .collect();
    let title = "The device sends no TCP, UDP or other IP packet that the plan does not allow";
    // A proof of the events alone puts no probe on a wire.
    if !unasked.is_empty() || traffic.events.is_empty() {
        findings.push(finding("traffic.unasked", title, unasked, traffic));
    }
    if !traffic.tunnels.is_empty() {
        let title = "Conduits of a tunnel are reached through it alone, and peers that are not the right one are refused";
        findings.push(finding(
            "traffic.tunnels",
            title,
            traffic.tunnels.iter().map(tunnel_part).collect(),
            traffic,
        ));
    }
    if !traffic.firewall.is_empty() {
        let title = "The firewall holds through reloads, broken files, too many connections and a full table";
        let parts = traffic.firewall.iter().map(|class| {
            let id = format!("traffic.firewall:{}", class.class);
            stated(
                id,
                class.verdict,
                "nobody but the plan's senders is answered",
                &class.seen,
                &class.problems,
            )
        });
        findings.push(finding("traffic.firewall", title, parts.collect(), traffic));
    }
    findings.extend(findings_of_events(traffic));
    findings
}

/// Kinds of events that are findings of their own, for requirements of their own.
pub(crate) struct OfEvents {
    /// How the kinds begin.
    begin: &'static str,
    /// The finding.
    pub(crate) id: &'static str,
    /// Whether only a login shows it.
    pub(crate) login: bool,
    layer: &'static str,
    title: &'static str,
    expected: &'static str,
}

/// The finding of all others.
pub(crate) const EVENTS: &str = "traffic.events";

pub(crate) const OF_EVENTS: [OfEvents; 9] = [
    OfEvents {
        begin: FULL_AUDIT_LOG,
        id: "traffic.audit-full",
        login: false,
        layer: "audit",
        title: "A full audit log is told before its oldest records go, and stops nothing",
        expected: "told on the device and at the collector; services and recording go on",
    },
    OfEvents {
        begin: KILLED_RECORDER,
        id: "traffic.recorder-killed",
        login: false,
        layer: "events",
        title: "A program that records and is killed is told, comes back, and has what happened meanwhile",
        expected: "told on the device and at the collector; started again; what happened meanwhile is recorded",
    },
    OfEvents {
        begin: DISABLED_FUNCTION,
        id: "traffic.selfcheck",
        login: false,
        layer: "selfcheck",
        title: "A security function that is switched off on the running device is found by its self-check",
        expected: "its self-check fails while it is off, and passes once it is back",
    },
    OfEvents {
        begin: FLOODED,
        id: "traffic.flood",
        login: false,
        layer: "firewall",
        title: "Under a flood of packets and connections an allowed client is served, and the device recovers",
        expected: "the service answers within its limit during and after the flood; nothing failed, started again or ran out of memory",
    },
    OfEvents {
        begin: EVENT_STORM,
        id: "traffic.monitor-bounded",
        login: false,
        layer: "events",
        title: "In a storm of events monitoring stays inside its bounds, and does not slow the device's service",
        expected: "no more memory, tasks and processor time than the units' bounds; records bounded; what is missing is told",
    },
    OfEvents {
        begin: FORGOTTEN,
        id: "traffic.wiped",
        login: false,
        layer: "factory-reset",
        title: "After a factory reset no key and no record can be found on the disk, and the device says what it has erased",
        expected: "all of them are on the data partition before, none is after, and the next start reports what it erased",
    },
    OfEvents {
        begin: HUNG,
        id: "traffic.watchdog",
        login: false,
        layer: "base",
        title: "A device that hangs is started anew by its watchdog",
        expected: "once the service manager stands still the machine is reset within the watchdog's time",
    },
    OfEvents {
        begin: LOCKED_OUT,
        id: "traffic.lockout",
        login: true,
        layer: "ssh",
        title: "After too many failed logins a place is locked out for a while, which is recorded",
        expected: "not even the right key is taken from there, and then again; recorded on the device and at the collector",
    },
    OfEvents {
        begin: PERSON_LOGS_IN,
        id: "traffic.logins",
        login: true,
        layer: "events",
        title: "A person's login and session are recorded, with the account",
        expected: "each has a record on the device and at the collector",
    },
];

/// One finding for the kinds of events, and those of their own where the proof has them.
fn findings_of_events(traffic: &TrafficRecord) -> Vec<Finding> {
    let own = |class: &EventClass| OF_EVENTS.iter().position(|of| class.kind.starts_with(of.begin));
    let parts = |which: Option<usize>| -> Vec<Part> {
        traffic.events.iter().filter(|class| own(class) == which).map(event_part).collect()
    };
    let made = |(id, title, layer, expected): (&str, &str, &str, &str), parts: Vec<Part>| {
        let found = finding(id, title, parts, traffic);
        Finding { layer: layer.to_owned(), expected: expected.to_owned(), ..found }
    };
    let title = "Security events that are provoked are recorded with five facts, and come to the collector as they were written";
    let expected = "each kind that has a test here has a record on the device and at the collector";
    let all = (EVENTS, title, "events", expected);
    let of = OF_EVENTS
        .iter()
        .enumerate()
        .map(|(at, of)| ((of.id, of.title, of.layer, of.expected), parts(Some(at))));
    let found = [(all, parts(None))].into_iter().chain(of).filter(|(_, parts)| !parts.is_empty());
    let mut found: Vec<Finding> = found.map(|(facts, parts)| made(facts, parts)).collect();
    if !traffic.events.is_empty() {
        found.extend(NAMED_EVENTS.iter().map(|named| named_finding(named, traffic)));
    }
    found
}

/// Of kinds that are named one by one: each has to be there and to pass. One that has no test here leaves all of it open.
fn named_finding(named: &NamedEvents, traffic: &TrafficRecord) -> Finding {
    let part_of = |name: &&str| match traffic.events.iter().find(|class| class.kind == **name) {
        Some(class) => event_part(class),
        None => Part {
            id: format!("traffic.events:{name}"),
            verdict: Verdict::NotApplicable,
            expected: "recorded on the device, and at the collector".to_owned(),
            seen: "the proof did not provoke it".to_owned(),
            waiver: None,
        },
    };
    let mut found = finding(named.finding, named.title, named.kinds.iter().map(part_of).collect(), traffic);
    let silent = found.parts.iter().any(|part| part.verdict == Verdict::NotApplicable);
    if found.verdict == Verdict::Pass && silent {
        found.verdict = Verdict::NotApplicable;
    }
    named.layer.clone_into(&mut found.layer);
    "each of these kinds has a record on the device and at the collector".clone_into(&mut found.expected);
    found
}

/// As a check's verdict; what has no test yet says nothing.
pub(crate) fn verdict(verdict: TrafficVerdict) -> Verdict {
    match verdict {
        TrafficVerdict::Pass => Verdict::Pass,
        TrafficVerdict::Fail => Verdict::Fail,
        TrafficVerdict::NotRun => Verdict::CouldNotRun,
        TrafficVerdict::NotShown => Verdict::NotApplicable,
    }
}

fn tunnel_part(class: &TunnelClass) -> Part {
    let id = format!("traffic.tunnels:{}, {}", class.tunnel, class.class);
    let expected = "as the plan says, with a machine at the other end";
    stated(id, class.verdict, expected, &class.seen, &class.problems)
}

/// A part that says what is wrong, or else what was seen.
fn stated(id: String, found: TrafficVerdict, expected: &str, seen: &[String], problems: &[String]) -> Part {
    let said = if problems.is_empty() { seen } else { problems };
    Part {
        id,
        verdict: verdict(found),
        expected: expected.to_owned(),
        seen: if said.is_empty() { "as expected".to_owned() } else { said.join("; ") },
        waiver: None,
    }
}

fn event_part(class: &EventClass) -> Part {
    let said = if class.problems.is_empty() { &class.seen } else { &class.problems };
    let kind = if class.r#type.is_empty() { String::new() } else { format!(" ({})", class.r#type) };
    Part {
        id: format!("traffic.events:{}{kind}", class.kind),
        verdict: verdict(class.verdict),
        expected: "recorded on the device, and at the collector".to_owned(),
        seen: if said.is_empty() { "as expected".to_owned() } else { said.join("; ") },
        waiver: None,
    }
}

fn part(interface: &str, class: &TrafficClass) -> Part {
    let verdict = verdict(class.verdict);
    let answered = if class.answered.is_empty() { "silent".to_owned() } else { class.answered.join(", ") };
    let seen = if class.problems.is_empty() { answered } else { class.problems.join("; ") };
    Part {
        id: format!("traffic.{}:{interface}, {} to {}", class.class, class.source, class.target),
        verdict,
        expected: format!("{} probes, answered as the plan says", class.probes),
        seen,
        waiver: None,
    }
}

fn finding(check: &str, title: &str, parts: Vec<Part>, traffic: &TrafficRecord) -> Finding {
    let with = |verdict: Verdict| parts.iter().filter(move |part| part.verdict == verdict);
    // No interface, no probe: nothing was shown.
    let verdict = if with(Verdict::Fail).next().is_some() {
        Verdict::Fail
    } else if parts.is_empty() || with(Verdict::CouldNotRun).next().is_some() {
        Verdict::CouldNotRun
    } else if with(Verdict::Pass).next().is_none() {
        Verdict::NotApplicable
    } else {
        Verdict::Pass
    };
    let mut seen = format!("{} of {} hold", with(Verdict::Pass).count(), parts.len());
    match with(Verdict::NotApplicable).count() {
        0 => {}
        1 => seen += ", 1 has no test here",
        more => seen += &format!(", {more} have no test here"),
    }
    // What has no test is told, too, behind what is wrong.
    let wrong = with(Verdict::Fail).chain(with(Verdict::CouldNotRun));
    let bad: Vec<&Part> = wrong.chain(with(Verdict::NotApplicable)).collect();
    for (index, part) in bad.iter().take(SHOWN).enumerate() {
        let name = crate::authority::short_id(&part.id);
        let join = if index == 0 { ": " } else { "; " };
        seen += &format!("{join}{name}: {}", part.seen);
    }
    if bad.len() > SHOWN {
        seen += &format!("; and {} more", bad.len() - SHOWN);
    }
    Finding {
        check: check.to_owned(),
        title: title.to_owned(),
        layer: "network".to_owned(),
        requirements: Vec::new(),
        stage: Stage::Traffic,
        verdict,
        expected: "what answers is exactly `network.surface` of the plan".to_owned(),
        seen,
        artefact_sha256: traffic.disk_sha256.clone(),
        waiver: None,
        parts,
        defined_at: String::new(),
    }
}

#[cfg(test)]
mod tests {
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
            traffic.events.push(class(
                &format!("{begin}: it is told"),
                TrafficVerdict::NotShown,
                "too large",
            ));
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
        traffic.tunnels =
            vec![class("refuses sha1", TrafficVerdict::NotShown, "no maker of such certificates")];
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
}
