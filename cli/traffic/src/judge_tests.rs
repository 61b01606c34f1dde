use super::*;

const DEVICE: &str = "192.0.2.10";
const PEER: &str = "192.0.2.65";
const STRANGER: &str = "192.0.2.200";

fn network() -> NetworkFacts {
    let line = |transport: &str, port, number, peers: &[&str], conduit: Option<&str>| Surface {
        interface: "eth0".into(),
        address: Some(DEVICE.into()),
        transport: transport.into(),
        port,
        number,
        peers: peers.iter().map(|&p| p.into()).collect(),
        conduit: conduit.map(str::to_owned),
        ..Surface::default()
    };
    NetworkFacts {
        surface: vec![
            line("tcp", Some(22), None, &["192.0.2.64/28"], Some("plant-ssh")),
            line("icmp", None, Some(8), &[], None),
        ],
        ..NetworkFacts::default()
    }
}

fn asked(name: &'static str, source: &str, asks: Vec<Ask>, heard: Vec<Heard>) -> Class {
    let (source, target) = (source.parse().unwrap(), DEVICE.parse().unwrap());
    let interface = "eth0".to_owned();
    Class { name, interface, source, on_link: true, target, asks, heard, unproved: None }
}

fn tcp(to: &str, port: u16, rst: bool) -> Heard {
    let ends = (DEVICE.parse().unwrap(), to.parse().unwrap());
    Heard::Tcp { ends, ports: (port, PROBE_PORT), flags: (!rst, true, rst) }
}

fn ports() -> Vec<Ask> {
    (1..=65_535).map(Ask::Tcp).collect()
}

#[test]
fn exactly_the_surface_passes() {
    let result = class(&network(), &asked("tcp", PEER, ports(), vec![tcp(PEER, 22, false)]));
    assert_eq!((result.verdict, result.problems.len()), (TrafficVerdict::Pass, 0));
    assert_eq!(result.answered, ["tcp/22 accepts"]);
    let silent = class(&network(), &asked("tcp", STRANGER, ports(), vec![]));
    assert_eq!(silent.verdict, TrafficVerdict::Pass);
}

#[test]
fn an_answer_too_many_fails() {
    let heard = vec![tcp(PEER, 22, false), tcp(PEER, 502, false)];
    let result = class(&network(), &asked("tcp", PEER, ports(), heard));
    assert_eq!(result.verdict, TrafficVerdict::Fail);
    assert_eq!(
        result.problems,
        [
            "`eth0`: tcp/502 accepts of `192.0.2.10` to `192.0.2.65`, which no line of the plan's surface allows"
        ]
    );
    let stranger = class(&network(), &asked("tcp", STRANGER, ports(), vec![tcp(STRANGER, 22, false)]));
    assert_eq!(stranger.verdict, TrafficVerdict::Fail, "a port of the surface, but another sender");
    let reset =
        class(&network(), &asked("tcp", PEER, ports(), vec![tcp(PEER, 23, true), tcp(PEER, 22, false)]));
    assert!(reset.problems[0].contains("tcp/23 refuses with a reset"), "{:?}", reset.problems);
}

#[test]
fn an_answer_too_few_fails() {
    for heard in [vec![], vec![tcp(PEER, 22, true)]] {
        let result = class(&network(), &asked("tcp", PEER, ports(), heard));
        assert_eq!(result.verdict, TrafficVerdict::Fail);
        let text = result.problems.join("; ");
        assert!(
            text.contains("tcp/22 of `192.0.2.10` is silent to `192.0.2.65`, though the conduit `plant-ssh`"),
            "{text}"
        );
    }
    let ping = class(&network(), &asked("icmp", STRANGER, vec![Ask::Icmp(8)], vec![]));
    assert!(ping.problems[0].contains("icmp type 8"), "{:?}", ping.problems);
}

#[test]
fn a_forged_sender_is_answered_nothing_though_its_address_is_one_that_the_plan_allows() {
    let forged = |heard| class(&network(), &asked("forged", PEER, ports(), heard));
    assert_eq!(forged(vec![]).verdict, TrafficVerdict::Pass, "{:?}", forged(vec![]).problems);
    let answered = forged(vec![tcp(PEER, 22, false)]);
    assert_eq!(answered.verdict, TrafficVerdict::Fail);
    assert!(answered.problems[0].contains("tcp/22 accepts of `192.0.2.10`"), "{:?}", answered.problems);
}

#[test]
fn errors_count_as_answers() {
    let ends = (DEVICE.parse().unwrap(), STRANGER.parse().unwrap());
    let heard = vec![Heard::Icmp { ends, kind: 3, target: None }];
    let result = class(&network(), &asked("udp", STRANGER, vec![Ask::Udp(161)], heard));
    assert!(result.problems[0].contains("icmp answers with type 3"), "{:?}", result.problems);
}

#[test]
fn a_port_where_nobody_listens_may_say_so_to_those_whom_the_plan_lets_ask_it() {
    let told = |to: &str, port| {
        let ends = (DEVICE.parse().unwrap(), to.parse().unwrap());
        let heard = vec![Heard::Unreachable { ends, port }];
        let mut network = network();
        for line in &mut network.surface {
            if line.port == Some(22) {
                line.transport = "udp".to_owned();
            }
        }
        class(&network, &asked("udp", to, vec![Ask::Udp(22), Ask::Udp(161)], heard))
    };
    assert_eq!(told(PEER, 22).verdict, TrafficVerdict::Pass, "{:?}", told(PEER, 22).problems);
    for (to, port) in [(PEER, 161), (STRANGER, 22)] {
        let result = told(to, port);
        assert_eq!(result.verdict, TrafficVerdict::Fail);
        assert!(
            result.problems[0].contains(&format!("udp/{port} is told to be unreachable")),
            "{:?}",
            result.problems
        );
    }
}

#[test]
fn silence_that_is_not_proved_is_no_pass() {
    let mut deaf = asked("tcp", STRANGER, ports(), vec![]);
    deaf.unproved = Some("no ARP answer".into());
    let result = class(&network(), &deaf);
    assert_eq!(result.verdict, TrafficVerdict::NotRun);
    assert_eq!(result.problems, ["`eth0`: silence is not proved: no ARP answer"]);
}

#[test]
fn what_the_device_sends_needs_a_flow() {
    let ends = (DEVICE.parse().unwrap(), "192.0.2.1".parse().unwrap());
    let ntp = Heard::Udp { ends, ports: (40_000, 123) };
    let wrong = unasked(&network(), "eth0", &ntp).unwrap();
    assert_eq!(wrong, Unasked::Wrong("`eth0`: the device sends udp/123 to `192.0.2.1` unasked".into()));
    let mut with = network();
    with.flows.push(spec::plan::Flow {
        direction: "out".into(),
        interfaces: vec!["eth0".into()],
        transport: "udp".into(),
        port: 123,
        peers_v4: vec!["192.0.2.1/32".into()],
        ..spec::plan::Flow::default()
    });
    assert_eq!(unasked(&with, "eth0", &ntp), None);
}
