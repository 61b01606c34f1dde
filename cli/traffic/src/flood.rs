//! A flood: frames of many kinds and senders, as fast as the device takes them, for a bounded number and time.
//!
//! After every few frames the device is asked for its hardware address. Since it takes frames in their order, its answer
//! says that it has taken all before, and only some questions may be open at a time: what waits in front of
//! the device stays as short as the queue of a network card, and others on its network still get through to it.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;

use crate::frame::{self, Ask, Mac, Path};
use crate::tap::Tap;
use crate::wire::OUR_MAC;

/// Frames before each question.
pub const BATCH: u32 = 64;
/// Questions that may be open.
const OPEN: u64 = 4;
/// How long an answer may take; then the question is lost.
const LOST: Duration = Duration::from_secs(2);
/// Ports that no conduit of a product should open.
const CLOSED: [u16; 4] = [23, 111, 445, 8080];
/// Ports of datagrams: those of time, management, keys, tunnels, and an unassigned one.
const DATAGRAMS: [u16; 5] = [123, 161, 500, 1194, 47_808];
/// Bytes of a large datagram; with its headers as long as an Ethernet frame may be.
const LARGE: usize = 1_472;

/// Whose connections are asked for most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senders {
    /// Those whom no conduit allows; the open port is asked by them alone.
    Strangers,
    /// Those whom the conduit of the open port allows, who never answer.
    Allowed,
}

/// What is sent to whom.
#[derive(Clone, Debug)]
pub struct Flood {
    /// The device's hardware address.
    pub mac: Mac,
    /// The device's address.
    pub device: Ipv4Addr,
    /// The port that a conduit opens.
    pub port: u16,
    /// Whoever asks for the hardware address; nobody else's address.
    pub helper: Ipv4Addr,
    /// Senders that no conduit allows; one at least.
    pub strangers: Vec<Ipv4Addr>,
    /// Senders that the conduit allows; may be empty.
    pub allowed: Vec<Ipv4Addr>,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Frames, without the questions.
    pub frames: u64,
    /// Of these, what the device has taken for certain.
    pub taken: u64,
    /// Milliseconds.
    pub ms: u64,
    /// Questions that were not answered in time.
    pub lost: u64,
    /// Frames of each kind.
    pub kinds: BTreeMap<&'static str, u64>,
}

impl Sent {
    /// Frames in a second.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.frames.saturating_mul(1_000) / self.ms.max(1)
    }
}

impl Flood {
    /// The frame with a number, and what it is.
    #[must_use]
    pub fn frame(&self, senders: Senders, number: u32) -> Option<(&'static str, Vec<u8>)> {
        let round = number / 8;
        let pick = |list: &[Ipv4Addr]| {
            let at = usize::try_from(round).ok()? % list.len().max(1);
            list.get(at).copied()
        };
        let stranger = pick(&self.strangers);
        // What opens nothing comes from both.
        let anyone = if round.is_multiple_of(2) { stranger } else { pick(&self.allowed).or(stranger) };
        let port = 1_024 + u16::try_from(number.wrapping_mul(7) % 60_000).unwrap_or_default();
        let one_of =
            |list: &[u16]| list.get(usize::try_from(round).unwrap_or_default() % list.len()).copied();
        let probe = |from: Ipv4Addr, ask| frame::probe(self.path(from), ask, port);
        match (number % 8, senders) {
            (0..=1, Senders::Strangers) => {
                Some(("SYN of strangers to the open port", probe(stranger?, Ask::Tcp(self.port))?))
            }
            (0..=4, Senders::Allowed) => Some((
                "SYN of allowed addresses to the open port",
                probe(pick(&self.allowed)?, Ask::Tcp(self.port))?,
            )),
            (2, _) => Some(("SYN to closed ports", probe(anyone?, Ask::Tcp(one_of(&CLOSED)?))?)),
            (3, _) => Some(("UDP", probe(anyone?, Ask::Udp(one_of(&DATAGRAMS)?))?)),
            (4, _) => Some(("large UDP", self.large(anyone?, port)?)),
            (5, _) => Some(("ICMP echo", probe(anyone?, Ask::Icmp(8))?)),
            (6, _) => {
                let (from, id) = (anyone?, u16::try_from(round % 65_536).unwrap_or_default());
                let piece = frame::fragment(self.path(from), (from, self.device), id, 0, true, &[0; 8]);
                Some(("fragments without a rest", piece))
            }
            _ => {
                let mut torn = probe(stranger?, Ask::Tcp(self.port))?;
                // An IPv4 header that says it is longer than the packet.
                torn[14] = 0x4f;
                Some(("broken headers", torn))
            }
        }
    }

    fn path(&self, from: Ipv4Addr) -> Path {
        Path { from_mac: OUR_MAC, to_mac: self.mac, from: from.into(), to: self.device.into() }
    }

    fn large(&self, from: Ipv4Addr, port: u16) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(LARGE + 42);
        PacketBuilder::ethernet2(OUR_MAC, self.mac)
            .ipv4(from.octets(), self.device.octets(), 64)
            .udp(port, 9)
            .write(&mut out, &[0xff; LARGE])
            .ok()?;
        Some(out)
    }

    /// Sends until `stop`, the most frames or the time.
    ///
    /// # Errors
    /// When the tap takes no more.
    pub fn run(
        &self,
        tap: &mut Tap,
        senders: Senders,
        stop: &AtomicBool,
        (most, time): (u64, Duration),
    ) -> io::Result<Sent> {
        let (mut sent, mut number, mut asked) = (Sent::default(), 0_u32, 0_u64);
        let started = Instant::now();
        tap.count(self.device, self.helper);
        let question = frame::arp(1, (OUR_MAC, self.helper), ([0; 6], self.device));
        while !stop.load(Ordering::Acquire) && sent.frames < most && started.elapsed() < time {
            let mut frames = Vec::with_capacity(65);
            for _ in 0..BATCH {
                if let Some((kind, frame)) = self.frame(senders, number) {
                    *sent.kinds.entry(kind).or_default() += 1;
                    frames.push(frame);
                }
                number = number.wrapping_add(1);
            }
            sent.frames += u64::try_from(frames.len()).unwrap_or_default();
            frames.push(question.clone());
            tap.send(&frames)?;
            asked += 1;
            let wanted = (asked - sent.lost).saturating_sub(OPEN - 1);
            let answers = tap.answers(wanted, LOST);
            if answers < wanted {
                sent.lost += wanted - answers;
            }
        }
        sent.ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let answers = tap.answers(asked - sent.lost, LOST).min(asked);
        sent.lost = asked - answers;
        sent.taken = sent.frames.min(answers * u64::from(BATCH));
        Ok(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Heard;
    use std::collections::BTreeSet;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn flood() -> Flood {
        Flood {
            mac: [2, 0, 0, 0, 0, 1],
            device: Ipv4Addr::new(192, 0, 2, 10),
            port: 22,
            helper: Ipv4Addr::new(192, 0, 2, 14),
            strangers: vec![Ipv4Addr::new(203, 0, 113, 1), Ipv4Addr::new(203, 0, 113, 2)],
            allowed: vec![Ipv4Addr::new(192, 0, 2, 5), Ipv4Addr::new(192, 0, 2, 6)],
        }
    }

    #[test]
    fn the_open_port_is_asked_by_the_senders_that_were_chosen_and_by_all_of_them() {
        let flood = flood();
        for (senders, from) in [(Senders::Strangers, &flood.strangers), (Senders::Allowed, &flood.allowed)] {
            let mut asked = BTreeSet::new();
            let mut kinds = BTreeSet::new();
            for number in 0..64 {
                let (kind, frame) = flood.frame(senders, number).unwrap();
                assert!((42..=1_514).contains(&frame.len()), "{kind}");
                assert_eq!(frame[..6], flood.mac);
                kinds.insert(kind);
                if let Heard::Tcp { ends, ports: (_, 22), flags } = frame::read(&frame) {
                    assert_eq!(flags, (true, false, false));
                    asked.insert(ends.0);
                }
            }
            assert_eq!(asked, from.iter().map(|address| (*address).into()).collect::<BTreeSet<_>>());
            let count = if senders == Senders::Strangers { 7 } else { 4 };
            assert_eq!(kinds.len(), count, "{kinds:?}");
        }
        // Nobody is allowed beside the client.
        let alone = Flood { allowed: Vec::new(), ..flood };
        assert!(alone.frame(Senders::Allowed, 0).is_none());
        assert!((0..16).all(|number| alone.frame(Senders::Strangers, number).is_some()));
    }

    /// A device that answers `answers` questions and counts frames.
    fn device(mut input: UnixStream, mut output: UnixStream, answers: u64) -> std::thread::JoinHandle<u64> {
        std::thread::spawn(move || {
            let (mut frames, mut asked, mut length) = (0, 0, [0_u8; 4]);
            while input.read_exact(&mut length).is_ok() {
                let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("short")];
                input.read_exact(&mut frame).expect("a whole frame");
                let Heard::Arp { sender, target, .. } = frame::read(&frame) else {
                    frames += 1;
                    continue;
                };
                asked += 1;
                if asked > answers {
                    continue;
                }
                let answer = frame::arp(2, ([2; 6], target), (OUR_MAC, sender));
                let length = u32::try_from(answer.len()).expect("short").to_be_bytes();
                output.write_all(&[&length[..], &answer].concat()).expect("somebody who reads");
            }
            frames
        })
    }

    fn run(answers: u64, most: u64, time: Duration) -> (Sent, u64) {
        let ((to, input), (from, output)) =
            (UnixStream::pair().expect("a pair"), UnixStream::pair().expect("a pair"));
        let device = device(input, output, answers);
        let mut tap = Tap::start(to, from).expect("a tap");
        let stop = AtomicBool::new(false);
        let sent = flood().run(&mut tap, Senders::Strangers, &stop, (most, time)).expect("a flood");
        drop(tap);
        (sent, device.join().expect("the device"))
    }

    #[test]
    fn a_device_that_answers_has_taken_all_and_the_flood_ends_at_its_bound() {
        let (sent, seen) = run(u64::MAX, 1_000, Duration::from_secs(60));
        assert_eq!((sent.frames, sent.taken, sent.lost, seen), (1_024, 1_024, 0, 1_024));
        assert_eq!(sent.kinds.values().sum::<u64>(), 1_024);
        assert_eq!(Sent { frames: 3_000, ms: 1_500, ..Sent::default() }.rate(), 2_000);
    }

    #[test]
    fn a_device_that_goes_silent_is_not_said_to_have_taken_what_it_was_sent() {
        let (sent, seen) = run(2, 100_000, Duration::from_secs(3));
        assert_eq!(sent.taken, 2 * u64::from(BATCH));
        assert!(sent.frames > sent.taken && sent.frames < 2_000, "{sent:?}");
        assert_eq!((sent.lost, seen), (sent.frames / u64::from(BATCH) - 2, sent.frames));
    }
}
