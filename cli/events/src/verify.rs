//! The chain: each record names the SHA-256 of the one before it.
//!
//! What a chain without a secret shows: a record that was changed, taken out, put in or moved. What it
//! cannot show by itself: an end that was cut off, or a chain written anew from some record on. Both
//! show against an anchor that was kept elsewhere, such as the last record that a collector has.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::MAX_RECORD;
use crate::record::{Event, Malformed, is_hash};

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

/// The first record that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A record is wrong.
    #[error("line {line} of `{name}`: {wrong}")]
    Record {
        /// The file.
        name: String,
        /// Line from 1 on; the last one when the end is missing.
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
    pub fn finish(self) -> Result<Chain, Broken> {
        match &self.anchor {
            Some(anchor) if !self.met => Err(self.broken(Wrong::Missing(anchor.seq))),
            _ => Ok(self.chain),
        }
    }

    fn broken(&self, wrong: Wrong) -> Broken {
        Broken::Record { name: self.name.clone(), line: self.line, wrong }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Wrong> {
        let event = Event::parse(line)?;
        match &self.chain.last {
            Some(last) => {
                let expected = last.seq.saturating_add(1);
                if event.seq != expected {
                    return Err(Wrong::Sequence { expected, found: event.seq });
                }
                if event.prev != last.hash {
                    return Err(Wrong::Chain { changed: last.seq });
                }
            }
            None => {
                let none_before = event.prev.bytes().all(|b| b == b'0');
                if event.seq == 0 || none_before != (event.seq == 1) {
                    return Err(Wrong::Beginning);
                }
                self.chain.first = event.seq;
            }
        }
        let hash: String = Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect();
        if let Some(anchor) = self.anchor.as_ref().filter(|anchor| anchor.seq == event.seq) {
            if anchor.hash != hash {
                return Err(Wrong::Anchor(event.seq));
            }
            self.met = true;
        }
        if matches!(event.r#type.as_str(), "log.lost" | "log.dropped") {
            self.chain.losses.push(event.seq);
        }
        *self.chain.types.entry(event.r#type).or_default() += 1;
        self.chain.records += 1;
        self.chain.last = Some(Anchor { seq: event.seq, hash });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    /// Records as a device writes them.
    fn lines(count: u64) -> Vec<String> {
        let mut prev = NONE.to_owned();
        (1..=count)
            .map(|seq| {
                let kind = if seq == 3 { "log.lost" } else { "ssh.login" };
                let line = format!(
                    r#"{{"seq":{seq},"prev":"{prev}","clock":"synchronised","time":"2026-01-31T12:00:00Z","host":"gw","component":"sshd","type":"{kind}","subject":"maintenance","outcome":"success","message":"n {seq}"}}"#
                );
                prev = Sha256::digest(&line).iter().map(|byte| format!("{byte:02x}")).collect();
                line
            })
            .collect()
    }

    fn verify(lines: &[String], anchor: Option<Anchor>) -> Result<Chain, String> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let mut verifier = Verifier::new(anchor);
        verifier.read("events.jsonl", text.as_bytes()).map_err(|e| e.to_string())?;
        verifier.finish().map_err(|e| e.to_string())
    }

    fn broken(lines: &[String]) -> String {
        verify(lines, None).unwrap_err()
    }

    #[test]
    fn a_whole_chain_is_counted() {
        let chain = verify(&lines(5), None).unwrap();
        assert_eq!((chain.records, chain.first, chain.last.unwrap().seq), (5, 1, 5));
        assert_eq!(chain.losses, [3]);
        assert_eq!(chain.types["ssh.login"], 4);
    }

    #[test]
    fn a_chain_goes_on_over_files_and_may_begin_later() {
        let all = lines(6);
        let mut verifier = Verifier::new(None);
        verifier.read("events.jsonl.1", format!("{}\n{}\n", all[2], all[3]).as_bytes()).unwrap();
        verifier.read("events.jsonl", format!("{}\n{}\n", all[4], all[5]).as_bytes()).unwrap();
        assert_eq!(verifier.finish().unwrap().first, 3);
    }

    #[test]
    fn a_changed_record_is_named() {
        let mut changed = lines(5);
        changed[1] = changed[1].replace("maintenance", "nobody");
        let message = broken(&changed);
        assert!(
            message.contains("line 3 of `events.jsonl`: record 2 is not the one that record 3"),
            "{message}"
        );
    }

    #[test]
    fn a_gap_a_double_and_a_move_are_named() {
        let mut cut = lines(5);
        cut.drain(1..3);
        assert!(broken(&cut).contains("expected record 2, found 4: 2 records are missing"));
        let mut twice = lines(3);
        twice.insert(1, twice[0].clone());
        assert!(broken(&twice).contains("expected record 2, found 1: a record is there twice"));
    }

    #[test]
    fn a_false_beginning_is_named() {
        let mut late = lines(3);
        let first = late[0].clone();
        late.truncate(1);
        late[0] = first.replace("\"seq\":1", "\"seq\":7");
        assert!(broken(&late).contains("only record 1 may have"));
        late[0] = first.replace(NONE, &NONE.replace('0', "a"));
        assert!(broken(&late).contains("only record 1 may have"));
    }

    #[test]
    fn an_end_within_a_record_and_an_endless_one_are_named() {
        let text = lines(2).join("\n");
        let error = Verifier::new(None).read("f", text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("line 2 of `f`: the file ends within this record"));
        let endless = vec![b'x'; MAX_RECORD * 2];
        let error = Verifier::new(None).read("f", endless.as_slice()).unwrap_err();
        assert!(error.to_string().contains("longer than 65536 bytes"));
    }

    #[test]
    fn a_cut_end_and_a_chain_written_anew_show_against_an_anchor() {
        let all = lines(5);
        let known = verify(&all, None).unwrap().last;
        assert!(verify(&all, known.clone()).is_ok());
        assert!(
            verify(&all[..4], known.clone())
                .unwrap_err()
                .contains("record 5, known from elsewhere, is not here")
        );
        let mut anew = all;
        anew[4] = anew[4].replace("n 5", "n 6");
        assert!(verify(&anew, None).is_ok());
        assert!(verify(&anew, known).unwrap_err().contains("record 5 is not the one"));
        assert!("5:zz".parse::<Anchor>().unwrap_err().contains("number and SHA-256"));
    }

    #[test]
    fn what_is_no_text_is_refused_without_a_panic() {
        let error = Verifier::new(None).read("f", b"\xff\xfe\n".as_slice()).unwrap_err();
        assert!(error.to_string().contains("expected one JSON object"));
    }
}
