//! A time server of a test: it tells the test's clock, which need not be the host's.
//!
//! Source: RFC 5905, 6 (timestamps), 7.3 (header), 9.2 (what a server answers).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds from 1900, where NTP begins to count, to 1970 (RFC 5905, 6, figure 4).
const TO_1970: u64 = 2_208_988_800;
/// Bytes of a header without extensions.
const HEADER: usize = 48;
/// Who asks, and who answers: the association modes.
const CLIENT: u8 = 3;
const SERVER: u8 = 4;
/// It has a reference clock of its own: nothing else of a test's network is above it.
const PRIMARY: u8 = 1;
/// Of the clock that is told, as a power of two of a second: about a microsecond.
const PRECISION: i8 = -20;

/// The server. Until it has a clock it says nothing, as one that is away.
#[derive(Debug, Default)]
pub struct TimeServer {
    clock: Mutex<Option<(Instant, Duration)>>,
}

impl TimeServer {
    /// It has this clock from now on: at `at` the time since 1970 was `since_1970`.
    pub fn tell(&self, at: Instant, since_1970: Duration) {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, since_1970));
    }

    /// It is away from now on.
    pub fn leave(&self) {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What it says to a datagram; nothing to what is no client's question.
    #[must_use]
    pub fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (at, then) = (*self.clock.lock().unwrap_or_else(PoisonError::into_inner))?;
        answer(question, then + at.elapsed())
    }
}

/// Seconds since 1900 with 32 bits behind the point. The count begins again in 2036 (RFC 5905, 6).
fn timestamp(since_1970: Duration) -> [u8; 8] {
    let era = (since_1970.as_secs() + TO_1970) & u64::from(u32::MAX);
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    (era << 32 | fraction).to_be_bytes()
}

fn answer(question: &[u8], since_1970: Duration) -> Option<Vec<u8>> {
    let header = question.get(..HEADER)?;
    let (version, mode) = (header[0] >> 3 & 7, header[0] & 7);
    if mode != CLIENT || !(3..=4).contains(&version) {
        return None;
    }
    let now = timestamp(since_1970);
    let mut out = vec![version << 3 | SERVER, PRIMARY, header[2], PRECISION.to_be_bytes()[0]];
    // Root delay and dispersion: none.
    out.extend([0; 8]);
    out.extend(b"TEST");
    // When its clock was set; when the client asked, by its own clock; when that came and when this goes.
    let asked = &header[40..48];
    [&now[..], asked, &now, &now].iter().for_each(|time| out.extend_from_slice(time));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20.25Z.
    const NOW: Duration = Duration::from_millis(1_700_000_000_250);

    fn question(first: u8) -> Vec<u8> {
        let mut out = vec![first, 0, 6, 0xe9];
        out.resize(40, 0);
        out.extend(*b"whenever");
        out
    }

    #[test]
    fn a_client_s_question_gets_the_time_with_its_own_time_beside_it() {
        let said = answer(&question(0x23), NOW).unwrap();
        assert_eq!(said.len(), HEADER);
        // No leap second is announced, version 4, server; primary; the poll interval that was asked with.
        assert_eq!(said[..4], [0x24, 1, 6, 0xec]);
        assert_eq!(&said[12..16], b"TEST");
        let seconds = 1_700_000_000_u32 + 2_208_988_800;
        let now = [&seconds.to_be_bytes()[..], &[0x40, 0, 0, 0]].concat();
        assert_eq!(said[16..24], now);
        assert_eq!(&said[24..32], b"whenever");
        assert_eq!((&said[32..40], &said[40..48]), (&now[..], &now[..]));
        // Version 3 is answered as it asked; what follows the header is not looked at.
        assert_eq!(answer(&[&question(0x1b)[..], b"more"].concat(), NOW).unwrap()[0], 0x1c);
    }

    #[test]
    fn what_is_no_client_s_question_gets_nothing() {
        for first in [0x24, 0x25, 0x0b, 0x13, 0x2b, 0x3b, 0] {
            assert_eq!(answer(&question(first), NOW), None, "{first:#x}");
        }
        assert_eq!(answer(&question(0x23)[..47], NOW), None);
        assert_eq!(answer(&[], NOW), None);
    }

    #[test]
    fn the_count_begins_again_in_2036() {
        // RFC 5905, figure 4: the first day of era 1 is 7 February 2036.
        assert_eq!(timestamp(Duration::from_secs(2_085_978_496)), [0; 8]);
        assert_eq!(timestamp(Duration::from_secs(2_085_978_495)), [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    }

    #[test]
    fn a_server_that_is_away_says_nothing() {
        let server = TimeServer::default();
        assert_eq!(server.answer(&question(0x23)), None);
        server.tell(Instant::now(), NOW);
        let said = server.answer(&question(0x23)).unwrap();
        assert!(said[40..48] >= timestamp(NOW)[..], "{said:?}");
        server.leave();
        assert_eq!(server.answer(&question(0x23)), None);
    }
}
