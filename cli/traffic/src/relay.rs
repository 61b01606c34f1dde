//! A neighbour of the device whose datagrams are a program's on this host: the peer of a tunnel.
//!
//! On a tap of the device's network the relay answers for the peer's address, and passes what the device sends to the peer's
//! port on to a socket of the loopback, and back. Nothing else comes through, so that the device's network leads nowhere else.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

use crate::frame::{self, ARP, Heard, Mac};
use crate::tap;

/// The peer's hardware address, which no other station of the test has.
const PEER_MAC: Mac = [0x06, 0, 0, 0, 0, 2];
/// How long QEMU may take no byte.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a relay looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Whose datagrams are passed on, and to where.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The device's address and port.
    pub device: SocketAddrV4,
    /// The peer's, on the device's network.
    pub peer: SocketAddrV4,
    /// The relay's own socket on the loopback; a later machine goes on with it.
    pub socket: Arc<UdpSocket>,
    /// The program's address and port there.
    pub program: SocketAddrV4,
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
    /// When a stream or the socket cannot be used by threads of their own.
    pub fn start(to: UnixStream, from: UnixStream, ends: Ends) -> io::Result<Self> {
        to.set_write_timeout(Some(PATIENCE))?;
        ends.socket.set_read_timeout(Some(LOOK))?;
        let stop = Arc::new(AtomicBool::new(false));
        let out = Arc::new(Mutex::new(to.try_clone()?));
        let station = Arc::new(Mutex::new(None));
        let (input, there, whose) = (from.try_clone()?, ends.clone(), Arc::clone(&station));
        let (answers, over) = (Arc::clone(&out), Arc::clone(&stop));
        let outward = std::thread::Builder::new().name("relay-out".to_owned()).spawn(move || {
            outward(input, &answers, &there, &whose);
            over.store(true, Ordering::Release);
        })?;
        let over = Arc::clone(&stop);
        let inward = std::thread::Builder::new()
            .name("relay-in".to_owned())
            .spawn(move || inward(&out, &ends, &station, &over))?;
        Ok(Self { to, from, stop, threads: vec![outward, inward] })
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
fn outward(mut input: UnixStream, out: &Mutex<UnixStream>, ends: &Ends, station: &Station) {
    let mut buffer = Vec::new();
    while let Ok(true) = tap::read(&mut input, &mut buffer) {
        match said(&buffer, ends) {
            Some(Said::Asks(mac)) => {
                *station.lock().unwrap_or_else(PoisonError::into_inner) = Some(mac);
                let answer = frame::arp(2, (PEER_MAC, *ends.peer.ip()), (mac, *ends.device.ip()));
                if hand_over(out, &answer).is_err() {
                    return;
                }
            }
            Some(Said::Sends(mac, payload)) => {
                *station.lock().unwrap_or_else(PoisonError::into_inner) = Some(mac);
                // Where no program listens the datagram is lost, as on a wire.
                let _ = ends.socket.send_to(payload, ends.program);
            }
            None => {}
        }
    }
}

/// What the program sends, until the relay ends.
fn inward(out: &Mutex<UnixStream>, ends: &Ends, station: &Station, stop: &AtomicBool) {
    let mut buffer = [0_u8; 2_048];
    while !stop.load(Ordering::Acquire) {
        let Ok((length, from)) = ends.socket.recv_from(&mut buffer) else { continue };
        let mac = *station.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mac) = mac.filter(|_| from == ends.program.into()) else { continue };
        let Some(frame) = datagram(ends, mac, &buffer[..length]) else { continue };
        if hand_over(out, &frame).is_err() {
            return;
        }
    }
}

/// The program's datagram, as the peer's on the device's network.
fn datagram(ends: &Ends, mac: Mac, payload: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(payload.len() + 42);
    PacketBuilder::ethernet2(PEER_MAC, mac)
        .ipv4(ends.peer.ip().octets(), ends.device.ip().octets(), 64)
        .udp(ends.peer.port(), ends.device.port())
        .write(&mut out, payload)
        .ok()?;
    Some(out)
}

/// What concerns the peer, with the device's hardware address.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    /// It asks for the peer's hardware address.
    Asks(Mac),
    /// It sends the peer a datagram.
    Sends(Mac, &'a [u8]),
}

/// What the device sends is hostile: all that is not for the peer's port is nothing.
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
    let of = |address: Ipv4Addr, port| SocketAddrV4::new(address, port);
    let from = of(ip.header().source_addr(), udp.source_port());
    let to = of(ip.header().destination_addr(), udp.destination_port());
    // The datagram lies in the frame itself, in front of what fills a short one up.
    let body = frame.get(34..)?;
    let body = body.get(8..usize::from(udp.length()))?;
    ((from, to) == (ends.device, ends.peer)).then_some(Said::Sends(mac, body))
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
