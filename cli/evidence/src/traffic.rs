//! Findings of the probes on the device's wires.
//!
//! One finding for each kind of probes, whatever the number of interfaces, so that the catalogue can name
//! it; its parts say interface, sender and address. The findings are made from the record alone.

use std::collections::BTreeMap;

use record::{Finding, Part, Stage, TrafficClass, TrafficRecord, TrafficVerdict, Verdict};

/// What each class of probes asserts. A class that is not listed is shown under its own name.
const TITLES: [(&str, &str); 6] = [
    ("early", "From power-on until the firewall is up nothing answers that the plan does not allow"),
    ("ethernet", "No ethertype answers that the plan does not allow"),
    ("icmp", "Of all ICMP types exactly the plan's are answered"),
    ("icmpv6", "Of the ICMPv6 types exactly the plan's are answered"),
    ("tcp", "Of all TCP ports exactly the plan's are reached, and by the plan's senders only"),
    ("udp", "Of all UDP ports none answers that the plan does not allow"),
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
    findings.push(finding("traffic.unasked", title, unasked, traffic));
    findings
}

fn part(interface: &str, class: &TrafficClass) -> Part {
    let verdict = match class.verdict {
        TrafficVerdict::Pass => Verdict::Pass,
        TrafficVerdict::Fail => Verdict::Fail,
        TrafficVerdict::NotRun => Verdict::CouldNotRun,
    };
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
    } else {
        Verdict::Pass
    };
    let mut seen = format!("{} of {} hold", with(Verdict::Pass).count(), parts.len());
    let bad: Vec<&Part> = parts.iter().filter(|part| part.verdict != Verdict::Pass).collect();
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
