//! `ports-declared`: whatever configuration opens to listen on is a flow of the plan.
//!
//! A service that may not make sockets of IP opens none. Of each other one the layer says by what its ports are known: a
//! configuration that is read here, or a reason why it has none. What nobody says is for the operator.
//!
//! Source: systemd.exec(5), systemd.socket(5), sshd_config(5), chrony.conf(5), openvpn(8), strongswan.conf(5).

use std::collections::BTreeMap;

use serde::Deserialize;
use spec::plan::Plan;

use super::Kind;
use super::services::{Service, named, started};
use crate::facts::SSHD_CONFIG;
use crate::facts::services::{settings, started as units};
use crate::root::Root;
use crate::sshd::Config;
use crate::{Conclusion, Context, Unable};

/// See the module.
pub struct PortsDeclared;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct With {
    /// By a pattern of the unit's name.
    services: BTreeMap<String, Known>,
}

/// How the ports of a service are known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
enum Known {
    /// By the configuration of that program.
    Reads(Reader),
    /// It listens on none, for this reason.
    None(String),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reader {
    Sshd,
    Chrony,
    Openvpn,
    Strongswan,
}

/// Transport and port.
type Port = (String, u16);

impl Kind for PortsDeclared {
    const NAME: &'static str = "ports-declared";
    const DESCRIPTION: &'static str = "each port on which a service may listen by its configuration is a flow into the device; services that \
                                       `services` does not name and that may make sockets of IP are for the operator";
    type With = With;

    fn problems(with: &With) -> Vec<String> {
        let silent = with
            .services
            .iter()
            .filter(|(_, known)| matches!(known, Known::None(why) if why.trim().is_empty()));
        silent.map(|(name, _)| format!("`{name}` has no reason")).collect()
    }

    fn run(with: With, context: &Context) -> Result<Conclusion, Unable> {
        let root = context.root()?;
        let plan = context.plan()?;
        let (services, other) = started(root)?;
        let (mut open, mut unknown): (Vec<(String, Port)>, Vec<String>) = (sockets(root)?, other);
        let (mut closed, mut quiet) = (0, Vec::new());
        for service in &services {
            if !may_speak_ip(service) {
                closed += 1;
                continue;
            }
            match named(&with.services, &service.name) {
                Some(Known::None(_)) => quiet.push(service.name.clone()),
                Some(Known::Reads(reader)) => {
                    let ports = ports(*reader, root)?;
                    if ports.is_empty() {
                        quiet.push(service.name.clone());
                    }
                    open.extend(ports.into_iter().map(|port| (service.name.clone(), port)));
                }
                None => unknown.push(service.name.clone()),
            }
        }
        open.sort();
        open.dedup();
        let words: Vec<String> =
            open.iter().map(|(who, (transport, port))| format!("{transport}/{port} ({who})")).collect();
        let problems: Vec<String> = open
            .iter()
            .zip(&words)
            .filter(|((_, port), _)| !declared(plan, port))
            .map(|(_, words)| format!("{words} is no flow into the device"))
            .collect();
        if problems.is_empty() && !unknown.is_empty() {
            return Err(Unable::for_the_operator(format!(
                "may listen, and nothing says on what: {}",
                unknown.join(", ")
            )));
        }
        let words = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
        let seen = format!(
            "open: {words}; {closed} services make no socket of IP; none listens of {}",
            quiet.join(", ")
        );
        Ok(Conclusion::of(&problems, "every port is a flow of the plan", seen, &root.sha256))
    }
}

/// Whether a service may make sockets of IP that others reach.
fn may_speak_ip(service: &Service) -> bool {
    if ["yes", "true", "1", "on"].contains(&service.last("PrivateNetwork")) {
        return false;
    }
    let families = service.settings.get("RestrictAddressFamilies").filter(|all| !all.is_empty());
    let Some(families) = families else { return true };
    // A list of what is refused may be taken back by another: only lists of what is allowed are believed.
    let words = || families.iter().flat_map(|line| line.split_whitespace());
    words().any(|word| word.starts_with('~') || word == "AF_INET" || word == "AF_INET6")
}

/// What units of sockets open.
fn sockets(root: &Root) -> Result<Vec<(String, Port)>, Unable> {
    let mut found = Vec::new();
    for unit in units(root).into_iter().filter(|unit| unit.ends_with(".socket")) {
        for (name, all) in settings(root, &unit, "Socket")? {
            let transport = match name.as_str() {
                "ListenStream" | "ListenSequentialPacket" => "tcp",
                "ListenDatagram" => "udp",
                _ => continue,
            };
            for address in all.iter().filter(|address| !address.starts_with(['/', '@', '%'])) {
                let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
                let port =
                    port.ok_or_else(|| Unable::broken(format!("`{unit}`: `{name}={address}` is no port")))?;
                found.push((unit.clone(), (transport.to_owned(), port)));
            }
        }
    }
    Ok(found)
}

/// What a program opens by its configuration.
fn ports(reader: Reader, root: &Root) -> Result<Vec<Port>, Unable> {
    let text = |path: &str| Ok::<_, Unable>(root.read_text(path)?.unwrap_or_default());
    let value = |text: &str, key: &str| {
        let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        words
            .filter(|words| words.first() == Some(&key))
            .filter_map(|words| words.get(1)?.parse::<u16>().ok())
            .next_back()
    };
    let mut found = Vec::new();
    match reader {
        Reader::Sshd => {
            let config = Config::read(root, SSHD_CONFIG)?.unwrap_or_default();
            let mut all: Vec<u16> = config.all("Port").iter().filter_map(|port| port.parse().ok()).collect();
            // An address of IPv6 has a port behind its brackets alone.
            let port = |address: &str| {
                let has = address.starts_with('[') || address.matches(':').count() == 1;
                address.rsplit_once(':').filter(|_| has)?.1.parse::<u16>().ok()
            };
            all.extend(config.all("ListenAddress").into_iter().filter_map(port));
            if all.is_empty() {
                all.push(22);
            }
            found.extend(all.into_iter().map(|port| ("tcp".to_owned(), port)));
        }
        Reader::Chrony => {
            let text = format!("{}\n{}", text("/etc/chrony.conf")?, text("/etc/chrony/chrony.conf")?);
            for (key, default) in [("port", 123), ("cmdport", 323)] {
                let port = value(&text, key).unwrap_or(default);
                found.extend((port != 0).then(|| ("udp".to_owned(), port)));
            }
        }
        Reader::Openvpn => {
            let files = root.find("/etc/openvpn/**").into_iter().map(|(path, _)| path.to_owned());
            for path in files.filter(|path| path.ends_with(".conf")) {
                let text = text(&path)?;
                if text.lines().any(|line| line.trim() == "nobind") {
                    continue;
                }
                let tcp = text.lines().any(|line| line.trim().starts_with("proto tcp"));
                let port = value(&text, "lport").or(value(&text, "port")).unwrap_or(1194);
                found.push((if tcp { "tcp" } else { "udp" }.to_owned(), port));
            }
        }
        // RFC 7296, 2.23: unless its configuration says other ports, which the layer does not.
        Reader::Strongswan => {
            let text = text("/etc/strongswan.conf")?;
            if text.lines().any(|line| line.trim_start().starts_with("port")) {
                return Err(Unable::broken("`/etc/strongswan.conf` sets ports of its own"));
            }
            found.extend([500, 4500].map(|port| ("udp".to_owned(), port)));
        }
    }
    Ok(found)
}

fn declared(plan: &Plan, (transport, port): &Port) -> bool {
    let network = &plan.network;
    let flow = network
        .flows
        .iter()
        .any(|flow| flow.direction == "in" && flow.transport == *transport && flow.port == *port);
    let outer = network.tunnels.values().any(|tunnel| transport == "udp" && tunnel.ports.contains(port));
    flow || outer
}

#[cfg(test)]
mod tests {
    use record::Verdict;
    use serde_json::{Value, json};
    use spec::plan::Flow;

    use crate::subject::Subject;
    use crate::testing::*;

    fn tree(units: &[(&str, &str)]) -> Tree {
        units.iter().fold(Tree::base(), |tree, (name, text)| {
            let path = format!("/usr/lib/systemd/system/{name}");
            let link = format!("/etc/systemd/system/multi-user.target.wants/{name}");
            tree.file(&path, 0o644, text).link(&link, &path)
        })
    }

    fn check(services: Value, tree: Tree) -> Result<crate::Conclusion, crate::Unable> {
        let mut plan = crate::report::sample::plan();
        plan.network.tunnels.clear();
        let flow = |port| Flow { direction: "in".into(), transport: "tcp".into(), port, ..Flow::default() };
        plan.network.flows = vec![flow(22), Flow { direction: "out".into(), ..flow(80) }];
        let with = json!({ "services": services });
        run_on("ports-declared", with, &Subject::of_root(tree.root()), Some(&plan))
    }

    const IP: &str = "[Service]\nExecStart=/usr/sbin/a\nRestrictAddressFamilies=AF_UNIX AF_INET\n";
    const NO_IP: &str = "[Service]\nExecStart=/usr/sbin/b\nRestrictAddressFamilies=AF_UNIX\n";

    #[test]
    fn pass() {
        let services = json!({"ssh.*": {"reads": "sshd"}, "a.*": {"none": "asks only"}, "chrony.*": {"reads": "chrony"}});
        let tree =
            tree(&[("ssh.service", IP), ("a.service", IP), ("b.service", NO_IP), ("chrony.service", IP)])
                .file("/etc/chrony/chrony.conf", 0o644, "port 0\ncmdport 0\n")
                .file("/etc/ssh/sshd_config", 0o600, "Port 22\n");
        let seen = passes(check(services, tree));
        assert!(seen.starts_with("open: tcp/22 (ssh.service); 1 services make no socket of IP"), "{seen}");
    }

    #[test]
    fn fail() {
        let ssh = || json!({"a.*": {"reads": "sshd"}});
        let config = |text: &str| tree(&[("a.service", IP)]).file("/etc/ssh/sshd_config", 0o600, text);
        fails(check(ssh(), config("Port 2222\n")), "tcp/2222 (a.service) is no flow into the device");
        fails(check(ssh(), config("Port 22\nPort 23\n")), "tcp/23 (a.service)");
        fails(check(json!({"a.*": {"reads": "chrony"}}), tree(&[("a.service", IP)])), "udp/123 (a.service)");
        let vpn = tree(&[("a.service", IP)]).file("/etc/openvpn/x.conf", 0o600, "remote h\n");
        fails(check(json!({"a.*": {"reads": "openvpn"}}), vpn), "udp/1194 (a.service)");
        fails(
            check(json!({"a.*": {"reads": "strongswan"}}), tree(&[("a.service", IP)])),
            "udp/4500 (a.service)",
        );
        let socket = "[Socket]\nListenStream=[::]:80\nListenStream=/run/x\n";
        fails(check(json!({}), tree(&[("b.service", NO_IP), ("x.socket", socket)])), "tcp/80 (x.socket)");
    }

    #[test]
    fn what_may_listen_and_nothing_says_on_what_is_no_pass() {
        for text in
            [IP, "[Service]\nExecStart=/usr/sbin/a\n", "[Service]\nRestrictAddressFamilies=~AF_INET\n"]
        {
            let open = check(json!({}), tree(&[("a.service", text)])).unwrap_err();
            assert_eq!(open.verdict, Verdict::NeedsOperator, "{text}");
            assert_eq!(open.why, "may listen, and nothing says on what: a.service");
        }
    }

    #[test]
    fn a_reason_is_asked_for() {
        let with = json!({"services": {"a.service": {"none": " "}}});
        assert_eq!(
            (crate::kinds::find("ports-declared").unwrap().validate)(&with),
            ["`a.service` has no reason"]
        );
    }
}
