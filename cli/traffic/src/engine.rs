//! A few probes, again and again, of a device to which something happens meanwhile: a stranger's, who must stay
//! unanswered, and those of somebody whom a conduit serves.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spec::plan::NetworkFacts;
use spec::types::InterfaceAddress;

use crate::frame::{self, Ask, Heard, Mac, Path};
use crate::judge::{self, Class, PROBE_PORT};
use crate::special;
use crate::sweep::{BATCH, addresses, hosts, senders, sentinel};
use crate::wire::{OUR_MAC, Wire};

/// Time for answers.
const QUIET: Duration = Duration::from_millis(400);
/// Source ports of connections; each is used once.
const FIRST_PORT: u16 = 20_000;

/// A service in clear with somebody who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name of its conduit.
    pub conduit: String,
    /// Port.
    pub port: u16,
    /// Connections that may be open at a time.
    pub connections: u32,
    source: IpAddr,
}

/// The engine of one interface, over IPv4.
pub struct Engine<'a> {
    wire: Wire,
    network: &'a NetworkFacts,
    interface: &'a str,
    mac: Mac,
    own: InterfaceAddress,
    service: Option<Service>,
    next: u16,
}

/// The interface that has a service in clear, otherwise the first one with an IPv4 address, of those that are named.
#[must_use]
pub fn choose(network: &NetworkFacts, names: &[String]) -> Option<usize> {
    let own = |name: &String| addresses(network, name).into_iter().find(|own| own.address.is_ipv4());
    let served =
        |name: &String| own(name).is_some_and(|own| !special::limited(network, name, own).is_empty());
    names.iter().position(served).or_else(|| names.iter().position(|name| own(name).is_some()))
}

impl<'a> Engine<'a> {
    /// On a wire; nothing, if the interface has no IPv4 address.
    #[must_use]
    pub fn new(wire: Wire, network: &'a NetworkFacts, interface: &'a str, mac: Mac) -> Option<Self> {
        let own = addresses(network, interface).into_iter().find(|own| own.address.is_ipv4())?;
        let service = special::limited(network, interface, own).first().map(|(line, port, source)| Service {
            conduit: line.conduit.clone().unwrap_or_default(),
            port: *port,
            connections: line.connections.unwrap_or(u32::MAX),
            source: *source,
        });
        Some(Self { wire, network, interface, mac, own, service, next: FIRST_PORT })
    }

    /// The service that is asked, if there is one in clear.
    #[must_use]
    pub fn service(&self) -> Option<&Service> {
        self.service.as_ref()
    }

    /// Whether the device answers ARP: then it has heard all before.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn hears(&mut self) -> io::Result<bool> {
        let helper = hosts(self.own).next().unwrap_or(self.own.address);
        sentinel(&mut self.wire, self.mac, self.own.address, helper)
    }

    /// A stranger asks all ports that answer somebody, and industrial ones; what answers is wrong.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn stranger(&mut self) -> io::Result<Vec<String>> {
        let found = senders(self.network, self.interface, self.own);
        let Some(source) = found.first().map(|sender| sender.source) else { return Ok(Vec::new()) };
        let mut asks = special::ports(self.network, self.interface);
        asks.extend([Ask::Icmp(8), Ask::Udp(500)]);
        let path = self.path(source);
        for ask in &asks {
            if let Some(frame) = frame::probe(path, *ask, PROBE_PORT) {
                self.wire.send(&frame)?;
            }
        }
        self.wire.listen(QUIET)?;
        let class = Class {
            name: "stress",
            interface: self.interface.to_owned(),
            source,
            on_link: true,
            target: self.own.address,
            asks,
            heard: self.wire.take(),
            unproved: None,
        };
        // A missing answer to a stranger whom a line allows, such as a ping beyond its rate, is nothing here.
        let problems = judge::class(self.network, &class).problems.into_iter();
        Ok(problems.filter(|problem| !problem.contains(" is silent to ")).collect())
    }

    /// The stranger, until `stop`; how often, and what answered.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn stranger_until(&mut self, stop: &AtomicBool) -> io::Result<(u32, Vec<String>)> {
        let (mut rounds, mut problems) = (0, Vec::new());
        while !stop.load(Ordering::Acquire) {
            problems.extend(self.stranger()?);
            rounds += 1;
        }
        problems.sort();
        problems.dedup();
        Ok((rounds, problems))
    }

    /// Does something while the wire is served: a machine whose frames nobody takes stops.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn meanwhile<T: Send>(&mut self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let result = work();
                done.store(true, Ordering::Release);
                result
            });
            while !done.load(Ordering::Acquire) && !worker.is_finished() {
                self.wire.listen(Duration::from_millis(20))?;
                self.wire.take();
            }
            worker.join().map_err(|_| io::Error::other("the work beside the wire ended with a panic"))
        })
    }

    /// Many segments with SYN from a stranger, to all ports in turn; whether the device hears afterwards.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn flood(&mut self, count: u32) -> io::Result<bool> {
        let found = senders(self.network, self.interface, self.own);
        let Some(source) = found.first().map(|sender| sender.source) else { return Ok(false) };
        let path = self.path(source);
        let numbers: Vec<u32> = (0..count).collect();
        for batch in numbers.chunks(BATCH) {
            for number in batch {
                let (from, to) = (number / 60_000 + 1_024, number % 60_000 + 1);
                let ports = u16::try_from(from).ok().zip(u16::try_from(to).ok());
                if let Some((from, to)) = ports
                    && let Some(frame) = frame::probe(path, Ask::Tcp(to), from)
                {
                    self.wire.send(&frame)?;
                }
            }
            if !self.hears()? {
                return Ok(false);
            }
        }
        self.wire.take();
        Ok(true)
    }

    /// Whether the service takes a connection of the sender that the plan allows.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn served(&mut self) -> io::Result<bool> {
        // A packet that a busy host lost is asked for again, as TCP does.
        for _ in 0..3 {
            if self.open(1, false)? == 1 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Opens connections to the service; how many were taken. With `hold` none is given back before all are asked for.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn open(&mut self, count: u16, hold: bool) -> io::Result<usize> {
        let Some(Service { port, source, .. }) = self.service.clone() else { return Ok(0) };
        let path = self.path(source);
        self.wire.hold(hold);
        self.wire.take();
        let first = self.next;
        self.next = self.next.wrapping_add(count).max(FIRST_PORT);
        for number in 0..count {
            if let Some(frame) = frame::probe(path, Ask::Tcp(port), first.wrapping_add(number)) {
                self.wire.send(&frame)?;
            }
        }
        self.wire.listen(if count > 1 { QUIET * 3 } else { QUIET })?;
        let taken: BTreeSet<u16> = self
            .wire
            .take()
            .iter()
            .filter_map(|heard| match heard {
                Heard::Tcp { ends, ports, flags: (true, true, false) } => {
                    (ends.1 == source && ports.0 == port && ports.1.wrapping_sub(first) < count)
                        .then_some(ports.1)
                }
                _ => None,
            })
            .collect();
        self.wire.hold(false);
        Ok(taken.len())
    }

    /// Gives back the connections that [`Engine::open`] held.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn release(&mut self, count: u16) -> io::Result<()> {
        let Some(Service { port, source, .. }) = self.service.clone() else { return Ok(()) };
        let path = self.path(source);
        for number in 1..=count {
            if let Some(frame) = frame::reset(path, (self.next.wrapping_sub(number), port)) {
                self.wire.send(&frame)?;
            }
        }
        self.wire.listen(QUIET)?;
        self.wire.take();
        Ok(())
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.wire.finish()
    }

    fn path(&self, source: IpAddr) -> Path {
        Path { from_mac: OUR_MAC, to_mac: self.mac, from: source, to: self.own.address }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
