//! Frames: what is sent to the device, and what its answers say.
//!
//! Built and read with `etherparse`. What the device sends is hostile: a frame that cannot be read is
//! [`Heard::Unreadable`], never a panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

/// A hardware address.
pub type Mac = [u8; 6];
/// Every station of the link.
pub const BROADCAST: Mac = [0xff; 6];
/// Ethertype of ARP (RFC 826).
pub const ARP: u16 = 0x0806;

/// Who sends a frame to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The sender's hardware address.
    pub from_mac: Mac,
    /// The receiver's hardware address.
    pub to_mac: Mac,
    /// The sender's address.
    pub from: IpAddr,
    /// The receiver's address; of the sender's family.
    pub to: IpAddr,
}

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// A TCP segment with SYN, to a port.
    Tcp(u16),
    /// A UDP datagram, to a port.
    Udp(u16),
    /// An ICMP message of a type (RFC 792).
    Icmp(u8),
    /// An ICMPv6 message of a type (RFC 4443).
    Icmp6(u8),
    /// A packet of an IP protocol without ports.
    Protocol(u8),
    /// A frame of an ethertype.
    Ethernet(u16),
}

/// What a frame of the device says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heard {
    /// A TCP segment.
    Tcp {
        /// Sender and receiver.
        ends: (IpAddr, IpAddr),
        /// Source and destination port.
        ports: (u16, u16),
        /// Flags SYN, ACK, RST.
        flags: (bool, bool, bool),
    },
    /// A UDP datagram.
    Udp {
        /// Sender and receiver.
        ends: (IpAddr, IpAddr),
        /// Source and destination port.
        ports: (u16, u16),
    },
    /// An ICMP or ICMPv6 message.
    Icmp {
        /// Sender and receiver.
        ends: (IpAddr, IpAddr),
        /// Type.
        kind: u8,
        /// Target of a neighbour solicitation or advertisement.
        target: Option<Ipv6Addr>,
    },
    /// An ICMP or ICMPv6 message that nobody listens on a UDP port: the firewall let the datagram pass.
    Unreachable {
        /// Sender and receiver.
        ends: (IpAddr, IpAddr),
        /// The port that was asked.
        port: u16,
    },
    /// An ARP packet.
    Arp {
        /// 1 asks, 2 answers.
        operation: u16,
        /// The sender's address.
        sender: Ipv4Addr,
        /// The address that is asked for.
        target: Ipv4Addr,
    },
    /// Another protocol over IP.
    Ip {
        /// Sender and receiver.
        ends: (IpAddr, IpAddr),
        /// Protocol number.
        protocol: u8,
    },
    /// A frame without IP.
    Ethernet(u16),
    /// Not a frame that can be read.
    Unreadable,
}

/// The frame of a probe. Nothing, if the address's family cannot carry it.
#[must_use]
pub fn probe(path: Path, ask: Ask, port: u16) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(96);
    let base = PacketBuilder::ethernet2(path.from_mac, path.to_mac);
    if let Ask::Ethernet(kind) = ask {
        out.extend(path.to_mac.iter().chain(&path.from_mac).chain(&kind.to_be_bytes()));
        out.resize(60, 0);
        return Some(out);
    }
    // The hop limit of neighbour discovery (RFC 4861, 7.1); any other message may have it as well.
    let base = match (path.from, path.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => base.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => base.ipv6(from.octets(), to.octets(), 255),
        _ => return None,
    };
    let payload = [0u8; 16];
    let (id, body) = ([0x46, 0x53, 0, 1], payload.as_slice());
    match (ask, path.from) {
        (Ask::Tcp(to), _) => base.tcp(port, to, 1, 1024).syn().write(&mut out, &[]).ok()?,
        (Ask::Udp(to), _) => base.udp(port, to).write(&mut out, body).ok()?,
        (Ask::Icmp(kind), IpAddr::V4(_)) => base.icmpv4_raw(kind, 0, id).write(&mut out, body).ok()?,
        (Ask::Protocol(number), _) => base.write(&mut out, number.into(), body).ok()?,
        (Ask::Icmp6(kind), IpAddr::V6(_)) => base.icmpv6_raw(kind, 0, id).write(&mut out, body).ok()?,
        _ => return None,
    }
    Some(out)
}

/// A fragment of a datagram (RFC 791): `offset` in units of eight bytes.
#[must_use]
pub fn fragment(
    path: Path,
    (from, to): (Ipv4Addr, Ipv4Addr),
    id: u16,
    offset: u16,
    more: bool,
    body: &[u8],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(60);
    out.extend(path.to_mac.iter().chain(&path.from_mac).chain(&[8, 0]));
    let length = u16::try_from(20 + body.len()).unwrap_or(u16::MAX);
    let flags = offset & 0x1fff | if more { 0x2000 } else { 0 };
    out.extend([0x45, 0].iter().chain(&length.to_be_bytes()));
    out.extend(id.to_be_bytes().iter().chain(&flags.to_be_bytes()));
    // Time to live, TCP, and the checksum, which is written last.
    out.extend([64, 6, 0, 0].iter().chain(&from.octets()).chain(&to.octets()));
    let sum = out[14..34]
        .chunks(2)
        .fold(0u32, |sum, pair| sum + pair.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)));
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(0);
    out[24..26].copy_from_slice(&sum.to_be_bytes());
    out.extend(body);
    out.resize(out.len().max(60), 0);
    out
}

/// The segment that ends a connection the probe began, so that the device forgets it.
#[must_use]
pub fn reset(path: Path, ports: (u16, u16)) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(64);
    let base = PacketBuilder::ethernet2(path.from_mac, path.to_mac);
    let base = match (path.from, path.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => base.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => base.ipv6(from.octets(), to.octets(), 64),
        _ => return None,
    };
    base.tcp(ports.0, ports.1, 2, 0).rst().write(&mut out, &[]).ok()?;
    Some(out)
}

/// An ARP packet (RFC 826): `operation` 1 asks, 2 answers.
#[must_use]
pub fn arp(operation: u16, from: (Mac, Ipv4Addr), to: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut out = Vec::with_capacity(60);
    let destination = if operation == 1 { BROADCAST } else { to.0 };
    out.extend(destination.iter().chain(&from.0).chain(&ARP.to_be_bytes()));
    out.extend([0, 1, 8, 0, 6, 4]);
    out.extend(operation.to_be_bytes());
    out.extend(from.0.iter().chain(&from.1.octets()));
    out.extend(to.0.iter().chain(&to.1.octets()));
    out.resize(60, 0);
    out
}

/// A neighbour advertisement (136, solicited and override) or solicitation (135) of RFC 4861.
#[must_use]
pub fn neighbour(path: Path, kind: u8, target: Ipv6Addr) -> Option<Vec<u8>> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (path.from, path.to) else { return None };
    let mut body = target.octets().to_vec();
    body.extend([if kind == 136 { 2 } else { 1 }, 1]);
    body.extend(path.from_mac);
    let flags = if kind == 136 { [0x60, 0, 0, 0] } else { [0; 4] };
    let mut out = Vec::with_capacity(90);
    PacketBuilder::ethernet2(path.from_mac, path.to_mac)
        .ipv6(from.octets(), to.octets(), 255)
        .icmpv6_raw(kind, 0, flags)
        .write(&mut out, &body)
        .ok()?;
    Some(out)
}

/// Reads a frame of the device.
#[must_use]
pub fn read(frame: &[u8]) -> Heard {
    let Some(kind) = frame.get(12..14).map(|b| u16::from_be_bytes([b[0], b[1]])) else {
        return Heard::Unreadable;
    };
    if kind == ARP {
        return read_arp(frame.get(14..).unwrap_or_default()).unwrap_or(Heard::Unreadable);
    }
    if kind != 0x0800 && kind != 0x86dd {
        return Heard::Ethernet(kind);
    }
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return Heard::Unreadable };
    let (ends, protocol): ((IpAddr, IpAddr), u8) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => (
            (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            ip.payload().ip_number.0,
        ),
        Some(NetSlice::Ipv6(ip)) => (
            (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            ip.payload().ip_number.0,
        ),
        _ => return Heard::Unreadable,
    };
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => Heard::Tcp {
            ends,
            ports: (tcp.source_port(), tcp.destination_port()),
            flags: (tcp.syn(), tcp.ack(), tcp.rst()),
        },
        Some(TransportSlice::Udp(udp)) => {
            Heard::Udp { ends, ports: (udp.source_port(), udp.destination_port()) }
        }
        Some(TransportSlice::Icmpv4(icmp)) => match unreachable(icmp.slice()) {
            Some(port) => Heard::Unreachable { ends, port },
            None => Heard::Icmp { ends, kind: icmp.slice().first().copied().unwrap_or(0), target: None },
        },
        Some(TransportSlice::Icmpv6(icmp)) => {
            let bytes = icmp.slice();
            if let Some(port) = unreachable(bytes) {
                return Heard::Unreachable { ends, port };
            }
            let kind = bytes.first().copied().unwrap_or(0);
            let target = bytes.get(8..24).and_then(|b| <[u8; 16]>::try_from(b).ok());
            let target = target.filter(|_| kind == 135 || kind == 136).map(Ipv6Addr::from);
            Heard::Icmp { ends, kind, target }
        }
        Some(TransportSlice::Igmp(_)) | None => Heard::Ip { ends, protocol },
    }
}

/// The UDP port of which a message says that nobody listens there: code 3 of type 3 (RFC 792) or code 4 of type 1 (RFC 4443,
/// 3.1), with the datagram that was sent behind its eight bytes.
fn unreachable(message: &[u8]) -> Option<u16> {
    let sent = message.get(8..)?;
    let first = *sent.first()?;
    let (protocol, header) = match (message.get(..2)?, first >> 4) {
        ([3, 3], 4) => (*sent.get(9)?, usize::from(first & 0x0f) * 4),
        ([1, 4], 6) => (*sent.get(6)?, 40),
        _ => return None,
    };
    let port = sent.get(header + 2..header + 4)?;
    (protocol == 17).then(|| u16::from_be_bytes([port[0], port[1]]))
}

fn read_arp(body: &[u8]) -> Option<Heard> {
    let address =
        |at: usize| body.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(Ipv4Addr::from);
    if body.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let operation = u16::from_be_bytes([*body.get(6)?, *body.get(7)?]);
    Some(Heard::Arp { operation, sender: address(14)?, target: address(24)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(from: &str, to: &str) -> Path {
        Path { from_mac: [2; 6], to_mac: [4; 6], from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    #[test]
    fn what_is_built_is_read_again() {
        let v4 = path("192.0.2.99", "192.0.2.10");
        let v6 = path("2001:db8::99", "2001:db8::10");
        for path in [v4, v6] {
            let ends = (path.from, path.to);
            let syn = Heard::Tcp { ends, ports: (40_000, 502), flags: (true, false, false) };
            assert_eq!(read(&probe(path, Ask::Tcp(502), 40_000).unwrap()), syn);
            let udp = Heard::Udp { ends, ports: (40_000, 161) };
            assert_eq!(read(&probe(path, Ask::Udp(161), 40_000).unwrap()), udp);
        }
        let echo = read(&probe(v4, Ask::Icmp(8), 0).unwrap());
        assert_eq!(echo, Heard::Icmp { ends: (v4.from, v4.to), kind: 8, target: None });
        assert_eq!(read(&probe(v4, Ask::Ethernet(0x88cc), 0).unwrap()), Heard::Ethernet(0x88cc));
        assert_eq!(probe(v4, Ask::Icmp6(128), 0), None);
        let esp = read(&probe(v4, Ask::Protocol(50), 0).unwrap());
        assert_eq!(esp, Heard::Ip { ends: (v4.from, v4.to), protocol: 50 });
        let (IpAddr::V4(from), IpAddr::V4(to)) = (v4.from, v4.to) else { panic!("IPv4") };
        let piece = fragment(v4, (from, to), 7, 1, false, &[1; 12]);
        assert_eq!(read(&piece), Heard::Ip { ends: (v4.from, v4.to), protocol: 6 }, "its checksum is right");
        let whole = fragment(v4, (from, to), 7, 0, false, &probe(v4, Ask::Tcp(502), 40_000).unwrap()[34..]);
        assert!(matches!(read(&whole), Heard::Tcp { ports: (40_000, 502), .. }));
        let target: Ipv6Addr = "2001:db8::10".parse().unwrap();
        let asked = read(&neighbour(v6, 135, target).unwrap());
        assert_eq!(asked, Heard::Icmp { ends: (v6.from, v6.to), kind: 135, target: Some(target) });
    }

    #[test]
    fn a_port_where_nobody_listens_is_told_with_what_was_sent() {
        for (from, to, code) in
            [("192.0.2.99", "192.0.2.10", [3, 3]), ("2001:db8::99", "2001:db8::10", [1, 4])]
        {
            let sent = probe(path(from, to), Ask::Udp(500), 61_000).unwrap();
            let message = |code: [u8; 2], sent: &[u8]| [&code[..], &[0; 6], sent].concat();
            assert_eq!(unreachable(&message(code, &sent[14..])), Some(500), "{to}");
            // Another code, another transport, a piece of it.
            assert_eq!(unreachable(&message([3, 1], &sent[14..])), None);
            let segment = probe(path(from, to), Ask::Tcp(500), 61_000).unwrap();
            assert_eq!(unreachable(&message(code, &segment[14..])), None);
            for end in 0..14 {
                assert_eq!(unreachable(&message(code, &sent[14..14 + end])), None, "{end}");
            }
        }
    }

    #[test]
    fn torn_frames_are_unreadable_and_no_panic() {
        let whole = probe(path("192.0.2.99", "192.0.2.10"), Ask::Tcp(1), 2).unwrap();
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), Heard::Unreadable, "{end} bytes");
        }
        let arp = arp(1, ([2; 6], [192, 0, 2, 1].into()), ([0; 6], [192, 0, 2, 10].into()));
        assert!(matches!(read(&arp), Heard::Arp { operation: 1, .. }));
        assert_eq!(read(&arp[..30]), Heard::Unreadable);
    }
}
