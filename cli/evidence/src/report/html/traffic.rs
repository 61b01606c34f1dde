//! What probes on the wires showed: a table for each interface.

use std::fmt::Write as _;

use record::{EventClass, FirewallClass, TrafficClass, TunnelClass, Verdict};

use super::escape::{e, prose};
use super::parts::{badge, seconds};
use crate::report::Report;

/// The whole section; empty when nothing was sent.
pub fn section(report: &Report) -> String {
    let Some(traffic) = &report.traffic else { return String::new() };
    let what = match traffic.interfaces.as_slice() {
        [] => "On the running device",
        _ => {
            "Packets sent to the running device, on its own wires, by senders the plan allows and by strangers"
        }
    };
    let mut body = format!("<p class=lead>{what}: {}.</p>\n", prose(&traffic.summary));
    for interface in &traffic.interfaces {
        let rows: String = interface.classes.iter().map(row).collect();
        let _ = writeln!(
            body,
            "<h3>{}</h3>\n<table class=cards><thead><tr><th>Verdict</th><th>Probes</th><th>From</th><th>To</th><th>Answered</th></tr></thead>\
             <tbody>{rows}</tbody></table>",
            e(&interface.interface)
        );
        for sent in &interface.unasked {
            let _ = writeln!(body, "<p>{} sent unasked: {}</p>", badge(Verdict::Fail), e(sent));
        }
        if !interface.tolerated.is_empty() {
            let items: String =
                interface.tolerated.iter().map(|line| format!("<li>{}</li>", prose(line))).collect();
            let _ = writeln!(
                body,
                "<p class=\"small dim\">Not judged, each with its reason</p><ul class=\"plain small\">{items}</ul>"
            );
        }
        let _ = writeln!(
            body,
            "<p class=\"small dim\">{}; all frames: {}</p>",
            seconds(interface.ms),
            e(&interface.pcap)
        );
    }
    if !traffic.tunnels.is_empty() {
        let rows: String = traffic.tunnels.iter().map(tunnel_row).collect();
        let _ = writeln!(
            body,
            "<h3>Tunnels, with a machine at the other end</h3>\n<table class=cards><thead><tr><th>Verdict</th><th>Tunnel</th><th>Seen at either end</th></tr></thead>\
             <tbody>{rows}</tbody></table>"
        );
    }
    if !traffic.firewall.is_empty() {
        let rows: String = traffic.firewall.iter().map(firewall_row).collect();
        let _ = writeln!(
            body,
            "<h3>The firewall under stress</h3>\n<table class=cards><thead><tr><th>Verdict</th><th>What happens</th><th>Seen</th></tr></thead>\
             <tbody>{rows}</tbody></table>"
        );
    }
    if !traffic.events.is_empty() {
        let rows: String = traffic.events.iter().map(event_row).collect();
        let _ = writeln!(
            body,
            "<h3>Security events, provoked on the device and looked for there and at a collector</h3>\n\
             <table class=cards><thead><tr><th>Verdict</th><th>What happens</th><th>Type of the record</th><th>Seen</th></tr></thead>\
             <tbody>{rows}</tbody></table>"
        );
    }
    body
}

fn event_row(class: &EventClass) -> String {
    format!(
        "<tr><td>{}</td><td>{}</td><td data-l=Type><code>{}</code></td><td data-l=Seen>{}</td></tr>\n",
        badge(crate::traffic::verdict(class.verdict)),
        e(&class.kind),
        e(&class.r#type),
        lines(&class.problems, &class.seen),
    )
}

fn firewall_row(class: &FirewallClass) -> String {
    format!(
        "<tr><td>{}</td><td><b>{}</b></td><td data-l=Seen>{}</td></tr>\n",
        badge(crate::traffic::verdict(class.verdict)),
        e(&class.class),
        lines(&class.problems, &class.seen),
    )
}

fn lines(problems: &[String], seen: &[String]) -> String {
    problems.iter().chain(seen).map(|line| format!("<div class=small>{}</div>", e(line))).collect()
}

fn tunnel_row(class: &TunnelClass) -> String {
    let lines = lines(&class.problems, &class.seen);
    format!(
        "<tr><td>{}</td><td><b>{}</b> {}</td><td data-l=Seen>{lines}</td></tr>\n",
        badge(crate::traffic::verdict(class.verdict)),
        e(&class.tunnel),
        e(&class.class),
    )
}

fn row(class: &TrafficClass) -> String {
    let verdict = crate::traffic::verdict(class.verdict);
    let answered = if class.answered.is_empty() { "silent".to_owned() } else { class.answered.join(", ") };
    let problems: String =
        class.problems.iter().map(|problem| format!("<div class=small>{}</div>", prose(problem))).collect();
    format!(
        "<tr><td>{}</td><td data-l=Probes><b>{}</b> {}</td><td data-l=From>{}</td><td data-l=To>{}</td><td data-l=Answered>{}{problems}</td></tr>\n",
        badge(verdict),
        e(&class.class),
        class.probes,
        e(&class.source),
        e(&class.target),
        e(&answered),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn each_class_is_a_row_with_its_answers_and_its_problems() {
        let mut input = sample::input();
        let class = &mut input.traffic.as_mut().unwrap().interfaces[1].classes[0];
        class.verdict = record::TrafficVerdict::Fail;
        class.problems = vec!["tcp/8080 accepts".to_owned()];
        let html = section(&Report::new(input).unwrap());
        assert!(
            html.contains("<b>tcp</b> 65535") && html.contains("data-l=Answered>tcp/22 accepts"),
            "{html}"
        );
        assert!(
            html.contains("<span class=\"v fail\">FAIL</span>") && html.contains("tcp/8080 accepts"),
            "{html}"
        );
    }

    #[test]
    fn the_firewall_under_stress_has_a_table() {
        let mut input = sample::input();
        input.traffic.as_mut().unwrap().firewall = vec![FirewallClass {
            class: "full table".into(),
            verdict: record::TrafficVerdict::Fail,
            seen: vec!["16 entries".into()],
            problems: vec!["tcp/22 <accepts>".into()],
        }];
        let html = section(&Report::new(input).unwrap());
        assert!(html.contains("<b>full table</b>") && html.contains("tcp/22 &lt;accepts&gt;"), "{html}");
    }

    #[test]
    fn events_have_a_table_and_need_no_probes() {
        let mut input = sample::input();
        let traffic = input.traffic.as_mut().unwrap();
        traffic.interfaces.clear();
        traffic.events = vec![EventClass {
            kind: "a file is <denied>".into(),
            r#type: "audit.access".into(),
            verdict: record::TrafficVerdict::Pass,
            seen: vec!["record 7: /usr/bin/cat on gw".into()],
            problems: vec![],
        }];
        let report = Report::new(input).unwrap();
        let html = section(&report);
        assert!(
            html.contains("a file is &lt;denied&gt;") && html.contains("<code>audit.access</code>"),
            "{html}"
        );
        assert!(!html.contains("Packets sent") && !report.headline.contains("on its wires"), "{html}");
        assert!(report.not_shown.iter().any(|line| line.starts_with("No packet was sent")));
    }

    #[test]
    fn without_probes_there_is_no_section() {
        let mut input = sample::input();
        input.traffic = None;
        let report = Report::new(input).unwrap();
        assert_eq!(section(&report), "");
        assert!(
            report.not_shown.iter().any(|line| line.starts_with("No packet was sent")),
            "{:?}",
            report.not_shown
        );
    }
}
