//! With the real nft where namespaces are to be had.

use serde_json::json;

use super::*;
use crate::subject::Subject;
use crate::testing::*;

const GOOD: &str = "table inet fw {
  set ops { type ipv4_addr; flags interval; elements = { 192.0.2.0/28 }; }
  chain input {
    type filter hook input priority filter; policy drop;
    iif lo accept
    ct state vmap { established : accept, related : accept, invalid : drop }
    icmp type echo-request limit rate 5/second accept
    iifname vmap { \"svc0\" : jump in_svc }
    limit rate 5/second log prefix \"drop \"
  }
  chain in_svc { ip saddr @ops tcp dport 22 ct state new limit rate 6/minute accept; }
  chain forward { type filter hook forward priority filter; policy drop; }
  chain output {
    type filter hook output priority filter; policy drop;
    oif lo accept
    ct state established,related accept
    oifname \"up0\" ip daddr 198.51.100.7 udp dport 123 accept
  }
}
";

fn flow(direction: &str, interface: &str, transport: &str, port: u16, peer: &str) -> Flow {
    Flow {
        name: format!("{transport}-{port}"),
        direction: direction.into(),
        zone: "z".into(),
        interfaces: vec![interface.into()],
        service: "s".into(),
        transport: transport.into(),
        port,
        peers_v4: vec![peer.into()],
        peers_v6: vec![],
        rate: "6/minute".into(),
        reason: "test".into(),
        ..Flow::default()
    }
}

fn check(ruleset: &str) -> Option<Result<Conclusion, Unable>> {
    check_with(ruleset, json!({"path": "/etc/nftables.conf"}))
}

fn check_with(ruleset: &str, with: serde_json::Value) -> Option<Result<Conclusion, Unable>> {
    let mut plan = crate::report::sample::plan();
    plan.network.flows = vec![
        flow("in", "svc0", "tcp", 22, "192.0.2.0/28"),
        flow("out", "up0", "udp", 123, "198.51.100.7/32"),
    ];
    check_plan(ruleset, with, &plan)
}

/// None: the host cannot load rulesets.
fn check_plan(ruleset: &str, with: serde_json::Value, plan: &Plan) -> Option<Result<Conclusion, Unable>> {
    let subject = Subject::of_root(Tree::base().file("/etc/nftables.conf", 0o600, ruleset).root());
    let result = run_on("nft-ruleset", with, &subject, Some(plan));
    if let Err(why) = &result
        && why.why.contains("namespace")
    {
        let set = |name: &str| std::env::var_os(name).is_some();
        assert!(!set("FASTNESS_REQUIRE_TOOLS") || set("FASTNESS_WITHOUT_NAMESPACES"), "{why}");
        #[allow(clippy::print_stderr)]
        {
            eprintln!("SKIPPED: {why}");
        }
        return None;
    }
    Some(result)
}

#[test]
fn pass() {
    let Some(result) = check(GOOD) else { return };
    assert_eq!(passes(result), "accepted: tcp/22 from 192.0.2.0/28 on svc0, udp/123 to 198.51.100.7 on up0");
}

#[test]
fn fail() {
    let cases = [
        ("policy drop;\n    iif", "policy accept;\n    iif", "has policy accept"),
        (
            "tcp dport 22 ct",
            "tcp dport { 22, 23 } ct",
            "accepts tcp/23 from 192.0.2.0/28 on svc0, which no flow allows",
        ),
        ("ip saddr @ops ", "", "accepts any peer on svc0"),
        ("udp dport 123 accept", "udp dport 124 accept", "does not accept udp/123 to 198.51.100.7 on up0"),
        ("limit rate 5/second log", "tcp dport 80 accept\n log", "accepts on any interface"),
        (
            "priority filter; policy drop; }",
            "priority filter; policy drop; accept; }",
            "accepts forwarded packets",
        ),
        ("table inet", "table ip", "covers only one IP version"),
        ("iif lo accept", "iif lo accept bananas", "nft refuses it: "),
    ];
    for (from, to, says) in cases {
        let changed = GOOD.replace(from, to);
        assert_ne!(changed, GOOD, "`{from}` is in the fixture");
        let Some(result) = check(&changed) else { return };
        fails(result, says);
    }
}

#[test]
fn strictly_and_limited() {
    const LOG: &str = "limit rate 5/second log prefix \"drop \"";
    let strict = json!({"path": "/etc/nftables.conf", "strict": true});
    let limited = json!({"path": "/etc/nftables.conf", "limited": true});
    let good =
        GOOD.replace("udp dport 123 accept", &format!("udp dport 123 ct state new accept; {LOG}")).replace(
            "hook forward priority filter; policy drop;",
            &format!("hook forward priority filter; policy drop; {LOG};"),
        );
    let Some(result) = check_with(&good, strict.clone()) else { return };
    passes(result);
    for (with, from, to, says) in [
        (
            &strict,
            "udp dport 123 ct state new accept",
            "udp dport 123 accept",
            "accepts udp/123 to 198.51.100.7 on up0 whatever its state",
        ),
        (
            &strict,
            "policy drop; limit rate 5/second log prefix \"drop \";",
            "policy drop; log prefix \"drop \";",
            "`inet fw forward` does not log",
        ),
        (
            &limited,
            "ct state new limit rate 6/minute accept",
            "ct state new accept",
            "accepts tcp/22 from 192.0.2.0/28 on svc0 without a rate limit",
        ),
        (&limited, "limit rate 6/minute accept", "limit rate over 6/minute accept", "without a rate limit"),
    ] {
        assert!(good.contains(from), "{from}");
        let Some(result) = check_with(&good.replace(from, to), with.clone()) else { return };
        fails(result, says);
    }
    // A rate of each sender is one, too; a number of connections is none.
    let own = good
        .replace("chain in_svc {", "set seen { type ipv4_addr; size 16; flags dynamic; }\n  chain in_svc {");
    assert_ne!(own, good);
    for (kept, holds) in
        [("limit rate 6/minute", true), ("limit rate over 6/minute", false), ("ct count 8", false)]
    {
        let new = format!("ct state new update @seen {{ ip saddr {kept} }} accept");
        let ruleset = own.replace("ct state new limit rate 6/minute accept", &new);
        let Some(result) = check_with(&ruleset, limited.clone()) else { return };
        match holds {
            true => _ = passes(result),
            false => fails(result, "without a rate limit"),
        }
    }
    let Some(result) = check_with(&good, limited) else { return };
    passes(result);
}

#[test]
fn an_include_is_not_followed_on_the_host() {
    let Some(result) = check("include \"/etc/passwd\"\n") else { return };
    cannot(result, "includes other files");
}

#[test]
fn prefixes_have_one_form() {
    assert_eq!(normal_prefix("192.0.2.7/28"), "192.0.2.0/28");
    assert_eq!(normal_prefix("192.0.2.7/32"), "192.0.2.7");
    assert_eq!(normal_prefix("0.0.0.0/0"), "0.0.0.0/0");
    assert_eq!(normal_prefix("fd00::1/8"), "fd00::/8");
}

/// The shipped examples' own firewalls, as the real nft lists them.
#[test]
fn the_examples_firewalls_accept_exactly_their_plans() {
    for example in ["cell-gateway", "plc-gateway"] {
        let product = format!("{}/../../examples/{example}/product.yaml", env!("CARGO_MANIFEST_DIR"));
        let plan =
            spec::load(std::path::Path::new(&product), None).unwrap_or_else(|failure| panic!("{failure}"));
        let rules = rules_of(&plan);
        let with = json!({"path": "/etc/nftables.conf", "strict": true, "limited": true});
        let Some(result) = check_plan(&rules, with.clone(), &plan) else { return };
        let seen = passes(result);
        if example == "plc-gateway" {
            assert!(seen.contains("tcp/502 from 203.0.113.0/25 on eth0 through IPsec (reqid 2)"), "{seen}");
            assert!(seen.contains("esp from 192.0.2.20 on eth0"), "{seen}");
            for (from, to, why) in [
                (
                    "ip saddr { 203.0.113.0/25 } ipsec in reqid 2 ",
                    "ip saddr { 203.0.113.0/25 } ",
                    "accepts tcp/502 from 203.0.113.0/25 on eth0, which no flow allows",
                ),
                (
                    "meta l4proto esp ct state { new, established } ",
                    "meta l4proto esp ",
                    "accepts esp from 192.0.2.20 on eth0 whatever its state",
                ),
                (
                    "saddr 192.0.2.20/32 ip daddr 192.0.2.10/32 udp dport",
                    "saddr 192.0.2.0/24 udp dport",
                    "accepts udp/4500 from 192.0.2.0/24 on eth0, which no flow allows",
                ),
            ] {
                assert!(rules.contains(from), "no `{from}` in\n{rules}");
                let Some(result) = check_plan(&rules.replace(from, to), with.clone(), &plan) else { return };
                fails(result, why);
            }
        }
    }
}

fn rules_of(plan: &Plan) -> String {
    match &plan.files["/etc/nftables.conf"].value {
        spec::plan::FilePlan::File { content, .. } => content.clone(),
        other => panic!("{other:?}"),
    }
}

/// What the plan has besides `/etc/nftables.conf`: the rules below IP and the peers' ends.
#[test]
fn the_rules_below_ip_and_those_of_the_peers_are_taken_by_nft() {
    let product = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/plc-gateway/product.yaml");
    let plan = spec::load(std::path::Path::new(product), None).unwrap_or_else(|failure| panic!("{failure}"));
    let mut rules: Vec<String> = plan
        .outside
        .iter()
        .filter(|(path, _)| path.ends_with("nftables.conf"))
        .map(|(_, text)| text.clone())
        .collect();
    assert_eq!(rules.len(), 2);
    let spec::plan::FilePlan::File { content, .. } = &plan.files["/etc/nftables-layer2.conf"].value else {
        panic!("a file")
    };
    // A new namespace has no other interface.
    rules.push(content.replace("\"eth0\"", "\"lo\"").replace("\"eth1\"", "\"lo\""));
    for text in rules {
        match load(&text) {
            Ok(Ok(_)) => {}
            Ok(Err(refusal)) => panic!("{refusal}\n{text}"),
            Err(why) => {
                let set = |name: &str| std::env::var_os(name).is_some();
                assert!(!set("FASTNESS_REQUIRE_TOOLS") || set("FASTNESS_WITHOUT_NAMESPACES"), "{}", why.why);
                #[allow(clippy::print_stderr)]
                {
                    eprintln!("SKIPPED: {}", why.why);
                }
            }
        }
    }
}
