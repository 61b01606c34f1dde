//! The probes of one interface, from power-on to the last port.
//!
//! Before the device reports itself ready, a few probes are repeated: the firewall must be up before
//! the first can be answered. Then everything is asked once per sender and address: a stranger first,
//! then a sender that the plan allows. Between every [`BATCH`] probes the device must answer a
//! sentinel (ARP, or neighbour discovery): frames are delivered in order, so that it has heard all
//! before it, and its silence is proved.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use record::{TrafficClass, TrafficInterface};
use spec::plan::NetworkFacts;
use spec::types::{InterfaceAddress, Prefix, Scalar};

use crate::frame::{self, Ask, Heard, Mac, Path};
use crate::judge::{self, Class, PROBE_PORT, Unasked};
use crate::special;
use crate::wire::{OUR_MAC, Wire};

/// Probes between two sentinels.
pub const BATCH: usize = 512;
/// Time for answers after the last probe of a class.
const QUIET: Duration = Duration::from_millis(400);
/// Time between two rounds of early probes.
const ROUND: Duration = Duration::from_millis(250);
/// Ports of the early probes: SSH, web, and industrial protocols.
pub(crate) const EARLY: [u16; 8] = [22, 80, 102, 443, 502, 4840, 20_000, 44_818];
/// Ethertypes that are asked (IANA, IEEE 802 numbers; IEC 61158, IEC 61850), and an unassigned one.
const ETHERTYPES: [u16; 32] = [
    0x0842, 0x22f0, 0x22f3, 0x6003, 0x8035, 0x809b, 0x80f3, 0x8100, 0x8137, 0x8808, 0x8809, 0x8847, 0x8863,
    0x8864, 0x888e, 0x8892, 0x88a2, 0x88a4, 0x88a8, 0x88ab, 0x88b5, 0x88b8, 0x88b9, 0x88ba, 0x88cc, 0x88cd,
    0x88e1, 0x88e3, 0x88e5, 0x88f7, 0x892f, 0x9000,
];

/// What is to be probed.
#[derive(Clone, Debug)]
pub struct Sweep<'a> {
    /// The plan's network.
    pub network: &'a NetworkFacts,
    /// Interface.
    pub interface: &'a str,
    /// The device's hardware address.
    pub mac: Mac,
    /// Name of the recording, relative to the record.
    pub pcap: String,
    /// Set when the device has reported itself ready.
    pub ready: &'a AtomicBool,
    /// Set when the machine ends: nothing more is to be sent.
    pub stop: &'a AtomicBool,
}

/// A sender of probes to one address of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) source: IpAddr,
    on_link: bool,
    target: IpAddr,
}

/// Addresses with their networks of an interface.
pub fn addresses(network: &NetworkFacts, interface: &str) -> Vec<InterfaceAddress> {
    let facts = network.interfaces.get(interface);
    let texts = facts.map(|facts| facts.addresses.as_slice()).unwrap_or_default();
    texts.iter().filter_map(|text| InterfaceAddress::parse(text, true).ok()).collect()
}

/// Hosts of a network that may be senders, the highest first, without the device itself.
pub(crate) fn hosts(own: InterfaceAddress) -> impl Iterator<Item = IpAddr> {
    let network = own.network();
    (1..=4_096u32)
        .filter_map(move |offset| match own.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shr(u32::from(own.length)).unwrap_or(0);
                Some(IpAddr::V4(((u32::from(v4) | mask).checked_sub(offset)?).into()))
            }
            IpAddr::V6(v6) => {
                let base = u128::from(v6) & !0xffff;
                Some(IpAddr::V6(Ipv6Addr::from(base | u128::from(0xfff0 - offset))))
            }
        })
        .filter(move |host| network.contains(*host) && *host != own.address)
}

/// The stranger and then, where the plan allows somebody on this link, the peer.
pub(crate) fn senders(network: &NetworkFacts, interface: &str, own: InterfaceAddress) -> Vec<Sender> {
    let lines = || network.surface.iter().filter(|l| l.interface == interface && l.tunnel.is_none());
    let peers: Vec<Prefix> =
        lines().flat_map(|l| &l.peers).filter_map(|p| Prefix::parse(p, true).ok()).collect();
    let target = own.address;
    let sender = |source: IpAddr| Sender { source, on_link: own.network().contains(source), target };
    // Where everybody on the link is a peer, the stranger is of a documentation network (RFC 5737, 3849).
    let far: IpAddr = if target.is_ipv4() {
        [203, 0, 113, 77].into()
    } else {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x77))
    };
    let stranger = hosts(own).find(|host| !peers.iter().any(|p| p.contains(*host))).unwrap_or(far);
    let peer = hosts(own).find(|host| peers.iter().any(|p| p.contains(*host)));
    std::iter::once(stranger).chain(peer).map(sender).collect()
}

/// A question that a device that hears always answers.
pub(crate) fn sentinel(wire: &mut Wire, mac: Mac, target: IpAddr, helper: IpAddr) -> io::Result<bool> {
    for _ in 0..20 {
        let question = match (target, helper) {
            (IpAddr::V4(target), IpAddr::V4(helper)) => {
                Some(frame::arp(1, (OUR_MAC, helper), ([0; 6], target)))
            }
            (IpAddr::V6(target), IpAddr::V6(_)) => {
                let path = Path { from_mac: OUR_MAC, to_mac: mac, from: helper, to: target.into() };
                frame::neighbour(path, 135, target)
            }
            _ => None,
        };
        let Some(question) = question else { return Ok(false) };
        // Only what comes after the question counts.
        wire.drain()?;
        let before = wire.heard().len();
        if !wire.send(&question)? {
            return Ok(false);
        }
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline {
            wire.drain()?;
            let answered = wire.heard()[before..].iter().any(|heard| match heard {
                Heard::Arp { operation: 2, sender, .. } => IpAddr::V4(*sender) == target,
                Heard::Icmp { kind: 136, target: Some(of), .. } => IpAddr::V6(*of) == target,
                _ => false,
            });
            if answered {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(false)
}

impl Sweep<'_> {
    /// Probes until everything is asked or `stop` is set.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn run(&self, wire: &mut Wire) -> io::Result<TrafficInterface> {
        let own = addresses(self.network, self.interface);
        let mut unasked = Vec::new();
        let mut classes = self.early(wire, &own, &mut unasked)?;
        let started = Instant::now();
        for own in &own {
            // Sentinels come from a host of the link, whoever sends the probes.
            let helper = hosts(*own).next().unwrap_or(own.address);
            for sender in senders(self.network, self.interface, *own) {
                for (name, asks) in questions(own.address) {
                    classes.push(self.class(wire, name, sender, helper, asks, &mut unasked)?);
                }
            }
            classes.extend(self.special(wire, *own, helper, &mut unasked)?);
        }
        if own.is_empty() {
            classes.extend(self.unused(wire, &mut unasked)?);
        }
        wire.finish()?;
        let mut result = TrafficInterface {
            interface: self.interface.to_owned(),
            classes,
            unasked: Vec::new(),
            tolerated: Vec::new(),
            pcap: self.pcap.clone(),
            ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        unasked.sort();
        unasked.dedup();
        for found in unasked {
            match found {
                Unasked::Tolerated(text) => result.tolerated.push(text),
                Unasked::Wrong(text) => result.unasked.push(text),
            }
        }
        Ok(result)
    }

    /// An interface without an address is not used: nothing answers there for the device's other addresses, and no frame comes
    /// of itself. It cannot be asked whether it hears: with an answer it would be in use.
    fn unused(&self, wire: &mut Wire, unasked: &mut Vec<Unasked>) -> io::Result<Vec<TrafficClass>> {
        let mut out = Vec::new();
        let others = self.network.interfaces.keys().flat_map(|name| addresses(self.network, name));
        for other in others {
            let source = hosts(other).next().unwrap_or(other.address);
            let sender = Sender { source, on_link: true, target: other.address };
            let ports = self
                .network
                .surface
                .iter()
                .filter(|line| line.transport == "tcp")
                .filter_map(|line| line.port);
            let asks: Vec<Ask> =
                EARLY.into_iter().chain(ports).map(Ask::Tcp).chain(ETHERTYPES.map(Ask::Ethernet)).collect();
            for ask in &asks {
                let Some(frame) = frame::probe(self.path(&sender), *ask, PROBE_PORT) else { continue };
                // An interface that is down takes no frames.
                if !wire.send(&frame)? {
                    break;
                }
            }
            wire.listen(QUIET)?;
            let heard = wire.take();
            unasked.extend(heard.iter().filter_map(|h| judge::unasked(self.network, self.interface, h)));
            out.push(judge::class(self.network, &self.as_class("unused", &sender, asks, heard, None)));
        }
        Ok(out)
    }

    fn early(
        &self,
        wire: &mut Wire,
        own: &[InterfaceAddress],
        unasked: &mut Vec<Unasked>,
    ) -> io::Result<Vec<TrafficClass>> {
        let senders: Vec<Sender> = own
            .iter()
            .filter_map(|own| senders(self.network, self.interface, *own).first().copied())
            .collect();
        let mut asks: Vec<Vec<Ask>> = vec![Vec::new(); senders.len()];
        let ended = || self.ready.load(Ordering::Acquire) || self.stop.load(Ordering::Acquire);
        while !ended() {
            for (sender, asked) in senders.iter().zip(&mut asks) {
                let probes = EARLY.into_iter().map(Ask::Tcp).chain([Ask::Udp(161), Ask::Udp(500)]);
                for ask in probes {
                    if let Some(frame) = frame::probe(self.path(sender), ask, PROBE_PORT)
                        && wire.send(&frame)?
                    {
                        asked.push(ask);
                    }
                }
            }
            wire.listen(ROUND)?;
        }
        let heard = wire.take();
        unasked.extend(heard.iter().filter_map(|h| judge::unasked(self.network, self.interface, h)));
        let classes = senders.iter().zip(asks).map(|(sender, asks)| {
            let unproved =
                asks.is_empty().then(|| "no probe was sent before the device was ready".to_owned());
            judge::class(self.network, &self.as_class("early", sender, asks, heard.clone(), unproved))
        });
        Ok(classes.collect())
    }

    /// What is no single port: forged senders, fragments, the link's own address, rates.
    fn special(
        &self,
        wire: &mut Wire,
        own: InterfaceAddress,
        helper: IpAddr,
        unasked: &mut Vec<Unasked>,
    ) -> io::Result<Vec<TrafficClass>> {
        let mut out = Vec::new();
        let target = own.address;
        let ports = special::ports(self.network, self.interface);
        let strangers = senders(self.network, self.interface, own);
        let stranger = strangers.first().copied().unwrap_or(Sender { source: helper, on_link: true, target });
        out.push(self.class(wire, "protocols", stranger, helper, protocols(target), unasked)?);
        for source in special::forged(self.network, self.interface, own) {
            let sender = Sender { source, on_link: false, target };
            out.push(self.class(wire, "forged", sender, helper, ports.clone(), unasked)?);
        }
        if target.is_ipv4() {
            let mut unproved = None;
            for batch in special::fragments(self.path(&stranger), &ports).chunks(BATCH) {
                for piece in batch {
                    wire.send(piece)?;
                }
                if !sentinel(wire, self.mac, target, helper)? {
                    unproved = Some(format!("`{target}` does not answer ARP after fragments"));
                    break;
                }
            }
            wire.listen(QUIET)?;
            let heard = wire.take();
            let class = self.as_class("fragments", &stranger, ports, heard, unproved);
            out.push(judge::class(self.network, &class));
        } else {
            out.push(self.link_local(wire, own, helper, ports)?);
        }
        for conduit in special::limited(self.network, self.interface, own) {
            out.push(special::rate(wire, self.interface, self.mac, conduit, target)?);
        }
        Ok(out)
    }

    /// The address that the interface would have given itself: it must have none.
    fn link_local(
        &self,
        wire: &mut Wire,
        own: InterfaceAddress,
        helper: IpAddr,
        asks: Vec<Ask>,
    ) -> io::Result<TrafficClass> {
        let (source, of_link) = (special::link_local(OUR_MAC), special::link_local(self.mac));
        let target = IpAddr::V6(of_link);
        let sender = Sender { source: IpAddr::V6(source), on_link: true, target };
        let asks: Vec<Ask> = asks.into_iter().chain([Ask::Udp(500), Ask::Icmp6(128)]).collect();
        let question = frame::neighbour(self.path(&sender), 135, of_link);
        let probes = asks.iter().filter_map(|ask| frame::probe(self.path(&sender), *ask, PROBE_PORT));
        for frame in question.into_iter().chain(probes) {
            wire.send(&frame)?;
        }
        let hears = sentinel(wire, self.mac, own.address, helper)?;
        wire.listen(QUIET)?;
        let unproved = (!hears).then(|| format!("`{}` did not answer neighbour discovery", own.address));
        let heard = wire.take();
        Ok(judge::class(self.network, &self.as_class("link-local", &sender, asks, heard, unproved)))
    }

    fn class(
        &self,
        wire: &mut Wire,
        name: &'static str,
        sender: Sender,
        helper: IpAddr,
        asks: Vec<Ask>,
        unasked: &mut Vec<Unasked>,
    ) -> io::Result<TrafficClass> {
        let mut unproved = None;
        for batch in asks.chunks(BATCH) {
            for ask in batch {
                let Some(frame) = frame::probe(self.path(&sender), *ask, PROBE_PORT) else { continue };
                if self.stop.load(Ordering::Acquire) || !wire.send(&frame)? {
                    unproved = Some(format!("the machine took no more frames at {ask:?}"));
                    break;
                }
            }
            if unproved.is_none() && !sentinel(wire, self.mac, sender.target, helper)? {
                unproved =
                    Some(format!("`{}` did not answer ARP or neighbour discovery any more", sender.target));
            }
            if unproved.is_some() {
                break;
            }
        }
        wire.listen(QUIET)?;
        let heard = wire.take();
        unasked.extend(heard.iter().filter_map(|h| judge::unasked(self.network, self.interface, h)));
        Ok(judge::class(self.network, &self.as_class(name, &sender, asks, heard, unproved)))
    }

    fn as_class(
        &self,
        name: &'static str,
        sender: &Sender,
        asks: Vec<Ask>,
        heard: Vec<Heard>,
        unproved: Option<String>,
    ) -> Class {
        let interface = self.interface.to_owned();
        let Sender { source, on_link, target } = *sender;
        Class { name, interface, source, on_link, target, asks, heard, unproved }
    }

    fn path(&self, sender: &Sender) -> Path {
        Path { from_mac: OUR_MAC, to_mac: self.mac, from: sender.source, to: sender.target }
    }
}

/// All that one sender asks one address.
fn questions(target: IpAddr) -> Vec<(&'static str, Vec<Ask>)> {
    let mut out = vec![
        ("tcp", (1..=u16::MAX).map(Ask::Tcp).collect::<Vec<Ask>>()),
        ("udp", (1..=u16::MAX).map(Ask::Udp).collect()),
    ];
    if target.is_ipv4() {
        out.push(("icmp", (0..=u8::MAX).map(Ask::Icmp).collect()));
        out.push(("ethernet", ETHERTYPES.into_iter().map(Ask::Ethernet).collect()));
    } else {
        // Neighbour discovery's own messages are the sentinels; a forged one would change the link.
        out.push((
            "icmpv6",
            (0..=u8::MAX).filter(|kind| !(133..=137).contains(kind)).map(Ask::Icmp6).collect(),
        ));
    }
    out
}

/// IP protocols without ports of their own, but for those that have a class, multicast's and a tunnel's.
fn protocols(target: IpAddr) -> Vec<Ask> {
    let other: &[u8] = if target.is_ipv4() { &[1] } else { &[0, 43, 44, 58, 60] };
    (0..=u8::MAX)
        .filter(|number| ![2, 6, 17].contains(number) && !other.contains(number))
        .map(Ask::Protocol)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::TrafficVerdict;
    use spec::plan::Surface;

    fn chosen(own: &str, peers: &[&str]) -> Vec<String> {
        let line = Surface {
            interface: "eth0".into(),
            peers: peers.iter().map(|&p| p.into()).collect(),
            ..Surface::default()
        };
        let network = NetworkFacts { surface: vec![line], ..NetworkFacts::default() };
        let own = InterfaceAddress::parse(own, true).unwrap();
        senders(&network, "eth0", own).iter().map(|s| s.source.to_string()).collect()
    }

    #[test]
    fn the_stranger_comes_before_the_peer() {
        assert_eq!(chosen("192.0.2.10/24", &["192.0.2.64/28"]), ["192.0.2.254", "192.0.2.79"]);
        assert_eq!(chosen("198.51.100.10/28", &["198.51.100.0/28"]), ["203.0.113.77", "198.51.100.14"]);
        assert_eq!(chosen("2001:db8:1::10/64", &[]), ["2001:db8:1::ffef"]);
    }

    #[test]
    fn an_interface_without_an_address_is_asked_for_the_others_and_has_to_be_silent() {
        let folder = tempfile::tempdir().unwrap();
        let (far, near) = (folder.path().join("far"), folder.path().join("near"));
        let device = std::os::unix::net::UnixDatagram::bind(&near).unwrap();
        let facts = |address: &str| spec::plan::InterfaceFacts {
            zone: "plant".into(),
            addresses: vec![address.to_owned()],
            gateway: None,
        };
        let mut network = NetworkFacts::default();
        network.interfaces.insert("eth0".into(), facts("192.0.2.10/24"));
        let (ready, stop) = (AtomicBool::new(true), AtomicBool::new(false));
        let mac = [2, 0, 0, 0, 0, 1];
        let sweep = Sweep {
            network: &network,
            interface: "eth1",
            mac,
            pcap: String::new(),
            ready: &ready,
            stop: &stop,
        };
        let mut wire = Wire::bind(&far, near, &folder.path().join("x.pcap"), Vec::new()).unwrap();
        let answers = |with: Option<Vec<u8>>, wire: &mut Wire| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut buffer = [0u8; 2_048];
                    device.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
                    while device.recv(&mut buffer).is_ok() {}
                });
                if let Some(frame) = &with {
                    device.send_to(frame, &far).unwrap();
                }
                sweep.run(wire).unwrap().classes
            })
        };
        let silent = answers(None, &mut wire);
        assert_eq!(
            (silent.len(), silent[0].class.as_str(), silent[0].verdict),
            (1, "unused", TrafficVerdict::Pass)
        );
        let path = Path {
            from_mac: mac,
            to_mac: OUR_MAC,
            from: "192.0.2.10".parse().unwrap(),
            to: "192.0.2.254".parse().unwrap(),
        };
        let reset = frame::reset(path, (22, PROBE_PORT)).unwrap();
        let answered = answers(Some(reset), &mut wire);
        assert_eq!(answered[0].verdict, TrafficVerdict::Fail, "{answered:?}");
    }

    #[test]
    fn every_port_is_asked() {
        let asked = questions("192.0.2.10".parse().unwrap());
        assert_eq!(asked.iter().map(|(_, asks)| asks.len()).collect::<Vec<_>>(), [65_535, 65_535, 256, 32]);
    }
}
