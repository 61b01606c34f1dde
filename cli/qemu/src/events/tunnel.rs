//! Peers of a tunnel whom the device refuses, and the one it takes: each is recorded.
//!
//! The device is OpenVPN's client: it asks its peer by itself. The peer is OpenVPN on this host, with the configuration that
//! `fastness generate` writes for the plant, an interface that leads nowhere and a socket of the loopback; a relay on a tap of
//! the device's network makes it a neighbour of the device.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diag::{Failure, Outcome};
use events::Outcome as Ended;
use exec::{Call, Running, tool};
use spec::plan::{Plan, TunnelFacts};
use traffic::relay::{Behind, Ends};

use super::kinds::{Kind, TUNNEL};
use super::session::Link;
use super::time::TOLERANCE;
use super::{MINUTE, Proof};
use crate::tunnels::Tree;

/// How long the device may take until it has said what it thinks of a peer: it gives up a handshake after the layer's
/// `hand_window`, and pauses between the attempts.
const PATIENCE: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_secs(3);

/// A tunnel's identities for one test.
pub struct TunnelIdentities {
    /// The peer that the plan names.
    pub good: Tree,
    /// Peers that must be refused, in the order in which they come.
    pub refused: Vec<(Bad, Tree)>,
}

/// Why a peer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Its certificate is of another authority, and has the right name.
    Authority,
    /// Its certificate has another name.
    Name,
    /// Its certificate was revoked.
    Revoked,
    /// Its certificate has expired.
    Expired,
}

impl Bad {
    /// What the device says of it.
    #[must_use]
    pub fn words(self) -> &'static str {
        self.kind().contains
    }

    /// The kind that it provokes.
    fn kind(self) -> &'static Kind {
        match self {
            Self::Authority => &TUNNEL[0],
            Self::Name => &TUNNEL[1],
            Self::Revoked => &TUNNEL[2],
            Self::Expired => &TUNNEL[3],
        }
    }
}

/// The kind of the peer that is taken.
const UP: usize = 4;

/// The tunnel whose peers the proof has, and the interface that it uses, in the board's order.
///
/// # Errors
/// Why there is none.
pub fn tunnel(plan: &Plan) -> Result<(&String, &TunnelFacts), String> {
    let all = &plan.network.tunnels;
    if all.is_empty() {
        return Err("the product has no tunnel".to_owned());
    }
    let of_openvpn: Vec<_> = all.iter().filter(|(_, facts)| facts.kind == "openvpn").collect();
    if of_openvpn.is_empty() {
        return Err("the proof has peers of OpenVPN alone: strongSwan's want a machine of their own \
                    (`boot --network`), and WireGuard logs nothing"
            .to_owned());
    }
    let found = of_openvpn.iter().find(|(_, facts)| !facts.in_tpm && place(plan, facts).is_some());
    found.copied().ok_or_else(|| {
        "the proof has peers only of a tunnel over IPv4 whose peer is a neighbour of the device, and whose key is a file"
            .to_owned()
    })
}

/// Number of the tunnel's interface, and its two ends there; none: the peer is no neighbour.
fn place(plan: &Plan, facts: &TunnelFacts) -> Option<(usize, SocketAddrV4, SocketAddrV4)> {
    let index = plan.board.interfaces.iter().position(|name| *name == facts.interface)?;
    let link = Link::of(&plan.network.interfaces.get(&facts.interface)?.addresses)?;
    let port = *facts.ports.first()?;
    let peer: Ipv4Addr = facts.peer_address.parse().ok().filter(|address| link.holds(*address))?;
    let own: Ipv4Addr = facts.local_address.parse().ok()?;
    Some((index, SocketAddrV4::new(own, port), SocketAddrV4::new(peer, port)))
}

/// The peer's program on this host.
pub(super) struct TunnelPeer {
    name: String,
    folder: PathBuf,
    config: String,
    /// The interface's number, and what the relay on its network passes on.
    pub(super) relay: (usize, Ends),
    running: Option<Running>,
}

impl TunnelPeer {
    /// In a folder of its own, stopped; none where the proof has no peers of the product's tunnels.
    pub(super) fn new(plan: &Plan, folder: &Path) -> Outcome<Option<Self>> {
        let Ok((name, facts)) = tunnel(plan) else { return Ok(None) };
        let Some((index, device, peer)) = place(plan, facts) else { return Ok(None) };
        let failed = |e: std::io::Error| Failure::io("listen on", Path::new("127.0.0.1"), &e);
        let bind = || UdpSocket::bind("127.0.0.1:0").map_err(failed);
        let address = |socket: &UdpSocket| match socket.local_addr().map_err(failed)? {
            SocketAddr::V4(address) => Ok(address),
            SocketAddr::V6(_) => Err(failed(std::io::ErrorKind::AddrNotAvailable.into())),
        };
        // Another program may take the second one before OpenVPN does, which then shows in its log.
        let (own, program) = (bind()?, bind()?);
        let (from, to) = (address(&own)?, address(&program)?);
        let config = plan.outside.get(&format!("peer/{name}/openvpn.conf"));
        let config = on_loopback(config.map(String::as_str).unwrap_or_default(), to.port(), from.port());
        let ends = Ends { device, peer, behind: Behind::Program { socket: Arc::new(own), address: to } };
        Ok(Some(Self {
            name: name.clone(),
            folder: folder.to_owned(),
            config,
            relay: (index, ends),
            running: None,
        }))
    }

    /// Starts it with an identity, in the place of the one that was there.
    pub(super) fn start(&mut self, identity: &Tree, log: &Path) -> Outcome<()> {
        self.running = None;
        let failed = |path: &Path, e: &std::io::Error| Failure::io("write", path, e);
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(|e| failed(&self.folder, &e))?;
        }
        fs::create_dir_all(&self.folder).map_err(|e| failed(&self.folder, &e))?;
        for (path, item) in identity {
            let to = self.folder.join(path.rsplit('/').next().unwrap_or(path));
            if let Some(content) = &item.content {
                fs::write(&to, content).map_err(|e| failed(&to, &e))?;
            }
        }
        let config = self.folder.join("openvpn.conf");
        fs::write(&config, &self.config).map_err(|e| failed(&config, &e))?;
        let call = Call::new(tool("openvpn")?)
            .args(["--suppress-timestamps", "--cd"])
            .arg(&self.folder)
            .args(["--config", "openvpn.conf"])
            .log(log);
        self.running = Some(call.spawn()?);
        Ok(())
    }
}

/// The plant's configuration for a user of this host: the loopback instead of the peer's address, no interface, no change of the
/// user. What concerns the handshake stays. `own` and `other` are the ports.
#[must_use]
pub fn on_loopback(config: &str, own: u16, other: u16) -> String {
    const LEFT_OUT: [&str; 11] = [
        "dev ",
        "dev-type ",
        "topology ",
        "local ",
        "remote ",
        "port ",
        "ifconfig ",
        "ifconfig-ipv6 ",
        "user ",
        "group ",
        "persist-tun",
    ];
    let kept = config.lines().filter(|line| !LEFT_OUT.iter().any(|begin| line.starts_with(begin)));
    let mut out: String = kept.map(|line| format!("{line}\n")).collect();
    out += &format!("dev null\nlocal 127.0.0.1\nlport {own}\nremote 127.0.0.1 {other}\n");
    out
}

impl Proof<'_> {
    /// One bad peer after the other, each until the device has said why it wants none of it; then the good one, which stays. What
    /// was recorded of them is judged later. `Err` says why there is no peer.
    pub(super) fn tunnel(&mut self, identities: Option<&TunnelIdentities>) -> Outcome<Result<(), String>> {
        let (Some(identities), Some(mut peer)) = (identities, self.peer.take()) else {
            let why = tunnel(self.plan).err();
            return Ok(Err(why.unwrap_or_else(|| "no peer was made".to_owned())));
        };
        let unit = format!("openvpn-{}.service", peer.name);
        let bad = identities.refused.iter().map(|(bad, tree)| (bad.kind(), tree));
        for (kind, tree) in bad.chain([(&TUNNEL[UP], &identities.good)]) {
            let (_, before) = self.run_so_far();
            peer.start(tree, &self.spec.logs.join("peer.log"))?;
            // The device asks at once, and not when it has missed the peer that was there.
            self.bench.ask(&format!("systemctl restart {unit}"), MINUTE * 2)?;
            self.said(&said(&unit, kind, before), PATIENCE)?;
            if kind.outcome == Ended::Failure {
                // A device that asks a bad peer again and again says the same each time.
                self.bench.ask(&format!("systemctl stop {unit}"), MINUTE * 2)?;
            }
            self.windows.provoked(kind.name, (before, self.run_so_far().1));
            self.look()?;
        }
        self.peer = Some(peer);
        Ok(Ok(()))
    }

    /// Waits until a command answers with a number that is not 0, or does not: a busy device records later than it says.
    pub(super) fn said(&mut self, command: &str, patience: Duration) -> Outcome<()> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let answer = self.bench.ask(command, MINUTE * 2)?;
            if answer.iter().any(|line| line.parse::<u32>().is_ok_and(|count| count > 0)) {
                break;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// Asks how often the device's journal has a kind's words, from a time on.
pub(super) fn said(unit: &str, kind: &Kind, from: u64) -> String {
    let from = from.saturating_sub(TOLERANCE);
    format!("journalctl -q -b -o cat -u {unit} --since @{from} 2>/dev/null | grep -c -e '{}'", kind.contains)
}

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tests;
