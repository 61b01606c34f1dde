//! `flow-ports`: ports that no flow of the plan has in clear.
//!
//! Source: `industrial_protocols` of `standards/requirements.yaml`. That the image's firewall accepts the plan's flows
//! and no other is `nft-ruleset`'s to say.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::OnceLock;

use serde::Deserialize;
use spec::plan::{Flow, FrameFlow};

use super::Kind;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct FlowPorts;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// Protocols of the catalogue that have one of these rules: `refuse`, `vpn_only`, `isolated_port`, `allow_if_secure`.
    rules: Vec<String>,
    /// More ports, `tcp/80`, by what speaks there.
    #[serde(default)]
    more: BTreeMap<String, String>,
    /// Ports of which it is known what speaks there; a flow with another one is for the operator, unless its protocol is
    /// named and secured. Left out: only the listed ports count.
    #[serde(default)]
    known: Vec<String>,
    /// Only flows of this direction, seen from the device; otherwise both.
    direction: Option<String>,
}

/// A protocol of the catalogue.
#[derive(Deserialize)]
struct Known {
    name: String,
    rule: String,
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
struct Port {
    /// A number, or a range (`1740-1743`).
    port: serde_json::Value,
    proto: String,
}

impl Port {
    fn numbers(&self) -> Option<RangeInclusive<u16>> {
        let Some(text) = self.port.as_str() else {
            let port = u16::try_from(self.port.as_u64()?).ok()?;
            return Some(port..=port);
        };
        let (first, last) = text.split_once('-')?;
        Some(first.parse().ok()?..=last.parse().ok()?)
    }
}

#[derive(Deserialize)]
struct Catalogue {
    industrial_protocols: Vec<Known>,
}

fn known() -> &'static [Known] {
    static KNOWN: OnceLock<Vec<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let value = crate::yaml::load(include_str!("../../../../standards/requirements.yaml"));
        let catalogue = value.ok().and_then(|value| serde_json::from_value::<Catalogue>(value).ok());
        catalogue.map(|catalogue| catalogue.industrial_protocols).unwrap_or_default()
    })
}

impl Kind for FlowPorts {
    const NAME: &'static str = "flow-ports";
    const DESCRIPTION: &'static str = "no flow of the plan has a port of the catalogue's protocols of `rules`, or of `more`, outside a tunnel; \
                                       one whose risk was accepted, or whose security is not known, is for the operator";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let mut problems = Vec::new();
        for rule in with.rules.iter().filter(|rule| !known().iter().any(|protocol| protocol.rule == **rule)) {
            problems.push(format!("`rules`: no protocol of the catalogue has the rule `{rule}`"));
        }
        if with.rules.is_empty() {
            problems.push("`rules` is empty".to_owned());
        }
        for port in with.more.keys().chain(&with.known).filter(|port| port_of(port).is_none()) {
            problems.push(format!("`more`, `known`: expected a port such as `tcp/80`, found `{port}`"));
        }
        if let Some(other) = with.direction.as_deref().filter(|direction| !["in", "out"].contains(direction))
        {
            problems.push(format!("`direction`: expected `in` or `out`, found `{other}`"));
        }
        problems
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let plan = context.plan()?;
        let ports = ports(&with);
        let (mut problems, mut open) = (Vec::new(), Vec::new());
        let asked = |direction: &str| with.direction.as_ref().is_none_or(|asked| asked == direction);
        let flows: Vec<&Flow> = plan
            .network
            .flows
            .iter()
            .filter(|flow| asked(&flow.direction) && flow.tunnel.is_none())
            .collect();
        for flow in &flows {
            let found = ports.get(&(flow.transport.as_str(), flow.port));
            let name = found.map_or("a protocol without security", |(name, _)| *name);
            let words = format!("`{}` is {}/{}, {name}, in clear", flow.name, flow.transport, flow.port);
            match (&flow.accepted_risk, found) {
                (Some(risk), _) => open.push(format!("{words}: {} accepted it ({})", risk.by, risk.reason)),
                (None, Some((_, rule))) if secured(rule, flow) => {}
                (None, Some((_, "allow_if_secure"))) => {
                    open.push(format!("{words} unless it has its secure variant"));
                }
                (None, Some(_)) => problems.push(words),
                (None, None) => {
                    let port = format!("{}/{}", flow.transport, flow.port);
                    let secured = secured("allow_if_secure", flow);
                    if !with.known.is_empty() && !with.known.contains(&port) && !secured {
                        open.push(format!("what speaks on {port} of `{}` is not known", flow.name));
                    }
                }
            }
        }
        let frames: Vec<&FrameFlow> = plan
            .network
            .frames
            .iter()
            .filter(|frame| frame.direction == "both" || asked(&frame.direction))
            .collect();
        for frame in &frames {
            let risk = frame.accepted_risk.as_ref().map_or("nobody", |risk| &risk.by);
            open.push(format!("`{}` is {}, frames in clear: {risk} accepted it", frame.name, frame.protocol));
        }
        if problems.is_empty() && !open.is_empty() {
            return Err(Unable::for_the_operator(open.join("; ")));
        }
        Ok(Conclusion::of(
            &problems,
            format!("none of {} ports in clear", ports.len()),
            format!("none among {} flows outside a tunnel", flows.len()),
            &context.root()?.sha256,
        ))
    }
}

/// What speaks on each port, and the rule for it; of a port of the layer's own the rule is to refuse it.
fn ports(with: &With) -> BTreeMap<(&str, u16), (&str, &str)> {
    let mut ports = BTreeMap::new();
    for protocol in known().iter().filter(|protocol| with.rules.contains(&protocol.rule)) {
        for port in &protocol.ports {
            // A test proves that each is a number or a range. Protocols without one are frames.
            for number in port.numbers().into_iter().flatten() {
                ports.insert((port.proto.as_str(), number), (protocol.name.as_str(), protocol.rule.as_str()));
            }
        }
    }
    let more = with.more.iter();
    ports.extend(more.filter_map(|(port, name)| Some((port_of(port)?, (name.as_str(), "refuse")))));
    ports
}

/// Whether a protocol with that rule may pass outside a tunnel by the security that it has of its own.
fn secured(rule: &str, flow: &Flow) -> bool {
    match flow.security.as_str() {
        "always" => rule != "refuse",
        // What the application has to switch on: another check looks at that.
        "optional" => rule == "allow_if_secure",
        _ => false,
    }
}

/// Transport and number of `tcp/80`.
fn port_of(text: &str) -> Option<(&str, u16)> {
    let (transport, port) = text.split_once('/')?;
    Some((transport, port.parse().ok()?)).filter(|_| ["tcp", "udp"].contains(&transport))
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use serde_json::{Value, json};
    use spec::plan::{AcceptedRisk, Flow};

    use crate::subject::Subject;
    use crate::testing::*;

    fn check(with: Value, flow: Flow) -> Result<crate::Conclusion, crate::Unable> {
        let mut plan = crate::report::sample::plan();
        plan.network.flows = vec![flow];
        run_on("flow-ports", with, &Subject::of_root(Tree::base().root()), Some(&plan))
    }

    fn flow(transport: &str, port: u16, direction: &str) -> Flow {
        let (transport, direction) = (transport.to_owned(), direction.to_owned());
        Flow { name: "cell".into(), transport, port, direction, ..Flow::default() }
    }

    #[test]
    fn pass() {
        assert_eq!(
            passes(check(json!({"rules": ["vpn_only"]}), flow("tcp", 22, "in"))),
            "none among 1 flows outside a tunnel"
        );
        let in_tunnel = Flow { tunnel: Some("plant".into()), ..flow("tcp", 502, "in") };
        passes(check(json!({"rules": ["vpn_only"]}), in_tunnel));
        let with = json!({"rules": ["refuse"], "more": {"tcp/80": "HTTP"}, "direction": "in"});
        passes(check(with, flow("tcp", 80, "out")));
    }

    #[test]
    fn the_protocols_of_the_catalogue_are_read_with_their_ranges() {
        assert!(
            super::known().iter().flat_map(|protocol| &protocol.ports).all(|port| port.numbers().is_some())
        );
        fails(check(json!({"rules": ["vpn_only"]}), flow("udp", 1742, "in")), "`cell` is udp/1742");
        // Secure Authentication of its own (IEEE 1815).
        passes(check(
            json!({"rules": ["vpn_only"]}),
            Flow { security: "always".into(), ..flow("tcp", 20000, "in") },
        ));
        let optional = Flow { security: "optional".into(), ..flow("tcp", 20000, "in") };
        fails(check(json!({"rules": ["vpn_only"]}), optional), "`cell` is tcp/20000");
    }

    #[test]
    fn fail() {
        fails(
            check(json!({"rules": ["vpn_only"]}), flow("tcp", 502, "in")),
            "`cell` is tcp/502, Modbus/TCP, in clear",
        );
        fails(
            check(json!({"rules": ["refuse"]}), flow("tcp", 23, "in")),
            "tcp/23, Telnet, FTP, TFTP, in clear",
        );
        let with = json!({"rules": ["refuse"], "more": {"tcp/80": "HTTP"}, "direction": "in"});
        fails(check(with, flow("tcp", 80, "in")), "`cell` is tcp/80, HTTP, in clear");
    }

    #[test]
    fn what_may_where_it_is_secured_is_open_where_that_is_not_known() {
        let with = || json!({"rules": ["allow_if_secure"]});
        passes(check(with(), Flow { security: "optional".into(), ..flow("tcp", 4840, "in") }));
        let open = check(with(), Flow { security: "unknown".into(), ..flow("tcp", 4840, "in") }).unwrap_err();
        assert_eq!(open.verdict, Verdict::NeedsOperator);
        assert!(open.why.contains("unless it has its secure variant"), "{}", open.why);
    }

    #[test]
    fn what_speaks_on_a_port_that_no_protocol_is_named_for_is_not_known() {
        let with = || json!({"rules": ["refuse"], "known": ["tcp/22"]});
        passes(check(with(), flow("tcp", 22, "in")));
        passes(check(with(), Flow { security: "always".into(), ..flow("tcp", 8443, "in") }));
        let open = check(with(), Flow { security: "unknown".into(), ..flow("tcp", 9000, "in") }).unwrap_err();
        assert_eq!(open.verdict, Verdict::NeedsOperator);
        assert_eq!(open.why, "what speaks on tcp/9000 of `cell` is not known");
    }

    #[test]
    fn an_accepted_risk_is_no_pass() {
        let accepted_risk = Some(AcceptedRisk { reason: "old machine".into(), by: "plant".into() });
        let open = check(json!({"rules": ["vpn_only"]}), Flow { accepted_risk, ..flow("tcp", 502, "out") });
        let open = open.unwrap_err();
        assert_eq!(open.verdict, Verdict::NeedsOperator);
        assert!(open.why.contains("in clear: plant accepted it (old machine)"), "{}", open.why);
    }

    #[test]
    fn parameters() {
        let with = json!({"rules": ["x"], "more": {"80": "HTTP"}, "direction": "up"});
        let text = (crate::kinds::find("flow-ports").unwrap().validate)(&with).join("; ");
        for part in ["has the rule `x`", "found `80`", "found `up`"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
