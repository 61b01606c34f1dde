//! JSON Schema of a record, for collectors that read them.

use serde_json::{Value, json};

use crate::MAX_RECORD;

/// The schema of [`crate::Event`]: of one line, which is a document of its own (JSON Lines). Number, link and seal are
/// judged by [`crate::Verifier`], along the records.
#[must_use]
pub fn event() -> Value {
    let fact = |words: &str| json!({"type": "string", "pattern": "\\S", "description": words});
    let hash = |words: &str| json!({"type": "string", "pattern": "^[0-9a-f]{64}$", "description": words});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fastness record of a security event",
        "description": format!("One line of events.jsonl, at most {MAX_RECORD} bytes"),
        "type": "object",
        "properties": {
            "seq": {"type": "integer", "minimum": 0, "maximum": u64::MAX, "description": "One more than that of the record before, from 1 on"},
            "prev": hash("SHA-256 of the line before, without its line feed; 64 zeros in record 1"),
            "clock": {"enum": ["synchronised", "unsynchronised"], "description": "State of the time source"},
            "time": {
                "type": "string",
                "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\\.[0-9]{1,9})?Z$",
                "description": "When, in UTC (RFC 3339)",
            },
            "host": fact("Where: the name of the host"),
            "component": fact("Where: the program"),
            "type": fact("What type, such as `ssh.login`"),
            "subject": fact("Who or what did it"),
            "outcome": {"enum": ["success", "failure", "unknown"], "description": "How it ended"},
            "message": {"type": "string", "description": "The source's own words"},
            "seal": hash("The seal, where the device has a key for it"),
        },
        "required": ["seq", "prev", "clock", "time", "host", "component", "type", "subject", "outcome", "message"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn record() -> Value {
        json!({
            "seq": 1, "prev": HASH, "clock": "synchronised", "time": "2026-01-31T12:00:00.5Z", "host": "gw",
            "component": "sshd", "type": "ssh.login", "subject": "maintenance", "outcome": "failure",
            "message": "", "seal": HASH,
        })
    }

    fn read(record: &Value) -> bool {
        Event::parse(record.to_string().as_bytes()).is_ok()
    }

    #[test]
    fn the_schema_has_the_members_and_the_words_that_are_read() {
        let schema = event();
        let properties = schema["properties"].as_object().unwrap();
        assert!(read(&record()));
        let names: Vec<&String> = properties.keys().collect();
        assert_eq!(names, record().as_object().unwrap().keys().collect::<Vec<_>>());
        for name in properties.keys() {
            let mut without = record();
            without.as_object_mut().unwrap().remove(name);
            let required = schema["required"].as_array().unwrap().iter().any(|known| known == name.as_str());
            assert_eq!(read(&without), !required, "{name}");
        }
        let mut more = record();
        more["other"] = json!(1);
        assert_eq!(read(&more), schema["additionalProperties"] != json!(false));
        for name in ["clock", "outcome"] {
            let words = properties[name]["enum"].as_array().unwrap();
            for word in words.iter().chain([&json!("other")]) {
                let mut said = record();
                said[name] = word.clone();
                assert_eq!(read(&said), words.contains(word), "{name}: {word}");
            }
        }
    }
}
