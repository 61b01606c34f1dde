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

/// Whether a proof at the wire, of tunnels, firewall or events has a finding of that name.
#[cfg(test)]
pub(crate) fn is_finding(id: &str) -> bool {
    let of_events = OF_EVENTS.iter().map(|of| of.id).chain(NAMED_EVENTS.iter().map(|named| named.finding));
    let own = id.strip_prefix("traffic.").unwrap_or_default();
    of_events.chain([EVENTS]).any(|known| known == id)
        || TITLES.iter().any(|(class, _)| *class == own)
        || ["unasked", "tunnels", "firewall"].contains(&own)
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
#[path = "traffic_tests.rs"]
mod tests;
