//! One record: its members, and what each may hold.

use std::fmt;

use serde::{Deserialize, Serialize};

/// State of the time source when the event was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The clock follows a source.
    Synchronised,
    /// The clock runs on its own.
    Unsynchronised,
}

impl fmt::Display for Clock {
    /// The word of the record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Synchronised => "synchronised",
            Self::Unsynchronised => "unsynchronised",
        })
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused, or failed.
    Failure,
    /// The source does not say.
    Unknown,
}

impl fmt::Display for Outcome {
    /// The word of the record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Unknown => "unknown",
        })
    }
}

/// One event: the five facts of IEC 62443-4-2 CR 2.8, a number, and the link to the record before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Sequence number: one more than that of the record before, from 1 on.
    pub seq: u64,
    /// SHA-256 of the record before as it was written, without its line feed, in lower-case hexadecimal.
    pub prev: String,
    /// State of the time source.
    pub clock: Clock,
    /// When, in UTC (RFC 3339, with `Z`).
    pub time: String,
    /// Where: name of the host.
    pub host: String,
    /// Where: the program.
    pub component: String,
    /// What type, such as `ssh.login`.
    pub r#type: String,
    /// Who or what did it.
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The source's own words.
    pub message: String,
    /// The seal, where the device has a key for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not the JSON object that it must be.
    #[error("expected one JSON object with the members of a record: {0}")]
    Json(String),
    /// A fact is missing: its member is empty.
    #[error("expected a value in `{0}`, found none")]
    Empty(&'static str),
    /// Not a time in UTC.
    #[error("expected a time in UTC such as `2026-01-31T12:00:00Z`, found `{0}`")]
    Time(String),
    /// Not a SHA-256.
    #[error("expected 64 lower-case hexadecimal digits in `prev` and `seal`")]
    Hash,
}

impl Event {
    /// Reads one line, without its line feed.
    ///
    /// # Errors
    /// It is not one object with exactly these members, a fact is empty, the time is not in UTC
    /// or `prev` is no SHA-256.
    pub fn parse(line: &[u8]) -> Result<Self, Malformed> {
        let event: Self = serde_json::from_slice(line).map_err(|e| Malformed::Json(e.to_string()))?;
        let facts = [
            ("host", &event.host),
            ("component", &event.component),
            ("type", &event.r#type),
            ("subject", &event.subject),
        ];
        if let Some((name, _)) = facts.iter().find(|(_, value)| value.trim().is_empty()) {
            return Err(Malformed::Empty(name));
        }
        if !is_utc(&event.time) {
            return Err(Malformed::Time(event.time));
        }
        if !is_hash(&event.prev) || event.seal.as_deref().is_some_and(|seal| !is_hash(seal)) {
            return Err(Malformed::Hash);
        }
        Ok(event)
    }
}

/// Whether it is a SHA-256 in lower-case hexadecimal.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// RFC 3339, section 5.6, with `Z` and up to nine digits of a second. Days are not counted by month.
fn is_utc(text: &str) -> bool {
    let Some((whole, fraction)) =
        text.strip_suffix('Z').map(|rest| rest.split_once('.').unwrap_or((rest, "0")))
    else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let shape = b"0000-00-00T00:00:00";
    let shaped = whole.len() == shape.len()
        && whole.bytes().zip(shape).all(|(b, s)| if *s == b'0' { b.is_ascii_digit() } else { b == *s });
    if !shaped || !digits(fraction) || fraction.len() > 9 {
        return false;
    }
    let part =
        |from: usize| whole.get(from..from + 2).and_then(|two| two.parse::<u8>().ok()).unwrap_or(u8::MAX);
    (1..=12).contains(&part(5))
        && (1..=31).contains(&part(8))
        && part(11) < 24
        && part(14) < 60
        && part(17) <= 60
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"seq":1,"prev":"0000000000000000000000000000000000000000000000000000000000000000","clock":"unsynchronised","time":"2026-01-31T12:00:00.25Z","host":"gw","component":"sshd","type":"ssh.login","subject":"maintenance","outcome":"failure","message":"no"}"#;

    fn refused(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        Event::parse(GOOD.replace(from, to).as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_record_has_its_facts() {
        let event = Event::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((event.seq, event.outcome, event.clock), (1, Outcome::Failure, Clock::Unsynchronised));
    }

    #[test]
    fn what_is_missing_doubled_or_unknown_is_refused() {
        assert!(refused(r#""outcome":"failure","#, "").contains("missing field `outcome`"));
        assert!(refused(r#""seq":1,"#, r#""seq":1,"seq":2,"#).contains("duplicate field `seq`"));
        assert!(refused(r#""seq":1,"#, r#""seq":1,"x":2,"#).contains("unknown field `x`"));
        assert!(refused(r#""failure""#, r#""maybe""#).contains("unknown variant `maybe`"));
        assert!(refused(r#""maintenance""#, r#""  ""#).contains("expected a value in `subject`"));
        assert!(refused("00000000\"", "0000000G\"").contains("64 lower-case hexadecimal digits"));
    }

    #[test]
    fn only_utc_is_a_time() {
        for wrong in [
            "2026-01-31T12:00:00+01:00",
            "2026-13-31T12:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00.Z",
            "é026-01-31T12:00:0Z",
        ] {
            assert!(refused("2026-01-31T12:00:00.25Z", wrong).contains("expected a time in UTC"), "{wrong}");
        }
    }

    #[test]
    fn what_is_told_is_the_word_of_the_record() {
        let word = |text: String| format!("\"{text}\"");
        for clock in [Clock::Synchronised, Clock::Unsynchronised] {
            assert_eq!(serde_json::to_string(&clock).unwrap(), word(clock.to_string()));
        }
        for outcome in [Outcome::Success, Outcome::Failure, Outcome::Unknown] {
            assert_eq!(serde_json::to_string(&outcome).unwrap(), word(outcome.to_string()));
        }
    }
}
