//! The chain: each record names the SHA-256 of the one before it.
//!
//! What a chain without a secret shows: a record that was changed, taken out, put in or moved. What it
//! cannot show by itself: an end that was cut off, or a chain written anew from some record on. Both
//! show against an anchor that was kept elsewhere, such as the last record that a collector has. Seals
//! ([`crate::seal`]) hold the last record, too, and what was written anew by who came later.
//!
//! What a collector got may hold records twice, since a device sends again what may not have arrived,
//! and may lack what the device had to drop: those are listed, not refused.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, Read as _};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::MAX_RECORD;
use crate::record::{Event, Malformed, is_hash};
use crate::seal::{SealKey, Unsealed};

/// Records that a collector may get once more; a device sends far fewer in one connection.
const MAX_REPEATS: usize = 10_000;
/// Most gaps that are listed one by one.
const MAX_GAPS: usize = 1_000;

/// A record that somebody else knows: its number and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Anchor {
    /// Its number.
    pub seq: u64,
    /// SHA-256 of its line without the line feed.
    pub hash: String,
}

impl std::str::FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash)));
        match parsed {
            Some((seq, hash)) if seq > 0 && is_hash(hash) => Ok(Self { seq, hash: hash.to_owned() }),
            _ => Err("expected a record's number and SHA-256, as in `12:<64 hexadecimal digits>`".to_owned()),
        }
    }
}

/// What a whole chain holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// How many records were read.
    pub records: u64,
    /// Number of the first; 0 when there is none.
    pub first: u64,
    /// The last record, to be kept elsewhere and asked for the next time.
    pub last: Option<Anchor>,
    /// How many of each type.
    pub types: BTreeMap<String, u64>,
    /// Numbers of records in which the device itself says that events were lost or dropped.
    pub losses: Vec<u64>,
    /// First record whose seal was verified, with a key.
    pub sealed_from: Option<u64>,
    /// Records that a collector got more than once.
    pub repeats: u64,
    /// First and last number of what a collector never got, its beginning among it.
    pub gaps: Vec<(u64, u64)>,
    /// Those of them that no later record of the device explains.
    pub unexplained: Vec<(u64, u64)>,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The line is no record.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The line does not end.
    #[error("the record is longer than {MAX_RECORD} bytes")]
    Long,
    /// The file ends within a record.
    #[error("the file ends within this record: it was cut off")]
    Torn,
    /// Records are missing.
    #[error("expected record {expected}, found {found}: {}", gap(*expected, *found))]
    Sequence {
        /// The number that had to come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The record before is not the one that this one was chained to.
    #[error("record {changed} is not the one that record {} was chained to: one of them was changed", changed + 1)]
    Chain {
        /// The record before.
        changed: u64,
    },
    /// The first record says that it has none before it, and is not number 1, or the other way round.
    #[error("the first record has a `prev` that only record 1 may have, or record 1 has another")]
    Beginning,
    /// The seal does not hold.
    #[error("record {0}: {1}")]
    Seal(u64, Unsealed),
    /// No record was sealed, though there is a key.
    #[error("no record is sealed: expected at least one, since the device was given a key")]
    NoSeal,
    /// A collector got two records of one number.
    #[error("record {0} is there twice, with different content")]
    Differs(u64),
    /// More is missing than can be listed.
    #[error("more than {MAX_GAPS} times records are missing")]
    Gaps,
    /// The record that is known from elsewhere is another one here.
    #[error("record {0} is not the one that is known from elsewhere")]
    Anchor(u64),
    /// The records end before the one that is known from elsewhere, or begin after it.
    #[error("record {0}, known from elsewhere, is not here: the records were cut off")]
    Missing(u64),
}

fn gap(expected: u64, found: u64) -> String {
    if found > expected {
        format!("{} records are missing", found - expected)
    } else {
        "a record is there twice, or was moved".to_owned()
    }
}

/// How a line's message begins; an empty file has none.
fn of_line(line: u64) -> String {
    if line == 0 { String::new() } else { format!("line {line} of ") }
}

/// The first record that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A record is wrong.
    #[error("{}`{name}`: {wrong}", of_line(*line))]
    Record {
        /// The file.
        name: String,
        /// Line from 1 on; the last one when the end is missing, 0 when the file has none.
        line: u64,
        /// What is wrong.
        wrong: Wrong,
    },
    /// The file cannot be read.
    #[error("cannot read `{name}`: {source}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// Follows the chain over files, the oldest first.
#[derive(Debug, Default)]
pub struct Verifier {
    chain: Chain,
    anchor: Option<Anchor>,
    key: Option<SealKey>,
    /// With a key: the first record that has to be sealed.
    seals_begin: u64,
    /// The record that a collector's files begin with, as somebody says; 0: nobody does.
    begins: u64,
    /// Hashes of the last records, the newest last: at a collector only.
    seen: Option<VecDeque<String>>,
    /// What the device says that it dropped before a collector had it.
    told: Vec<(u64, u64)>,
    met: bool,
    name: String,
    line: u64,
}

impl Verifier {
    /// A verifier; `anchor` is a record that the files must hold.
    #[must_use]
    pub fn new(anchor: Option<Anchor>) -> Self {
        Self { anchor, ..Self::default() }
    }

    /// With the key that the device was given before its first record: every record has to be sealed. Whoever rewrites
    /// the past would else leave its seals away.
    #[must_use]
    pub fn sealed(self, key: Option<SealKey>) -> Self {
        Self { key, ..self }
    }

    /// For a device that was given its key later: records before this one may be without a seal, and nothing but the
    /// chain holds them.
    #[must_use]
    pub fn seals_begin(self, seq: u64) -> Self {
        Self { seals_begin: seq, ..self }
    }

    /// For what a collector got: repeats are counted, gaps listed.
    #[must_use]
    pub fn collected(self) -> Self {
        Self { seen: Some(VecDeque::new()), ..self }
    }

    /// The collector's files begin with this record, and whoever asks knows why. Otherwise what is before their first one is
    /// missing, unless that one is known from elsewhere.
    #[must_use]
    pub fn begins(self, seq: u64) -> Self {
        Self { begins: seq, ..self }
    }

    /// Reads the next file.
    ///
    /// # Errors
    /// The first record that is wrong, or that the file cannot be read.
    pub fn read(&mut self, name: &str, mut input: impl BufRead) -> Result<(), Broken> {
        name.clone_into(&mut self.name);
        self.line = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let limit = MAX_RECORD as u64 + 1;
            let read = input.by_ref().take(limit).read_until(b'\n', &mut line);
            let read = read.map_err(|source| Broken::Read { name: name.to_owned(), source })?;
            if read == 0 {
                return Ok(());
            }
            self.line += 1;
            let whole = line.pop_if(|last| *last == b'\n').is_some();
            let result = match (whole, line.len() > MAX_RECORD) {
                (_, true) => Err(Wrong::Long),
                (false, _) => Err(Wrong::Torn),
                (true, false) => self.take(&line),
            };
            result.map_err(|wrong| self.broken(wrong))?;
        }
    }

    /// Ends the chain.
    ///
    /// # Errors
    /// The record that is known from elsewhere was not met.
    pub fn finish(mut self) -> Result<Chain, Broken> {
        let gaps = self.chain.gaps.iter().copied();
        self.chain.unexplained = gaps.filter(|gap| !explained(*gap, &self.told)).collect();
        match &self.anchor {
            Some(anchor) if !self.met => Err(self.broken(Wrong::Missing(anchor.seq))),
            _ if self.key.is_some() && self.chain.sealed_from.is_none() => Err(self.broken(Wrong::NoSeal)),
            _ => Ok(self.chain),
        }
    }

    fn broken(&self, wrong: Wrong) -> Broken {
        Broken::Record { name: self.name.clone(), line: self.line, wrong }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Wrong> {
        let event = Event::parse(line)?;
        let hash: String = Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect();
        match &self.chain.last {
            Some(last) => {
                let expected = last.seq.saturating_add(1);
                if let Some(seen) = self.seen.as_ref().filter(|_| event.seq < expected) {
                    let back = usize::try_from(expected - event.seq).unwrap_or(usize::MAX);
                    let known = seen.len().checked_sub(back).and_then(|at| seen.get(at));
                    if known != Some(&hash) {
                        return Err(Wrong::Differs(event.seq));
                    }
                    self.chain.repeats += 1;
                    return Ok(());
                }
                if event.seq != expected {
                    let Some(seen) = &mut self.seen else {
                        return Err(Wrong::Sequence { expected, found: event.seq });
                    };
                    if self.chain.gaps.len() == MAX_GAPS {
                        return Err(Wrong::Gaps);
                    }
                    // What comes again is behind the gap.
                    seen.clear();
                    self.chain.gaps.push((expected, event.seq - 1));
                } else if event.prev != last.hash {
                    return Err(Wrong::Chain { changed: last.seq });
                }
            }
            None => {
                let none_before = event.prev.bytes().all(|b| b == b'0');
                if event.seq == 0 || none_before != (event.seq == 1) {
                    return Err(Wrong::Beginning);
                }
                self.chain.first = event.seq;
                let known = self.anchor.as_ref().is_some_and(|anchor| anchor.seq == event.seq);
                let begin = self.begins.max(1);
                if self.seen.is_some() && !known && begin < event.seq {
                    self.chain.gaps.push((begin, event.seq - 1));
                }
            }
        }
        if let Some(key) = &mut self.key
            && (event.seal.is_some() || self.chain.sealed_from.is_some() || event.seq >= self.seals_begin)
        {
            if event.seal.is_none() && self.chain.sealed_from.is_none() {
                return Err(Wrong::Seal(event.seq, Unsealed::Never));
            }
            key.check(event.seq, line).map_err(|why| Wrong::Seal(event.seq, why))?;
            self.chain.sealed_from.get_or_insert(event.seq);
        }
        if let Some(seen) = &mut self.seen {
            if seen.len() == MAX_REPEATS {
                seen.pop_front();
            }
            seen.push_back(hash.clone());
        }
        if let Some(anchor) = self.anchor.as_ref().filter(|anchor| anchor.seq == event.seq) {
            if anchor.hash != hash {
                return Err(Wrong::Anchor(event.seq));
            }
            self.met = true;
        }
        if matches!(event.r#type.as_str(), "log.lost" | "log.dropped" | "log.unforwarded") {
            self.chain.losses.push(event.seq);
        }
        if event.r#type == "log.unforwarded" && self.told.len() < MAX_GAPS {
            self.told.extend(dropped(&event.message));
        }
        *self.chain.types.entry(event.r#type).or_default() += 1;
        self.chain.records += 1;
        self.chain.last = Some(Anchor { seq: event.seq, hash });
        Ok(())
    }
}

/// The numbers in `records 19 to 25 were dropped before the collector had them`.
fn dropped(message: &str) -> Option<(u64, u64)> {
    let (from, rest) = message.strip_prefix("records ")?.split_once(" to ")?;
    let (to, rest) = rest.split_once(' ')?;
    rest.starts_with("were dropped").then_some((from.parse().ok()?, to.parse().ok()?))
}

/// Whether every number of a gap is in one of the ranges.
fn explained((from, to): (u64, u64), told: &[(u64, u64)]) -> bool {
    let mut at = from;
    while at <= to {
        match told.iter().find(|(from, to)| (*from..=*to).contains(&at)) {
            Some((_, end)) => at = end.saturating_add(1),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
