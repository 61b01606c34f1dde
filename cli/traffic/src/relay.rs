//! Neighbours of the device whose datagrams are a test's on this host: the peer of a tunnel, a time server.
//!
//! On a tap of the device's network the relay answers for the neighbours' addresses, and passes what the device sends to a
//! neighbour's port on to whoever stands for it, and back. Nothing else comes through, so that the device's network leads nowhere
//! else.

use std::io::{self, Write};
use std::net::{SocketAddrV4, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

use crate::frame::{self, ARP, Heard, Mac};
use crate::ntp::TimeServer;
use crate::tap;

/// The neighbours' hardware address, which no other station of the test has.
const PEER_MAC: Mac = [0x06, 0, 0, 0, 0, 2];
/// How long QEMU may take no byte.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a relay looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Whose datagrams are passed on, and to whom.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The device's address, and its port; port 0 is any: that of a client which takes a new one for each question.
    pub device: SocketAddrV4,
    /// The neighbour's, on the device's network.
    pub peer: SocketAddrV4,
    /// Who stands for it.
    pub behind: Behind,
}

/// Who stands for a neighbour.
#[derive(Clone, Debug)]
pub enum Behind {
    /// A program of this host.
    Program {
        /// The relay's own socket on the loopback; a later machine goes on with it.
        socket: Arc<UdpSocket>,
        /// The program's address and port there.
        address: SocketAddrV4,
    },
    /// A time server of the test.
    Time(Arc<TimeServer>),
}

/// The relay; ends when dropped, and when the machine does.
#[derive(Debug)]
pub struct Relay {
    to: UnixStream,
    from: UnixStream,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// On the streams to the device and from it.
    ///
    /// # Errors
    /// When a stream or a socket cannot be used by threads of their own.
    pub fn start(to: UnixStream, from: UnixStream, all: Vec<Ends>) -> io::Result<Self> {
        to.set_write_timeout(Some(PATIENCE))?;
        let out = Arc::new(Mutex::new(to.try_clone()?));
        let (station, stop) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let input = from.try_clone()?;
        // From here on what is dropped ends its threads.
        let mut relay = Self { to, from, stop: Arc::clone(&stop), threads: Vec::new() };
        for ends in &all {
            let Behind::Program { socket, address } = &ends.behind else { continue };
            socket.set_read_timeout(Some(LOOK))?;
            let (ends, socket, program) = (ends.clone(), Arc::clone(socket), *address);
            let (out, whose, over) = (Arc::clone(&out), Arc::clone(&station), Arc::clone(&stop));
            relay.run("relay-in", move || inward(&out, &ends, (&socket, program), &whose, &over))?;
        }
        relay.run("relay-out", move || {
            outward(input, &out, &all, &station);
            stop.store(true, Ordering::Release);
        })?;
        Ok(relay)
    }

    fn run(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(work)?);
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.to.shutdown(std::net::Shutdown::Both);
        let _ = self.from.shutdown(std::net::Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The device's hardware address, once it has said something.
type Station = Mutex<Option<Mac>>;

fn hand_over(out: &Mutex<UnixStream>, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.lock().unwrap_or_else(PoisonError::into_inner).write_all(&[&length, frame].concat())
}

/// What the device sends, until its stream ends.
fn outward(mut input: UnixStream, out: &Mutex<UnixStream>, all: &[Ends], station: &Station) {
    let mut buffer = Vec::new();
    while let Ok(true) = tap::read(&mut input, &mut buffer) {
        let Some((ends, said)) = all.iter().find_map(|ends| Some((ends, said(&buffer, ends)?))) else {
            continue;
        };
        let (Said::Asks(mac) | Said::Sends { mac, .. }) = said;
        *station.lock().unwrap_or_else(PoisonError::into_inner) = Some(mac);
        if let Some(frame) = answer(ends, &said)
            && hand_over(out, &frame).is_err()
        {
            return;
        }
    }
}

/// What comes back at once.
fn answer(ends: &Ends, said: &Said<'_>) -> Option<Vec<u8>> {
    match (said, &ends.behind) {
        (Said::Asks(mac), _) => Some(frame::arp(2, (PEER_MAC, *ends.peer.ip()), (*mac, *ends.device.ip()))),
        (Said::Sends { payload, .. }, Behind::Program { socket, address }) => {
            // Where no program listens the datagram is lost, as on a wire.
            let _ = socket.send_to(payload, *address);
            None
        }
        (Said::Sends { mac, port, payload }, Behind::Time(server)) => {
            datagram(ends, (*mac, *port), &server.answer(payload)?)
        }
    }
}

/// What a program sends, until the relay ends.
fn inward(
    out: &Mutex<UnixStream>,
    ends: &Ends,
    (socket, program): (&UdpSocket, SocketAddrV4),
    station: &Station,
    stop: &AtomicBool,
) {
    let mut buffer = [0_u8; 2_048];
    while !stop.load(Ordering::Acquire) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let mac = *station.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mac) = mac.filter(|_| from == program.into()) else { continue };
        let Some(frame) = datagram(ends, (mac, ends.device.port()), &buffer[..length]) else { continue };
        if hand_over(out, &frame).is_err() {
            return;
        }
    }
}

/// A datagram of the neighbour's on the device's network, to the device's hardware address and port.
fn datagram(ends: &Ends, (mac, port): (Mac, u16), payload: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(payload.len() + 42);
    PacketBuilder::ethernet2(PEER_MAC, mac)
        .ipv4(ends.peer.ip().octets(), ends.device.ip().octets(), 64)
        .udp(ends.peer.port(), port)
        .write(&mut out, payload)
        .ok()?;
    Some(out)
}

/// What concerns a neighbour, with the device's hardware address.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    /// It asks for the neighbour's hardware address.
    Asks(Mac),
    /// It sends the neighbour a datagram from a port.
    Sends { mac: Mac, port: u16, payload: &'a [u8] },
}

/// What the device sends is hostile: all that is not for the neighbour's port is nothing.
fn said<'a>(frame: &'a [u8], ends: &Ends) -> Option<Said<'a>> {
    let mac = Mac::try_from(frame.get(6..12)?).ok()?;
    if frame.get(12..14)? == ARP.to_be_bytes() {
        let Heard::Arp { operation: 1, sender, target } = frame::read(frame) else { return None };
        return ((sender, target) == (*ends.device.ip(), *ends.peer.ip())).then_some(Said::Asks(mac));
    }
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) = (&packet.net, &packet.transport) else {
        return None;
    };
    let (from, port) = (ip.header().source_addr(), udp.source_port());
    let to = SocketAddrV4::new(ip.header().destination_addr(), udp.destination_port());
    let own = (from, port) == (*ends.device.ip(), ends.device.port());
    let any = (from, ends.device.port()) == (*ends.device.ip(), 0);
    // The datagram lies in the frame itself, in front of what fills a short one up.
    let payload = frame.get(34..)?.get(8..usize::from(udp.length()))?;
    ((own || any) && to == ends.peer).then_some(Said::Sends { mac, port, payload })
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
