//! The service that has to answer during a flood, and its client.
//!
//! A product file does not say which of its services is essential. The proof takes the first one that
//! a conduit in clear opens over TCP, and that a program of the image itself answers: sshd, whose first words are its version.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use spec::plan::{Flow, Plan};
use spec::types::{Prefix, Scalar};
use traffic::Flood;

use super::session::{Link, remote_access, taken};

/// Addresses that send, of each sort.
const SENDERS: usize = 64;
/// Senders that are on no link of the device: benchmarks and documentation (RFC 2544, RFC 5737).
const ELSEWHERE: [[u8; 2]; 2] = [[198, 18], [203, 0]];
/// Between two new connections, whatever the conduit's rate.
const PACE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// The service, and who floods it.
#[derive(Debug)]
pub(super) struct Service<'a> {
    pub(super) flow: &'a Flow,
    /// Number and name of the board's interface.
    pub(super) interface: usize,
    pub(super) name: &'a str,
    /// The proof's client.
    client: Ipv4Addr,
    pub(super) flood: Flood,
}

impl<'a> Service<'a> {
    /// Of a plan; or why there is none that can be asked.
    pub(super) fn of(plan: &'a Plan) -> Result<Self, String> {
        let flows = plan.network.flows.iter();
        let open: Vec<&Flow> = flows
            .filter(|flow| flow.direction == "in" && flow.transport == "tcp" && flow.tunnel.is_none())
            .collect();
        if open.is_empty() {
            return Err("the product opens no TCP port in clear".to_owned());
        }
        let access = remote_access(plan).map(|flow| &flow.name);
        let flow: &Flow = open.iter().copied().find(|flow| Some(&flow.name) == access).ok_or_else(|| {
            let names: Vec<&str> = open.iter().map(|flow| flow.name.as_str()).collect();
            format!("no program that the proof can ask answers `{}`: that is sshd alone", names.join("`, `"))
        })?;
        let links =
            plan.board.interfaces.iter().enumerate().filter(|(_, name)| flow.interfaces.contains(name));
        let mut found = links.filter_map(|(at, name)| {
            Some((at, name, Link::of(&plan.network.interfaces.get(name)?.addresses)?))
        });
        let Some((interface, name, link)) = found.next() else {
            return Err(format!("the conduit `{}` comes in by no interface with an IPv4 network", flow.name));
        };
        let named = taken(plan);
        let none = || format!("the network of `{name}` has too few addresses");
        let (client, other) = link.hosts(&named).ok_or_else(none)?;
        let peers: Vec<Prefix> =
            flow.peers_v4.iter().filter_map(|text| Prefix::parse(text, true).ok()).collect();
        let is_allowed = |address: Ipv4Addr| peers.iter().any(|peer| peer.contains(address.into()));
        if !is_allowed(client) {
            return Err(format!(
                "the proof's client is {client}, whom the conduit `{}` does not allow",
                flow.name
            ));
        }
        let mut free = link
            .all()
            .filter(|address| ![link.own, client, other].contains(address) && !named.contains(address));
        let helper = free.next().ok_or_else(none)?;
        let (allowed, near): (Vec<_>, Vec<_>) = free.partition(|address| is_allowed(*address));
        let far = (1..=60_u8).flat_map(|n| ELSEWHERE.map(|[a, b]| Ipv4Addr::new(a, b, 113, n)));
        let strangers = near.into_iter().take(SENDERS).chain(far.filter(|address| !is_allowed(*address)));
        let flood = Flood {
            mac: [2, 0, 0, 0, 0, u8::try_from(interface).unwrap_or(u8::MAX)],
            device: link.own,
            port: flow.port,
            helper,
            strangers: strangers.collect(),
            allowed: allowed.into_iter().take(SENDERS).collect(),
        };
        Ok(Self { flow, interface, name, client, flood })
    }

    /// Time between two new connections, so that the client itself keeps within the conduit's rate.
    pub(super) fn pace(&self) -> Duration {
        pace(&self.flow.rate)
    }

    /// What is asked, in words.
    pub(super) fn what(&self) -> String {
        let Self { flow, name, client, flood, .. } = self;
        format!(
            "`{}` (tcp/{} of {} on {name}, conduit `{}`) is asked by {client}",
            flow.service, flow.port, flood.device, flow.name
        )
    }
}

fn pace(rate: &str) -> Duration {
    let seconds = rate.split_once('/').and_then(|(count, unit)| {
        let unit = match unit {
            "second" => 1_u64,
            "minute" => 60,
            "hour" => 3_600,
            _ => 86_400,
        };
        Some(unit.div_ceil(count.parse::<u64>().ok()?.max(1)))
    });
    Duration::from_secs(seconds.unwrap_or(60)).clamp(PACE.0, PACE.1)
}

/// How long an answer took, or why there was none.
pub(super) type Answer = Result<Duration, String>;

/// A connection of the client, whose server has said its version; and how long that took. QEMU's own TCP/IP takes each connection
/// at once: only words of the device are an answer.
pub(super) fn open(port: u16, limit: Duration) -> Result<(TcpStream, Duration), String> {
    let started = Instant::now();
    let failed = |e: std::io::Error| e.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') && line.len() < 256 {
        let left = limit.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(silent(limit));
        }
        stream.set_read_timeout(Some(left)).map_err(failed)?;
        let mut byte = [0_u8];
        match stream.read(&mut byte) {
            Ok(0) => {
                let after = started.elapsed().as_secs();
                return Err(format!("it ended after {after} s, with the words `{}`", words(&line)));
            }
            Ok(_) => line.push(byte[0]),
            Err(e) if waits(&e) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    if !line.starts_with(b"SSH-") {
        return Err(format!("it said `{}`", words(&line)));
    }
    Ok((stream, started.elapsed()))
}

/// Whether an open connection goes on: the client says its version, and the server answers with what it can do. The
/// connection ends with that: sshd minds one that stays open without a login.
pub(super) fn goes_on(mut stream: TcpStream, limit: Duration) -> Answer {
    let started = Instant::now();
    stream.write_all(b"SSH-2.0-Fastness\r\n").map_err(|e| e.to_string())?;
    loop {
        let left = limit.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(silent(limit));
        }
        stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
        match stream.read(&mut [0_u8; 64]) {
            Ok(0) => return Err("it ended".to_owned()),
            Ok(_) => return Ok(started.elapsed()),
            Err(e) if waits(&e) => {}
            Err(e) => return Err(e.to_string()),
        }
    }
}

fn waits(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

fn silent(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

fn words(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim().escape_debug().to_string()
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
