//! Zones and conduits: the picture, what may pass, and what answers.
//!
//! What passes in clear because somebody took the risk is red, in words as well as in colour. The
//! picture is 400 units wide, so that its text is readable on a phone without scaling, and it says
//! nothing that the tables do not say, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use spec::plan::{AcceptedRisk, NetworkFacts};

use super::escape::{cut, e, prose};
use crate::report::Report;

/// Arrows that a zone has in the picture; the tables have all.
const DRAWN: usize = 12;

/// One arrow or row: a flow over IP, or frames without it.
struct Way<'a> {
    name: &'a str,
    direction: &'a str,
    zone: &'a str,
    service: &'a str,
    what: String,
    protocol: Option<&'a str>,
    security: &'a str,
    peers: String,
    limit: String,
    tunnel: Option<&'a str>,
    risk: Option<&'a AcceptedRisk>,
    reason: &'a str,
}

fn ways(network: &NetworkFacts) -> Vec<Way<'_>> {
    let flows = network.flows.iter().map(|flow| Way {
        name: &flow.name,
        direction: &flow.direction,
        zone: &flow.zone,
        service: &flow.service,
        what: format!("{}/{}", flow.transport, flow.port),
        protocol: flow.protocol.as_deref(),
        security: &flow.security,
        peers: flow.peers_v4.iter().chain(&flow.peers_v6).map(String::as_str).collect::<Vec<_>>().join(", "),
        limit: flow.rate.clone(),
        tunnel: flow.tunnel.as_deref(),
        risk: flow.accepted_risk.as_ref(),
        reason: &flow.reason,
    });
    let frames = network.frames.iter().map(|frames| Way {
        name: &frames.name,
        direction: &frames.direction,
        zone: &frames.zone,
        service: &frames.service,
        what: format!("ethertype {}", frames.ethertype),
        protocol: Some(&frames.protocol),
        security: "none",
        peers: "everybody on the link".to_owned(),
        limit: frames.rate.clone(),
        tunnel: None,
        risk: frames.accepted_risk.as_ref(),
        reason: &frames.reason,
    });
    flows.chain(frames).collect()
}

/// The whole section; empty when there are no zones.
pub fn section(report: &Report) -> String {
    let Some(network) = report.network.as_ref().filter(|network| !network.zones.is_empty()) else {
        return String::new();
    };
    let ways = ways(network);
    let zones: String = network
        .zones
        .iter()
        .map(|(name, zone)| format!("<dt>{}</dt><dd>{}</dd>", e(name), prose(&zone.description)))
        .collect();
    format!(
        "<p class=lead>What may pass, in which direction, and how often a new connection may start. All else is dropped.</p>\n\
         <div class=two><figure>{}</figure><dl class=facts>{zones}{}</dl></div>\n{}{}{}",
        picture(network, &report.device.product),
        tunnels(network),
        risks(&ways),
        table(&ways),
        surface(network)
    )
}

fn tunnels(network: &NetworkFacts) -> String {
    let mut out = String::new();
    for (name, tunnel) in &network.tunnels {
        let behind: Vec<&str> =
            tunnel.networks_v4.iter().chain(&tunnel.networks_v6).map(String::as_str).collect();
        let _ = write!(
            out,
            "<dt>Tunnel {}</dt><dd>{} with {} ({}); behind it {}; {}. {}</dd>",
            e(name),
            e(&tunnel.kind),
            e(&tunnel.peer_name),
            e(&tunnel.peer_address),
            e(&behind.join(", ")),
            e(&tunnel.proposals.join(" or ")),
            prose(&tunnel.reason),
        );
    }
    out
}

/// Risks that somebody took, before everything else.
fn risks(ways: &[Way]) -> String {
    let mut out = String::new();
    for (way, risk) in ways.iter().filter_map(|way| Some((way, way.risk?))) {
        let _ = writeln!(
            out,
            "<p class=\"risk\"><span class=\"v fail\">in clear</span> <b>{}</b>: {} ({}) has no security of its own and passes outside any tunnel. \
             Accepted by {}: {}</p>",
            e(way.name),
            e(way.protocol.unwrap_or(way.service)),
            e(&way.what),
            e(&risk.by),
            prose(&risk.reason),
        );
    }
    out
}

fn protection(way: &Way) -> String {
    match (way.tunnel, way.risk, way.security) {
        (Some(tunnel), ..) => format!("<span class=\"v pass\">tunnel</span> {}", e(tunnel)),
        (None, Some(_), _) => "<span class=\"v fail\">in clear</span> risk accepted".to_owned(),
        (None, None, "always") => "<span class=\"v pass\">its own</span>".to_owned(),
        (None, None, "optional") => {
            "<span class=\"v manual\">its own</span> if the application has it on".to_owned()
        }
        _ => "<span class=\"v\">not known</span>".to_owned(),
    }
}

fn table(ways: &[Way]) -> String {
    let mut rows = String::new();
    for way in ways {
        let arrow = match way.direction {
            "in" => "in, from",
            "out" => "out, to",
            _ => "both, with",
        };
        let _ = writeln!(
            rows,
            "<tr><td data-l=Flow><b>{}</b></td><td data-l=Direction>{arrow} {}</td><td data-l=Port>{}{}</td>\
             <td data-l=Protection>{}</td><td data-l=Peers>{}</td><td data-l=Reason>{}</td></tr>",
            e(way.name),
            e(way.zone),
            e(&way.what),
            way.protocol.map(|name| format!(" {}", e(name))).unwrap_or_default(),
            protection(way),
            e(&way.peers),
            prose(way.reason),
        );
    }
    format!(
        "<table class=cards style=\"margin-top:16px\"><thead><tr><th>Flow</th><th>Direction</th><th>Port</th><th>Protection</th><th>Peers</th>\
         <th>Reason</th></tr></thead><tbody>{rows}</tbody></table>\n"
    )
}

/// Everything that answers.
fn surface(network: &NetworkFacts) -> String {
    if network.surface.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for one in &network.surface {
        let peers =
            if one.peers.is_empty() { "everybody on the link".to_owned() } else { one.peers.join(", ") };
        let limit = one.limit.iter().cloned().chain(one.connections.map(|n| format!("{n} at a time")));
        let _ = writeln!(
            rows,
            "<tr><td data-l=Interface>{} {}</td><td data-l=Answers><b>{}</b></td><td data-l=From>{}</td><td data-l=Tunnel>{}</td>\
             <td data-l=Limit>{}</td><td data-l=For>{}</td></tr>",
            e(&one.interface),
            e(one.address.as_deref().unwrap_or_default()),
            e(&one.what()),
            e(&peers),
            e(one.tunnel.as_deref().unwrap_or("none: in clear")),
            e(&limit.collect::<Vec<_>>().join(", ")),
            e(one.conduit.as_deref().unwrap_or("the link itself")),
        );
    }
    format!(
        "<h3>Attackable surface</h3><p class=lead>Everything of the device that answers a packet: {} entries. What matches none is dropped without an answer.</p>\n\
         <table class=cards><thead><tr><th>Interface</th><th>Answers</th><th>From</th><th>Tunnel</th><th>Limit</th><th>For</th></tr></thead>\
         <tbody>{rows}</tbody></table>\n",
        network.surface.len()
    )
}

/// The zones on the left, the device on the right, one arrow a conduit: doubled through a tunnel,
/// dashed and red in clear with a risk accepted.
fn picture(network: &NetworkFacts, device: &str) -> String {
    const ROW: usize = 46;
    let all = ways(network);
    let mut of_zone: BTreeMap<&str, Vec<&Way>> =
        network.zones.keys().map(|zone| (zone.as_str(), vec![])).collect();
    for way in &all {
        of_zone.entry(way.zone).or_default().push(way);
    }
    let mut y = 4;
    let mut inner = String::new();
    for (zone, ways) in &of_zone {
        let rows = ways.len().min(DRAWN) + usize::from(ways.len() > DRAWN);
        let height = (rows.max(1) * ROW + 18).max(64);
        let interfaces =
            network.zones.get(*zone).map(|facts| facts.interfaces.join(", ")).unwrap_or_default();
        let _ = write!(
            inner,
            "<rect class=\"box\" x=\"4\" y=\"{y}\" width=\"112\" height=\"{height}\" rx=\"10\"/>\
             <text class=\"t\" x=\"16\" y=\"{}\">{}</text><text class=\"s\" x=\"16\" y=\"{}\">{}</text>",
            y + 28,
            e(&cut(zone, 13)),
            y + 46,
            e(&cut(&interfaces, 15)),
        );
        for (index, way) in ways.iter().take(DRAWN).enumerate() {
            inner += &arrow(way, y + 4 + index * ROW + 27);
        }
        let remark = match ways.len() {
            0 => Some(("no flow allowed".to_owned(), y + height / 2)),
            count if count > DRAWN => {
                Some((format!("and {} more, see the table", count - DRAWN), y + 4 + DRAWN * ROW + 27))
            }
            _ => None,
        };
        if let Some((text, at)) = remark {
            let _ = write!(
                inner,
                "<path class=\"arrow\" stroke-dasharray=\"3 4\" d=\"M122 {at}H290\"/>\
                 <text class=\"s\" x=\"206\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                at - 6,
                e(&text)
            );
        }
        y += height + 12;
    }
    let bottom = y - 12;
    let middle = (4 + bottom) / 2;
    format!(
        "<svg viewBox=\"0 0 400 {}\" role=\"img\" aria-label=\"{} zones and {} allowed flows; all else is denied\"><desc>{}</desc>{inner}\
         <rect class=\"soft\" x=\"296\" y=\"4\" width=\"100\" height=\"{}\" rx=\"10\"/>\
         <text class=\"d\" x=\"346\" y=\"{middle}\" text-anchor=\"middle\">{}</text>\
         <text class=\"s\" x=\"346\" y=\"{}\" text-anchor=\"middle\">default deny</text></svg>",
        bottom + 4,
        network.zones.len(),
        all.len(),
        e(&described(&all)),
        bottom - 4,
        e(&cut(device, 13)),
        middle + 18,
    )
}

/// The picture in words, for those who do not see it.
fn described(ways: &[Way]) -> String {
    let one = |way: &Way| {
        let how = match (way.tunnel, way.risk) {
            (Some(tunnel), _) => format!(" through the tunnel {tunnel}"),
            (None, Some(_)) => " in clear, risk accepted".to_owned(),
            (None, None) => String::new(),
        };
        format!("{} {} {} {}{how}", way.zone, way.direction, way.service, way.what)
    };
    ways.iter().take(DRAWN * 2).map(one).collect::<Vec<_>>().join("; ")
}

fn arrow(way: &Way, at: usize) -> String {
    let heads = match way.direction {
        "in" => format!("M284 {}l8 5-8 5z", at - 5),
        "out" => format!("M128 {}l-8 5 8 5z", at - 5),
        _ => format!("M284 {0}l8 5-8 5zM128 {0}l-8 5 8 5z", at - 5),
    };
    let (class, line) = match (way.tunnel, way.risk) {
        (Some(_), _) => ("arrow", format!("M128 {}H284M128 {}H284", at - 2, at + 2)),
        (None, Some(_)) => ("arrow bad\" stroke-dasharray=\"7 4", format!("M122 {at}H290")),
        (None, None) => ("arrow", format!("M122 {at}H290")),
    };
    let below = match (way.tunnel, way.risk) {
        (Some(tunnel), _) => format!("tunnel {tunnel}"),
        (None, Some(_)) => "in clear: risk accepted".to_owned(),
        (None, None) => way.limit.clone(),
    };
    format!(
        "<path class=\"{class}\" d=\"{line}\"/><path class=\"head\" d=\"{heads}\"/>\
         <text class=\"s\" x=\"206\" y=\"{}\" text-anchor=\"middle\">{}</text>\
         <text class=\"s\" x=\"206\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        at - 6,
        e(&cut(&format!("{} {}", way.service, way.what), 26)),
        at + 15,
        e(&cut(&below, 26)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn network() -> NetworkFacts {
        let product = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/plc-gateway/product.yaml");
        spec::load(std::path::Path::new(product), None).unwrap_or_else(|failure| panic!("{failure}")).network
    }

    fn report(network: NetworkFacts) -> Report {
        let mut report = Report::new(sample::input()).unwrap();
        report.network = Some(network);
        report
    }

    #[test]
    fn a_risk_that_was_taken_is_red_and_in_words_and_a_tunnel_is_named() {
        let html = section(&report(network()));
        assert!(html.contains("<span class=\"v fail\">in clear</span> <b>cell-drives</b>"), "{html}");
        assert!(
            html.contains("Accepted by J. Muster, plant security officer: The drives speak nothing else"),
            "{html}"
        );
        assert!(html.contains("<span class=\"v pass\">tunnel</span> scada"));
        assert!(html.contains("class=\"arrow bad\" stroke-dasharray") && html.contains("<desc>"));
        assert!(
            html.contains(
                "<b>tcp/502</b></td><td data-l=From>203.0.113.0/25</td><td data-l=Tunnel>scada</td>"
            )
        );
        assert!(html.contains("<b>esp</b>") && html.contains("ethertype 0x8892"));
    }

    #[test]
    fn without_a_risk_nothing_is_red_and_many_conduits_stay_a_picture() {
        let mut network = network();
        network.frames.clear();
        network.flows.retain(|flow| flow.accepted_risk.is_none());
        let html = section(&report(network.clone()));
        assert!(!html.contains("v fail") && !html.contains("arrow bad"));
        let flow = network.flows[0].clone();
        network.flows = (0..10_000).map(|_| flow.clone()).collect();
        let svg = picture(&network, "device");
        assert!(svg.len() < 20_000 && svg.contains("and 9988 more"), "{}", svg.len());
    }
}
