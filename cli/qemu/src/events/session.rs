//! The machine under test with its networks, and the real collector beside it.
//!
//! Each interface of the device ends in QEMU's own TCP/IP. From there one connection leads to rsyslog on
//! this host's loopback, at the collector's address, and two come in: to sshd and to a closed port. A tunnel's peer is on a tap
//! beside it (`tunnel.rs`).

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use exec::{Call, Running, find, tool};
use spec::plan::{CollectorFacts, Flow, Plan};

use crate::console::Seen;
use crate::machine::Machine;
use crate::pattern::Pattern;
use crate::tunnels::Tree;

use super::clock;
use super::kinds::Place;
use super::tunnel::tunnel;

/// A port that no conduit opens.
const CLOSED: u16 = 23;

/// Where the host's ends are: port of the collector, of sshd and of the closed one.
pub(super) struct Ports {
    pub(super) collector: u16,
    pub(super) ssh: u16,
    pub(super) closed: u16,
}

impl Ports {
    /// Three free ones; another program may take one before we do, which then shows as an error of QEMU.
    pub(super) fn free() -> Outcome<Self> {
        let failed = |e: std::io::Error| Failure::io("listen on", Path::new("127.0.0.1"), &e);
        let listeners: Vec<TcpListener> =
            (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>().map_err(failed)?;
        let ports: Vec<u16> = listeners
            .iter()
            .map(|l| l.local_addr().map(|a| a.port()))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        Ok(Self { collector: ports[0], ssh: ports[1], closed: ports[2] })
    }
}

/// Network and length of an interface's first IPv4 address.
pub(super) struct Link {
    pub(super) own: Ipv4Addr,
    length: u32,
}

impl Link {
    pub(super) fn of(addresses: &[String]) -> Option<Self> {
        addresses.iter().find_map(|text| {
            let (own, length) = text.split_once('/')?;
            Some(Self {
                own: own.parse().ok()?,
                length: length.parse().ok().filter(|l| (1..=30).contains(l))?,
            })
        })
    }

    fn network(&self) -> u32 {
        self.own.to_bits() & (u32::MAX << (32 - self.length))
    }

    pub(super) fn holds(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & (u32::MAX << (32 - self.length)) == self.network()
    }

    /// All addresses that somebody may have, the highest first; of a large network some.
    pub(super) fn all(&self) -> impl Iterator<Item = Ipv4Addr> {
        let (network, last) = (self.network(), (1_u32 << (32 - self.length)) - 2);
        (1..=last).rev().take(1_024).map(move |n| Ipv4Addr::from_bits(network + n))
    }

    /// The host's address and another one that nobody has.
    pub(super) fn hosts(&self, taken: &[Ipv4Addr]) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let size = 1_u32 << (32 - self.length);
        let mut free = (1..size - 1)
            .map(|n| Ipv4Addr::from_bits(self.network() + n))
            .filter(|address| *address != self.own && !taken.contains(address));
        Some((free.next()?, free.next()?))
    }
}

/// The conduit through which people come in, in clear.
pub(super) fn remote_access(plan: &Plan) -> Option<&Flow> {
    let mut flows = plan.network.flows.iter();
    flows.find(|flow| flow.direction == "in" && flow.service == "ssh" && flow.tunnel.is_none())
}

/// Addresses of machines that the product names, and whom QEMU's own TCP/IP must not be: the collector, the time servers, and the
/// peers of tunnels.
pub(super) fn taken(plan: &Plan) -> Vec<Ipv4Addr> {
    let collector = plan.network.collector.as_ref().map(|collector| &collector.address);
    let peers = plan.network.tunnels.values().map(|tunnel| &tunnel.peer_address);
    let servers = clock::servers(plan).map(|(address, _)| address);
    let named = collector.into_iter().chain(peers).map(String::as_str).chain(servers);
    named.filter_map(|address| address.parse().ok()).collect()
}

/// QEMU's options for each interface, in the board's order.
///
/// # Errors
/// When the collector is on no network of the device: QEMU's own TCP/IP leads to neighbours only.
pub(super) fn networks(plan: &Plan, collector: &CollectorFacts, ports: &Ports) -> Outcome<Vec<String>> {
    let address: Option<Ipv4Addr> = collector.address.parse().ok();
    let (socat, taken) = (find(&tool("socat")?)?, taken(plan));
    let (mut out, mut reached) = (Vec::new(), false);
    for name in &plan.board.interfaces {
        let facts = plan.network.interfaces.get(name);
        let Some(link) = facts.and_then(|facts| Link::of(&facts.addresses)) else {
            out.push("restrict=on".to_owned());
            continue;
        };
        let Some((host, other)) = link.hosts(&taken) else {
            out.push("restrict=on".to_owned());
            continue;
        };
        let (network, length) = (Ipv4Addr::from_bits(link.network()), link.length);
        let mut options = format!("restrict=on,ipv6=off,net={network}/{length},host={host},dns={other}");
        if let Some(address) = address.filter(|address| link.holds(*address)) {
            reached = true;
            options += &format!(
                ",guestfwd=tcp:{address}:{}-cmd:{} STDIO TCP:127.0.0.1:{}",
                collector.port,
                socat.display(),
                ports.collector
            );
            options += &format!(",hostfwd=tcp:127.0.0.1:{}-{}:{CLOSED}", ports.closed, link.own);
        }
        if let Some(flow) = remote_access(plan).filter(|flow| flow.interfaces.contains(name)) {
            options += &format!(",hostfwd=tcp:127.0.0.1:{}-{}:{}", ports.ssh, link.own, flow.port);
        }
        out.push(options);
    }
    if reached {
        return Ok(out);
    }
    Err(Failure::error(
        ExitStatus::Input,
        "far-collector",
        format!("the collector's address `{}` is on no IPv4 network of the device", collector.address),
    )
    .hint("the proof has no router; prove it with a product whose collector is a neighbour"))
}

/// Who is who in the proof: QEMU's own TCP/IP is the host of each network, and so is who comes in from outside.
pub(super) fn place(plan: &Plan, collector: &CollectorFacts) -> Place {
    let (address, taken): (Option<Ipv4Addr>, _) = (collector.address.parse().ok(), taken(plan));
    let link = |name: &String| Link::of(&plan.network.interfaces.get(name)?.addresses);
    let host = |wanted: &dyn Fn(&String, &Link) -> bool| {
        let mut names = plan.board.interfaces.iter();
        let found = names.find_map(|name| link(name).filter(|link| wanted(name, link)));
        let hosts = found.and_then(|link| link.hosts(&taken));
        hosts.map(|(host, _)| host.to_string()).unwrap_or_default()
    };
    let access = remote_access(plan);
    Place {
        host: plan.product.name.clone(),
        collector: collector.name.clone(),
        neighbour: host(&|_, link| address.is_some_and(|address| link.holds(address))),
        client: host(&|name, _| access.is_some_and(|flow| flow.interfaces.contains(name))),
        peer: tunnel(plan).map(|(_, facts)| facts.peer_address.clone()).unwrap_or_default(),
        source: clock::source(plan).map(|(_, _, source)| source.to_string()).unwrap_or_default(),
    }
}

/// rsyslog with the configuration that `fastness generate` writes for the plant.
pub(super) struct Collector {
    folder: PathBuf,
    config: PathBuf,
    running: Option<Running>,
    port: u16,
}

impl Collector {
    /// In a folder of its own, stopped.
    pub(super) fn new(folder: &Path, config: &str, port: u16, own: u16) -> Outcome<Self> {
        fs::create_dir_all(folder).map_err(|e| Failure::io("make", folder, &e))?;
        let place = folder.to_string_lossy();
        let text = config
            .replace("\"./", &format!("\"{place}/"))
            .replace("\".\"", &format!("\"{place}\""))
            .replace(&format!("port=\"{own}\""), &format!("port=\"{port}\" address=\"127.0.0.1\""));
        let config = folder.join("rsyslog.conf");
        fs::write(&config, text).map_err(|e| Failure::io("write", &config, &e))?;
        Ok(Self { folder: folder.to_owned(), config, running: None, port })
    }

    /// Starts it with an identity, and waits until it listens.
    pub(super) fn start(&mut self, identity: &Tree) -> Outcome<()> {
        for (path, item) in identity {
            let name = path.rsplit('/').next().unwrap_or(path);
            let to = self.folder.join(name);
            if let Some(content) = &item.content {
                fs::write(&to, content).map_err(|e| Failure::io("write", &to, &e))?;
            }
        }
        let call = Call::new(tool("rsyslogd")?)
            .args(["-n", "-iNONE", "-f"])
            .arg(&self.config)
            .log(&self.folder.join("rsyslogd.log"));
        let mut running = call.spawn()?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if running.ended() || Instant::now() > deadline {
                return Err(Failure::error(
                    ExitStatus::Environment,
                    "collector",
                    format!(
                        "rsyslog does not listen; its log is `{}`",
                        self.folder.join("rsyslogd.log").display()
                    ),
                )
                .hint("is the package `rsyslog-openssl` installed? `ci/setup` brings it"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.running = Some(running);
        Ok(())
    }

    /// Ends it, as if the plant's machine had gone.
    pub(super) fn stop(&mut self) {
        self.running = None;
    }

    /// What it has, and the file.
    pub(super) fn records(&self) -> (PathBuf, Vec<String>) {
        let path = self.folder.join("records.jsonl");
        let text = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        (path, text.lines().map(str::to_owned).collect())
    }
}

/// The device, which takes commands from the port of its self-check.
pub(super) struct Bench {
    pub(super) machine: Machine,
    asked: u32,
}

impl Bench {
    /// Waits until the bench is there.
    pub(super) fn ready(mut machine: Machine, limit: Duration) -> Outcome<Self> {
        match machine.port.wait_for(&Pattern::all(["^@@ready"]), Instant::now() + limit)? {
            Seen::Line { .. } => Ok(Self { machine, asked: 0 }),
            _ => Err(silent("the bench did not start")),
        }
    }

    /// Starts a command that does not answer.
    pub(super) fn tell(&mut self, command: &str) {
        self.machine.port.send(format!("{command}\n").as_bytes());
    }

    /// Runs a command and returns its lines.
    pub(super) fn ask(&mut self, command: &str, limit: Duration) -> Outcome<Vec<String>> {
        self.asked += 1;
        let (from, to) = (format!("@@from {}", self.asked), format!("@@to {}", self.asked));
        // What a command wrote last may have no line end.
        self.machine.port.send(format!("echo '{from}'; {command}\necho; echo '{to}'\n").as_bytes());
        let end = Pattern::all([format!("^{to}").as_str()]);
        if !matches!(self.machine.port.wait_for(&end, Instant::now() + limit)?, Seen::Line { .. }) {
            return Err(silent(&format!("the device did not answer `{command}`")));
        }
        let texts = self.machine.port.lines().into_iter().map(|line| line.text);
        Ok(texts.skip_while(|line| *line != from).skip(1).take_while(|line| *line != to).collect())
    }
}

fn silent(why: &str) -> Failure {
    Failure::error(ExitStatus::Environment, "harness", why.to_owned())
        .hint("is the host so busy that an emulated machine starves? its console is in boot/events")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_a_host_that_nobody_else_is() {
        let link = Link::of(&["2001:db8::1/64".to_owned(), "192.0.2.1/24".to_owned()]).unwrap();
        assert!(link.holds("192.0.2.40".parse().unwrap()) && !link.holds("192.0.3.1".parse().unwrap()));
        let taken = ["192.0.2.2".parse().unwrap()];
        let (host, other) = link.hosts(&taken).unwrap();
        assert_eq!((host.to_string(), other.to_string()), ("192.0.2.3".into(), "192.0.2.4".into()));
        assert!(Link::of(&["192.0.2.1/32".to_owned()]).is_none());
        let small = Link::of(&["198.51.100.10/29".to_owned()]).unwrap();
        let all: Vec<String> = small.all().map(|address| address.to_string()).collect();
        assert_eq!((all.len(), all[0].as_str(), all[5].as_str()), (6, "198.51.100.14", "198.51.100.9"));
    }

    #[test]
    fn who_comes_in_from_outside_is_the_host_of_the_network_that_is_tried() {
        let product = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cell-gateway/product.yaml");
        let mut plan = spec::load(&product, None).unwrap();
        // The collector has the first address of its network.
        let collector = CollectorFacts {
            name: "logs.example".to_owned(),
            address: "192.0.2.1".to_owned(),
            port: 6514,
            local_name: "gw".to_owned(),
            flow: "logs".to_owned(),
        };
        plan.network.collector = Some(collector.clone());
        let found = place(&plan, &collector);
        assert_eq!((found.neighbour.as_str(), found.client.as_str()), ("192.0.2.2", "198.51.100.1"));
        assert_eq!((found.host.as_str(), found.collector.as_str()), ("cell-gateway", "logs.example"));

        // Nor is it the peer of a tunnel.
        let product = product.parent().unwrap().join("../logging-gateway/product.yaml");
        let mut plan = spec::load(&product, None).unwrap();
        plan.network.tunnels.get_mut("support").unwrap().peer_address = "192.0.2.1".to_owned();
        let found = place(&plan, &collector);
        assert_eq!((found.neighbour.as_str(), found.peer.as_str()), ("192.0.2.2", "192.0.2.1"));
    }

    #[test]
    fn the_collector_has_the_plant_s_configuration_with_its_place_and_port() {
        let folder = tempfile::tempdir().unwrap();
        let text = "workDirectory=\".\" CAFile=\"./ca.pem\" port=\"6514\" ruleset";
        let made = Collector::new(folder.path(), text, 40_000, 6514).unwrap();
        let place = folder.path().display();
        assert_eq!(
            fs::read_to_string(&made.config).unwrap(),
            format!(
                "workDirectory=\"{place}\" CAFile=\"{place}/ca.pem\" port=\"40000\" address=\"127.0.0.1\" ruleset"
            )
        );
        assert!(made.records().1.is_empty());
    }
}
