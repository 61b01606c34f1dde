//! A tap on one of the device's networks: frames that QEMU passes on to the device as if a neighbour had sent them,
//! and a copy of each frame that the device sends.
//!
//! Both are streams in which each frame has its length in front, as QEMU's `filter-redirector` and `filter-mirror`
//! write them. The network itself stays as it is: whoever else is on it sees nothing of what comes through the tap.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::frame::{self, Heard};

/// Longest frame that is read; a longer one is no frame, and the stream is not what we think it is.
const FRAME: u32 = 68 * 1024;
/// How long QEMU may take no byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whose answers are counted: the device's and the address that asks.
type Pair = (Ipv4Addr, Ipv4Addr);

#[derive(Debug, Default)]
struct State {
    pair: Option<Pair>,
    answers: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tap. What the device sends is read as long as it exists: QEMU waits for whoever reads it.
#[derive(Debug)]
pub struct Tap {
    to: UnixStream,
    from: UnixStream,
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

impl Tap {
    /// On the streams to the device and from it.
    ///
    /// # Errors
    /// When a stream cannot be read by a thread of its own.
    pub fn start(to: UnixStream, from: UnixStream) -> io::Result<Self> {
        to.set_write_timeout(Some(PATIENCE))?;
        let shared = Arc::new(Shared::default());
        let (input, theirs) = (from.try_clone()?, Arc::clone(&shared));
        let reader =
            std::thread::Builder::new().name("tap".to_owned()).spawn(move || read_all(input, &theirs))?;
        Ok(Self { to, from, shared, reader: Some(reader) })
    }

    /// Hands frames over.
    ///
    /// # Errors
    /// When QEMU does not take them.
    pub fn send(&mut self, frames: &[Vec<u8>]) -> io::Result<()> {
        let mut out = Vec::with_capacity(frames.iter().map(|frame| frame.len() + 4).sum());
        for frame in frames {
            out.extend(u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend(frame);
        }
        self.to.write_all(&out)
    }

    /// From now on the ARP answers of `device` to `helper` are counted.
    pub fn count(&mut self, device: Ipv4Addr, helper: Ipv4Addr) {
        let mut state = self.shared.lock();
        (state.pair, state.answers) = (Some((device, helper)), 0);
    }

    /// Waits until there are as many answers as that, at most for a time; how many there are.
    #[must_use]
    pub fn answers(&self, wanted: u64, time: Duration) -> u64 {
        let deadline = Instant::now() + time;
        let mut state = self.shared.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.answers >= wanted || state.closed || left.is_zero() {
                return state.answers;
            }
            let woken = self.shared.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.to.shutdown(std::net::Shutdown::Both);
        let _ = self.from.shutdown(std::net::Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn read_all(mut input: UnixStream, shared: &Shared) {
    let mut buffer = Vec::new();
    while let Ok(true) = read(&mut input, &mut buffer) {
        // What the device sends is hostile; of all that can be read only an ARP answer counts.
        let Heard::Arp { operation: 2, sender, target } = frame::read(&buffer) else { continue };
        let mut state = shared.lock();
        if state.pair == Some((sender, target)) {
            state.answers += 1;
            drop(state);
            shared.changed.notify_all();
        }
    }
    shared.lock().closed = true;
    shared.changed.notify_all();
}

/// The next frame; `false`: this is no stream of frames.
pub(crate) fn read(input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0_u8; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > FRAME {
        return Ok(false);
    }
    buffer.resize(usize::try_from(length).unwrap_or_default(), 0);
    input.read_exact(buffer)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const HELPER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 14);

    fn framed(frame: &[u8]) -> Vec<u8> {
        [&u32::try_from(frame.len()).expect("a short frame").to_be_bytes()[..], frame].concat()
    }

    #[test]
    fn frames_have_their_length_in_front_and_answers_are_counted() {
        let ((to, mut device_in), (from, mut device_out)) =
            (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        let mut tap = Tap::start(to, from).unwrap();
        tap.send(&[vec![1, 2, 3], vec![4]]).unwrap();
        let mut got = [0_u8; 12];
        device_in.read_exact(&mut got).unwrap();
        assert_eq!(got, [0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 1, 4]);

        tap.count(DEVICE, HELPER);
        let answer = |from, to| framed(&frame::arp(2, ([2; 6], from), ([6; 6], to)));
        // Another's answer, a question, and no frame at all count for nothing.
        device_out.write_all(&answer(HELPER, DEVICE)).unwrap();
        device_out.write_all(&framed(&frame::arp(1, ([2; 6], DEVICE), ([0; 6], HELPER)))).unwrap();
        device_out.write_all(&framed(&[0; 3])).unwrap();
        device_out.write_all(&answer(DEVICE, HELPER)).unwrap();
        assert_eq!(tap.answers(1, Duration::from_secs(20)), 1);
        assert_eq!(tap.answers(2, Duration::from_millis(50)), 1);
        device_out.write_all(&answer(DEVICE, HELPER)).unwrap();
        assert_eq!(tap.answers(2, Duration::from_secs(20)), 2);
        tap.count(DEVICE, HELPER);
        assert_eq!(tap.answers(0, Duration::ZERO), 0);
    }

    #[test]
    fn a_stream_that_is_none_of_frames_or_that_ends_keeps_nobody_waiting() {
        for bytes in [&[0xff_u8; 8][..], &[0, 0, 0, 9, 1], &[]] {
            let ((to, _in), (from, mut out)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
            let tap = Tap::start(to, from).unwrap();
            out.write_all(bytes).unwrap();
            drop(out);
            let started = Instant::now();
            assert_eq!(tap.answers(1, Duration::from_secs(60)), 0);
            assert!(started.elapsed() < Duration::from_secs(30));
        }
    }
}
