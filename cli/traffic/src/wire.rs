//! One wire to the device: Unix datagrams that QEMU's `-netdev dgram` exchanges, each one frame.
//!
//! No root and no network of the host. The wire plays every neighbour: it answers ARP and neighbour
//! solicitations for all addresses but the device's own, so that no answer is lost for want of a
//! hardware address. Every frame of both directions goes into a pcap file.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path as FilePath, PathBuf};
use std::time::{Duration, Instant};

use crate::frame::{self, Heard, Mac, Path};
use crate::pcap::Pcap;

/// The hardware address of all neighbours; locally administered.
pub const OUR_MAC: Mac = [0x06, 0, 0, 0, 0, 1];
/// Longest frame that is read; jumbo frames are not sent by a device with an MTU of 1500.
const FRAME: usize = 9_216;
/// How long the device's queue may stay full.
const FULL: Duration = Duration::from_secs(10);
/// Answers that are kept until the device takes them.
const OWED: usize = 4_096;

/// The wire.
#[derive(Debug)]
pub struct Wire {
    socket: UnixDatagram,
    remote: PathBuf,
    pcap: Pcap,
    device: Vec<IpAddr>,
    heard: Vec<Heard>,
    hold: bool,
    /// Answers that did not fit into the device's queue.
    owed: VecDeque<Vec<u8>>,
}

impl Wire {
    /// Binds `local` and records into `pcap`; `remote` is QEMU's socket, which need not be there yet.
    /// `device` are the device's own addresses on this wire.
    ///
    /// # Errors
    /// When the socket or the file cannot be made.
    pub fn bind(local: &FilePath, remote: PathBuf, pcap: &FilePath, device: Vec<IpAddr>) -> io::Result<Self> {
        let socket = UnixDatagram::bind(local)?;
        socket.set_nonblocking(true)?;
        let pcap = Pcap::create(pcap)?;
        Ok(Self { socket, remote, pcap, device, heard: Vec::new(), hold: false, owed: VecDeque::new() })
    }

    fn record(&mut self, frame: &[u8]) -> io::Result<()> {
        self.pcap.write(frame)
    }

    /// Sends a frame; waits while the device's queue is full. `false`: nobody took it.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<bool> {
        let deadline = Instant::now() + FULL;
        loop {
            // A device that waits for a neighbour's answer would stay silent to all that comes after.
            self.pay()?;
            match self.socket.send_to(frame, &self.remote) {
                Ok(_) => break,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    if Instant::now() >= deadline {
                        return Ok(false);
                    }
                    self.drain()?;
                    std::thread::sleep(Duration::from_micros(100));
                }
                // QEMU is not there yet, or no more.
                Err(_) => return Ok(false),
            }
        }
        self.record(frame)?;
        Ok(true)
    }

    /// Takes what has come, serves it, and keeps what it says.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0u8; FRAME];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let frame = &buffer[..length];
            self.record(frame)?;
            let heard = frame::read(frame);
            if let Some(answer) = self.serve(frame, &heard)
                && self.owed.len() < OWED
            {
                self.owed.push_back(answer);
            }
            self.heard.push(heard);
        }
        self.pay()
    }

    /// Sends what is owed as far as the device takes it.
    fn pay(&mut self) -> io::Result<()> {
        while let Some(answer) = self.owed.pop_front() {
            match self.socket.send_to(&answer, &self.remote) {
                Ok(_) => self.record(&answer)?,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.owed.push_front(answer);
                    break;
                }
                // QEMU is not there yet, or no more.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Listens for a time.
    ///
    /// # Errors
    /// When the recording cannot be written.
    pub fn listen(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        loop {
            self.drain()?;
            if Instant::now() >= end {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What was heard since the last call.
    pub fn take(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// What was heard and not yet taken.
    #[must_use]
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// Whether connections that the device accepts are kept; otherwise each is ended at once.
    pub fn hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.pcap.finish()
    }

    /// The answer to a question for a neighbour, or the end of a connection that was accepted.
    fn serve(&self, frame: &[u8], heard: &Heard) -> Option<Vec<u8>> {
        let mac: Mac = frame.get(6..12)?.try_into().ok()?;
        match *heard {
            Heard::Arp { operation: 1, sender, target }
                if !sender.is_unspecified() && !self.device.contains(&target.into()) =>
            {
                Some(frame::arp(2, (OUR_MAC, target), (mac, sender)))
            }
            Heard::Icmp { ends, kind: 135, target: Some(target) }
                if !ends.0.is_unspecified() && !self.device.contains(&target.into()) =>
            {
                let path = Path { from_mac: OUR_MAC, to_mac: mac, from: target.into(), to: ends.0 };
                frame::neighbour(path, 136, target)
            }
            Heard::Tcp { ends, ports, flags: (true, true, false) } if !self.hold => {
                let path = Path { from_mac: OUR_MAC, to_mac: mac, from: ends.1, to: ends.0 };
                frame::reset(path, (ports.1, ports.0))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_the_full_queue_did_not_take_is_sent_later() {
        let folder = tempfile::tempdir().unwrap();
        let (far, near) = (folder.path().join("far"), folder.path().join("near"));
        let device = UnixDatagram::bind(&near).unwrap();
        device.set_nonblocking(true).unwrap();
        let own = "192.0.2.10".parse().unwrap();
        let mut wire = Wire::bind(&far, near.clone(), &folder.path().join("x.pcap"), vec![own]).unwrap();
        let filler = UnixDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        while filler.send_to(b"full", &near).is_ok() {}
        let question = frame::arp(1, ([2; 6], [192, 0, 2, 10].into()), ([0; 6], [192, 0, 2, 79].into()));
        device.send_to(&question, &far).unwrap();
        wire.drain().unwrap();
        let mut buffer = [0u8; FRAME];
        while let Ok(length) = device.recv(&mut buffer) {
            assert_eq!(&buffer[..length], b"full");
        }
        wire.drain().unwrap();
        let length = device.recv(&mut buffer).unwrap();
        let answer = frame::read(&buffer[..length]);
        assert!(
            matches!(answer, Heard::Arp { operation: 2, sender, .. } if sender.octets()[3] == 79),
            "{answer:?}"
        );
    }
}
