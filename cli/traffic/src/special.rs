//! Probes that are no single port: forged senders, fragments, a link-local address, more connections than a
//! conduit's rate allows. The sweep asks them last, of the untouched image.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use record::{TrafficClass, TrafficVerdict};
use spec::plan::{NetworkFacts, Surface};
use spec::types::{InterfaceAddress, Prefix, Scalar};

use crate::frame::{self, Ask, Heard, Mac, Path};
use crate::judge::PROBE_PORT;
use crate::sweep::{EARLY, addresses, hosts};
use crate::wire::{OUR_MAC, Wire};

/// Connections that a conduit's rate is tried with.
const CONNECTIONS: u16 = 40;
/// First source port of these; not [`PROBE_PORT`], whose answers the other classes read.
const FIRST_PORT: u16 = 62_000;
/// Connections that nftables' `limit rate` lets pass at once unless the rule says otherwise (`burst 5 packets`, nft(8)).
const BURST: u64 = 5;
/// First fragments whose rest never comes.
const ORPHANS: u16 = 2_000;

/// The ports that answer somebody in clear, and the ones that the early probes ask.
pub fn ports(network: &NetworkFacts, interface: &str) -> Vec<Ask> {
    let lines = network.surface.iter().filter(|line| line.interface == interface && line.tunnel.is_none());
    let open = lines.filter(|line| line.transport == "tcp").filter_map(|line| line.port);
    let all: BTreeSet<u16> = open.chain(EARLY).collect();
    all.into_iter().map(Ask::Tcp).collect()
}

/// Senders that nobody may be on this link: the device itself, addresses of no host, and those whom the plan
/// allows on another interface.
pub fn forged(network: &NetworkFacts, interface: &str, own: InterfaceAddress) -> Vec<IpAddr> {
    let mut out = vec![own.address];
    match own.address {
        IpAddr::V4(_) => out.extend(
            [
                Ipv4Addr::UNSPECIFIED,
                Ipv4Addr::new(127, 0, 0, 1),
                Ipv4Addr::new(224, 0, 0, 1),
                Ipv4Addr::BROADCAST,
            ]
            .map(IpAddr::from),
        ),
        IpAddr::V6(_) => {
            let nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
            out.extend([Ipv6Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST, nodes].map(IpAddr::from));
        }
    }
    let others = network.interfaces.keys().filter(|name| *name != interface);
    let others = others.flat_map(|name| addresses(network, name));
    let others = others.filter(|other| other.address.is_ipv4() == own.address.is_ipv4());
    for other in others {
        let peers = network.surface.iter().flat_map(|line| &line.peers);
        let peers: Vec<Prefix> = peers.filter_map(|text| Prefix::parse(text, true).ok()).collect();
        let allowed = hosts(other).find(|host| peers.iter().any(|peer| peer.contains(*host)));
        out.extend([Some(other.address), allowed.or_else(|| hosts(other).next())].into_iter().flatten());
    }
    out
}

/// The address that an interface gives itself from its hardware address (RFC 4291, appendix A).
#[must_use]
pub fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}

/// Each probe in two fragments, the first of eight bytes, which do not hold a whole header; then the same with a
/// second fragment that lies over the first one and names another port; then first fragments without a rest.
#[must_use]
pub fn fragments(path: Path, asks: &[Ask]) -> Vec<Vec<u8>> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (path.from, path.to) else { return Vec::new() };
    let mut out = Vec::new();
    let mut id = 1u16;
    let piece = |id: u16, offset: u16, more: bool, body: &[u8]| {
        frame::fragment(path, (from, to), id, offset, more, body)
    };
    for ask in asks {
        let Some(whole) = frame::probe(path, *ask, PROBE_PORT) else { continue };
        let Some(segment) = whole.get(34..) else { continue };
        let (head, rest) = segment.split_at(segment.len().min(8));
        out.push(piece(id, 0, true, head));
        out.push(piece(id, 1, false, rest));
        // Over the destination port of another first fragment.
        id = id.wrapping_add(1);
        let mut innocent = head.to_vec();
        innocent.splice(2..4, 9u16.to_be_bytes());
        out.push(piece(id, 0, true, &innocent));
        out.push(piece(id, 0, true, head));
        out.push(piece(id, 1, false, rest));
        id = id.wrapping_add(1);
    }
    for orphan in 0..ORPHANS {
        out.push(piece(id.wrapping_add(orphan), 0, true, &[0; 8]));
    }
    out
}

/// A conduit in clear with somebody of this link who may use it.
pub fn limited<'a>(
    network: &'a NetworkFacts,
    interface: &str,
    own: InterfaceAddress,
) -> Vec<(&'a Surface, u16, IpAddr)> {
    let lines = network.surface.iter().filter(|line| {
        line.interface == interface
            && line.tunnel.is_none()
            && line.transport == "tcp"
            && line.limit.is_some()
            && line.address.as_ref().and_then(|a| a.parse().ok()) == Some(own.address)
    });
    let sender = |line: &Surface| {
        let peers: Vec<Prefix> = line.peers.iter().filter_map(|p| Prefix::parse(p, true).ok()).collect();
        hosts(own).filter(|host| peers.iter().any(|p| p.contains(*host))).nth(1)
    };
    lines.filter_map(|line| Some((line, line.port?, sender(line)?))).collect()
}

/// Connections that a rate lets pass in a time, at most.
///
/// # Errors
/// What is no rate.
pub fn most(rate: &str, time: Duration) -> Result<u64, String> {
    let (count, unit) = rate.split_once('/').ok_or_else(|| format!("expected a rate, found `{rate}`"))?;
    let count: u64 = count.parse().map_err(|_| format!("expected a rate, found `{rate}`"))?;
    let seconds = match unit {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return Err(format!("expected a rate, found `{rate}`")),
    };
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // One more for the time that both clocks may differ by.
    Ok(BURST + count.saturating_mul(milliseconds) / (seconds * 1_000) + 1)
}

/// Opens many connections at once: as many as the rate lets pass are taken, and one at least.
///
/// # Errors
/// When the recording cannot be written.
pub fn rate(
    wire: &mut Wire,
    interface: &str,
    mac: Mac,
    (line, port, source): (&Surface, u16, IpAddr),
    target: IpAddr,
) -> io::Result<TrafficClass> {
    let started = Instant::now();
    let path = Path { from_mac: OUR_MAC, to_mac: mac, from: source, to: target };
    let mut sent = 0;
    for number in 0..CONNECTIONS {
        if let Some(frame) = frame::probe(path, Ask::Tcp(port), FIRST_PORT + number)
            && wire.send(&frame)?
        {
            sent += 1;
        }
    }
    wire.listen(Duration::from_millis(1_500))?;
    let taken: BTreeSet<u16> =
        wire.take().iter().filter_map(|heard| accepted(heard, source, (target, port))).collect();
    Ok(judge_rate(interface, line, (source, target), sent, taken.len(), started.elapsed()))
}

/// The port of ours whose connection was taken.
fn accepted(heard: &Heard, source: IpAddr, service: (IpAddr, u16)) -> Option<u16> {
    match heard {
        Heard::Tcp { ends, ports, flags: (true, true, false) }
            if ends.1 == source && (ends.0, ports.0) == service && ports.1 >= FIRST_PORT =>
        {
            Some(ports.1)
        }
        _ => None,
    }
}

fn judge_rate(
    interface: &str,
    line: &Surface,
    (source, target): (IpAddr, IpAddr),
    sent: u32,
    taken: usize,
    time: Duration,
) -> TrafficClass {
    let (what, limit) = (line.what(), line.limit.as_deref().unwrap_or_default());
    let taken_64 = u64::try_from(taken).unwrap_or(u64::MAX);
    let mut problems = Vec::new();
    let verdict = match most(limit, time) {
        Err(why) => {
            problems.push(why);
            TrafficVerdict::NotRun
        }
        Ok(most) if u64::from(sent) <= most => {
            problems.push(format!(
                "`{interface}`: {sent} connections are no more than `{limit}` lets pass in that time"
            ));
            TrafficVerdict::NotShown
        }
        Ok(most) if taken_64 > most => {
            problems.push(format!(
                "`{interface}`: {what} of `{target}` took {taken} connections at once, and `{limit}` allows {most}"
            ));
            TrafficVerdict::Fail
        }
        Ok(_) if taken == 0 => {
            problems.push(format!("`{interface}`: {what} of `{target}` took none of {sent} connections"));
            TrafficVerdict::Fail
        }
        Ok(_) => TrafficVerdict::Pass,
    };
    TrafficClass {
        class: "rate".to_owned(),
        source: source.to_string(),
        target: target.to_string(),
        probes: sent,
        answered: vec![format!("{what} accepts {taken} at once, its limit is {limit}")],
        verdict,
        problems,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::plan::InterfaceFacts;

    fn network() -> NetworkFacts {
        let facts = |address: &str| InterfaceFacts {
            zone: "z".into(),
            addresses: vec![address.into()],
            gateway: None,
        };
        let line = Surface {
            interface: "eth0".into(),
            address: Some("192.0.2.10".into()),
            transport: "tcp".into(),
            port: Some(22),
            peers: vec!["192.0.2.64/28".into()],
            limit: Some("6/minute".into()),
            ..Surface::default()
        };
        NetworkFacts {
            interfaces: [
                ("eth0".to_owned(), facts("192.0.2.10/24")),
                ("eth1".to_owned(), facts("198.51.100.10/28")),
            ]
            .into(),
            surface: vec![line],
            ..NetworkFacts::default()
        }
    }

    #[test]
    fn senders_that_may_not_be_there() {
        let own = InterfaceAddress::parse("198.51.100.10/28", true).unwrap();
        let names: Vec<String> = forged(&network(), "eth1", own).iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "198.51.100.10",
                "0.0.0.0",
                "127.0.0.1",
                "224.0.0.1",
                "255.255.255.255",
                "192.0.2.10",
                // Whom the plan allows on the other interface.
                "192.0.2.79"
            ]
        );
    }

    #[test]
    fn the_address_of_a_link_comes_from_the_hardware() {
        assert_eq!(link_local([2, 0, 0, 0, 0, 1]).to_string(), "fe80::ff:fe00:1");
        assert_eq!(link_local([0x00, 0x11, 0x22, 0x33, 0x44, 0x55]).to_string(), "fe80::211:22ff:fe33:4455");
    }

    #[test]
    fn fragments_are_read_as_fragments() {
        let path = Path {
            from_mac: [2; 6],
            to_mac: [4; 6],
            from: "192.0.2.9".parse().unwrap(),
            to: "192.0.2.10".parse().unwrap(),
        };
        let frames = fragments(path, &[Ask::Tcp(22)]);
        assert_eq!(frames.len(), 5 + usize::from(ORPHANS));
        // Flags and offset of the first two: more fragments at 0, the last at 8 bytes.
        assert_eq!((&frames[0][20..22], &frames[1][20..22]), (&[0x20, 0][..], &[0, 1][..]));
        assert_eq!(frames[0].get(34..38), Some(&[0xee, 0x48, 0, 22][..]), "61000 to 22");
        assert_eq!(frames[2].get(36..38), Some(&[0, 9][..]));
        assert!(frames.iter().all(|frame| frame.len() >= 60));
    }

    #[test]
    fn a_rate_holds_when_no_more_are_taken_and_one_is() {
        let network = network();
        let own = InterfaceAddress::parse("192.0.2.10/24", true).unwrap();
        let [(line, 22, source)] = limited(&network, "eth0", own)[..] else { panic!("one conduit") };
        assert_eq!(source.to_string(), "192.0.2.78");
        let judge = |sent, taken, seconds| {
            judge_rate("eth0", line, (source, own.address), sent, taken, Duration::from_secs(seconds))
        };
        assert_eq!(judge(40, 5, 2).verdict, TrafficVerdict::Pass);
        assert_eq!(judge(40, 6, 2).verdict, TrafficVerdict::Pass);
        let many = judge(40, 7, 2);
        assert_eq!(many.verdict, TrafficVerdict::Fail);
        assert_eq!(
            many.problems,
            ["`eth0`: tcp/22 of `192.0.2.10` took 7 connections at once, and `6/minute` allows 6"]
        );
        assert_eq!(judge(40, 0, 2).verdict, TrafficVerdict::Fail);
        assert_eq!(judge(6, 5, 2).verdict, TrafficVerdict::NotShown);
        assert!(most("6 a minute", Duration::ZERO).is_err() && most("6/week", Duration::ZERO).is_err());
        assert_eq!(most("60/minute", Duration::from_secs(10)), Ok(16));
    }
}
