//! A hub between the device and its peers: forwards every frame of one to all others, keeps all of them, and
//! counts what the device sent in clear to networks that a tunnel seals.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use spec::types::{Prefix, Scalar};

use crate::frame::{self, Heard};
use crate::pcap::Pcap;

/// Longest frame that is read.
const FRAME: usize = 9_216;

/// The hub's end of a machine's wire, and QEMU's.
#[derive(Debug)]
pub struct Port {
    socket: UnixDatagram,
    remote: PathBuf,
}

impl Port {
    /// Binds `local`; `remote` is QEMU's socket, which need not be there yet.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind(local: &Path, remote: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::bind(local)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, remote })
    }
}

/// Frames of one kind that the device sent, by tunnel.
pub type Sent = BTreeMap<String, BTreeMap<String, u32>>;

/// Forwards until `stop`; returns what the device sent in clear to or from the `sealed` networks of each tunnel.
///
/// # Errors
/// When the recording cannot be written.
pub fn run(
    device: &Port,
    peers: &[Port],
    unused: &[Port],
    sealed: &[(String, Vec<String>)],
    mut pcap: Pcap,
    stop: &AtomicBool,
) -> io::Result<Sent> {
    let wrong = |text: &str| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("expected a network, found `{text}`"))
    };
    let networks = |texts: &[String]| -> io::Result<Vec<Prefix>> {
        texts.iter().map(|text| Prefix::parse(text, true).map_err(|_| wrong(text))).collect()
    };
    let sealed: Vec<(&String, Vec<Prefix>)> =
        sealed.iter().map(|(tunnel, texts)| Ok((tunnel, networks(texts)?))).collect::<io::Result<_>>()?;
    let mut sent = Sent::new();
    let mut buffer = [0u8; FRAME];
    while !stop.load(Ordering::Acquire) {
        let mut idle = true;
        for (at, from) in std::iter::once(device).chain(peers).enumerate() {
            let is_device = at == 0;
            while let Ok(length) = from.socket.recv(&mut buffer) {
                idle = false;
                let frame = &buffer[..length];
                pcap.write(frame)?;
                if is_device {
                    let heard = frame::read(frame);
                    for (tunnel, networks) in &sealed {
                        if let Some(what) = in_clear(&heard, networks) {
                            let of_tunnel = sent.entry((*tunnel).clone()).or_default();
                            *of_tunnel.entry(what).or_default() += 1;
                        }
                    }
                }
                let others =
                    std::iter::once(device).chain(peers).enumerate().filter(|(other, _)| *other != at);
                for (_, to) in others {
                    // As on a real wire, what nobody takes is lost; its sender asks again.
                    let _ = to.socket.send_to(frame, &to.remote);
                }
            }
        }
        // Interfaces without a neighbour: their frames must not fill QEMU's queue.
        for port in unused {
            while port.socket.recv(&mut buffer).is_ok() {}
        }
        if idle {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    pcap.finish()?;
    Ok(sent)
}

/// What a frame of the device is, if one of its ends lies in a sealed network: there, only a tunnel's outer
/// packets may be seen, and these have other ends.
#[must_use]
pub fn in_clear(heard: &Heard, sealed: &[Prefix]) -> Option<String> {
    let (ends, what) = match heard {
        Heard::Tcp { ends, ports, .. } => (ends, format!("tcp from port {} to {}", ports.0, ports.1)),
        Heard::Udp { ends, ports } => (ends, format!("udp from port {} to {}", ports.0, ports.1)),
        Heard::Icmp { ends, kind, .. } => (ends, format!("icmp type {kind}")),
        Heard::Unreachable { ends, port } => (ends, format!("icmp of udp port {port}")),
        Heard::Ip { ends, protocol } => (ends, format!("ip protocol {protocol}")),
        Heard::Arp { .. } | Heard::Ethernet(_) | Heard::Unreadable => return None,
    };
    let inside = |address: IpAddr| sealed.iter().any(|prefix| prefix.contains(address));
    (inside(ends.0) || inside(ends.1)).then_some(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Vec<Prefix> {
        vec![Prefix::parse("203.0.113.0/25", true).unwrap()]
    }

    fn tcp(from: &str, to: &str) -> Heard {
        let ends = (from.parse().unwrap(), to.parse().unwrap());
        Heard::Tcp { ends, ports: (502, 40_000), flags: (false, true, true) }
    }

    #[test]
    fn what_belongs_into_a_tunnel_is_seen_outside_of_it() {
        let clear = in_clear(&tcp("192.0.2.10", "203.0.113.1"), &sealed());
        assert_eq!(clear.as_deref(), Some("tcp from port 502 to 40000"));
    }

    #[test]
    fn the_tunnels_own_packets_are_no_leak() {
        let ends = ("192.0.2.10".parse().unwrap(), "192.0.2.20".parse().unwrap());
        assert_eq!(in_clear(&Heard::Ip { ends, protocol: 50 }, &sealed()), None);
        assert_eq!(in_clear(&tcp("192.0.2.10", "203.0.113.200"), &sealed()), None);
    }
}
