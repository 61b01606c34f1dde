//! A minimal QMP client: QEMU's own account of what the machine does.
//!
//! Source: QEMU `docs/interop/qmp-spec.rst`: a greeting, `qmp_capabilities`, then commands with an
//! `id`, replies and events, one JSON object a line. A QEMU that does not answer in time is a broken
//! harness, never a result.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use diag::{ExitStatus, Failure, Outcome};
use serde_json::{Value, json};

/// Longest message that is read.
const MAX_MESSAGE: usize = 1 << 20;
/// Events that are kept.
const MAX_EVENTS: usize = 256;

/// Something that QEMU reported by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Name, such as `SHUTDOWN`, `RESET`, `GUEST_PANICKED`.
    pub name: String,
    /// Microseconds since the Unix epoch on the host's clock.
    pub micros: u64,
    /// What it says.
    pub data: Value,
}

/// A connection to one QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    pending: Vec<u8>,
    events: Vec<Event>,
    next_id: u64,
    limit: Duration,
}

impl Qmp {
    /// Reads the greeting and leaves negotiation mode; every later answer must come within `limit`.
    ///
    /// # Errors
    /// When the other side is no QMP server or does not answer in time.
    pub fn connect(stream: UnixStream, limit: Duration) -> Outcome<Self> {
        let mut qmp = Self { stream, pending: Vec::new(), events: Vec::new(), next_id: 0, limit };
        let greeting = qmp.message(Instant::now() + limit)?;
        if greeting.get("QMP").is_none() {
            return Err(broken(&format!("expected QEMU's greeting, found `{}`", short(&greeting))));
        }
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Executes a command without arguments and returns what it answers.
    ///
    /// # Errors
    /// When QEMU refuses it, is gone, or does not answer in time.
    pub fn execute(&mut self, command: &str) -> Outcome<Value> {
        self.next_id += 1;
        let id = self.next_id;
        let text = json!({"execute": command, "id": id}).to_string() + "\n";
        self.stream
            .write_all(text.as_bytes())
            .map_err(|e| broken(&format!("`{command}` could not be sent: {e}")))?;
        let deadline = Instant::now() + self.limit;
        loop {
            let message = self.message(deadline)?;
            if self.keep_event(&message) || message.get("id").and_then(Value::as_u64) != Some(id) {
                continue;
            }
            if let Some(answer) = message.get("return") {
                return Ok(answer.clone());
            }
            return Err(broken(&format!("QEMU refused `{command}`: `{}`", short(&message))));
        }
    }

    /// `running`, `shutdown`, `guest-panicked`…: the status of `query-status`.
    ///
    /// # Errors
    /// As [`Qmp::execute`].
    pub fn status(&mut self) -> Outcome<String> {
        let answer = self.execute("query-status")?;
        let status = answer.get("status").and_then(Value::as_str).map(str::to_owned);
        status.ok_or_else(|| broken(&format!("expected a status, found `{}`", short(&answer))))
    }

    /// Asks QEMU to end. It may be gone before it answers, and that is what was asked for.
    pub fn quit(&mut self) {
        let _ = self.execute("quit");
    }

    /// Reads what QEMU says until it hangs up or the time is over.
    pub fn drain(&mut self, deadline: Instant) {
        while let Ok(message) = self.message(deadline) {
            self.keep_event(&message);
        }
    }

    /// The events so far, in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    fn keep_event(&mut self, message: &Value) -> bool {
        let Some(name) = message.get("event").and_then(Value::as_str) else { return false };
        let time = |key: &str| message["timestamp"].get(key).and_then(Value::as_u64).unwrap_or(0);
        if self.events.len() < MAX_EVENTS {
            self.events.push(Event {
                name: name.to_owned(),
                micros: time("seconds").saturating_mul(1_000_000).saturating_add(time("microseconds")),
                data: message.get("data").cloned().unwrap_or(Value::Null),
            });
        }
        true
    }

    fn message(&mut self, deadline: Instant) -> Outcome<Value> {
        loop {
            if let Some(end) = self.pending.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return serde_json::from_slice(&line).map_err(|e| broken(&format!("no JSON: {e}")));
            }
            if self.pending.len() > MAX_MESSAGE {
                return Err(broken(&format!("a message is longer than {MAX_MESSAGE} bytes")));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(broken(&format!("no answer within {} ms", self.limit.as_millis())));
            }
            let mut buffer = [0u8; 4096];
            let slice = left.min(Duration::from_millis(200));
            self.stream.set_read_timeout(Some(slice)).map_err(|e| broken(&e.to_string()))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(broken("QEMU hung up")),
                Ok(count) => self.pending.extend_from_slice(&buffer[..count]),
                Err(e)
                    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(broken(&e.to_string())),
            }
            exec::check_interrupt()?;
        }
    }
}

fn broken(why: &str) -> Failure {
    Failure::error(ExitStatus::Environment, "qmp", format!("QEMU's control socket: {why}"))
        .hint("look at `qemu.log` beside the console log")
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(200).collect()
}

/// Why a machine ended whose watchdog reset it: QEMU calls that a `guest-reset` as well.
pub(crate) const BY_WATCHDOG: &str = "watchdog";

/// Why the guest ended it, by QEMU's events (QEMU's `qapi/run-state.json`: `WATCHDOG` comes before its `SHUTDOWN`).
pub(crate) fn ended_by(events: &[Event]) -> Option<String> {
    let end = events.iter().position(|event| event.name == "SHUTDOWN")?;
    let data = &events[end].data;
    data.get("guest").and_then(Value::as_bool).filter(|guest| *guest)?;
    let acted = |event: &Event| {
        event.name == "WATCHDOG" && event.data.get("action").is_some_and(|action| action == "reset")
    };
    if events[..end].iter().any(acted) {
        return Some(BY_WATCHDOG.to_owned());
    }
    data.get("reason").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREETING: &str = r#"{"QMP": {"version": {}, "capabilities": []}}"#;

    /// A server that says its lines: the greeting first, then one after every command.
    fn server(lines: Vec<String>) -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            for line in lines {
                theirs.write_all(line.as_bytes()).unwrap();
                let mut byte = [0u8];
                while matches!(theirs.read(&mut byte), Ok(1)) && byte[0] != b'\n' {}
            }
        });
        ours
    }

    fn connect(lines: &[&str], limit_ms: u64) -> Outcome<Qmp> {
        let mut all = vec![format!("{GREETING}\r\n")];
        all.push("{\"return\": {}, \"id\": 1}\r\n".to_owned());
        all.extend(lines.iter().map(|line| (*line).to_owned()));
        Qmp::connect(server(all), Duration::from_millis(limit_ms))
    }

    #[test]
    fn answers_and_events_are_told_apart() {
        let event = r#"{"event": "SHUTDOWN", "timestamp": {"seconds": 2, "microseconds": 5}, "data": {"guest": true, "reason": "guest-reset"}}"#;
        let answer = r#"{"return": {"status": "running", "running": true}, "id": 2}"#;
        let mut qmp = connect(&[&format!("{event}\n{answer}\n")], 20_000).unwrap();
        assert_eq!(qmp.status().unwrap(), "running");
        assert_eq!(qmp.events()[0].micros, 2_000_005);
        assert_eq!(qmp.events()[0].data["reason"], "guest-reset");
    }

    #[test]
    fn a_refused_command_and_another_server_are_errors() {
        let mut qmp = connect(&["{\"error\": {\"desc\": \"no\"}, \"id\": 2}\n"], 20_000).unwrap();
        assert!(qmp.status().unwrap_err().to_string().contains("QEMU refused `query-status`"));
        let failure =
            Qmp::connect(server(vec!["{\"hello\": 1}\n".into()]), Duration::from_secs(20)).unwrap_err();
        assert!(failure.to_string().contains("expected QEMU's greeting"), "{failure}");
    }

    #[test]
    fn silence_and_endless_messages_are_errors_of_the_harness() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let failure = Qmp::connect(ours, Duration::from_millis(10)).unwrap_err();
        assert!(failure.to_string().contains("no answer within 10 ms"), "{failure}");
        assert_eq!(failure.status, ExitStatus::Environment);
        let failure =
            Qmp::connect(server(vec!["x".repeat(MAX_MESSAGE + 8192)]), Duration::from_secs(20)).unwrap_err();
        assert!(failure.to_string().contains("longer than"), "{failure}");
    }

    #[test]
    fn a_reset_by_the_watchdog_is_told_from_one_of_the_guest() {
        let event = |name: &str, data: Value| Event { name: name.to_owned(), micros: 0, data };
        let by = |guest: bool, reason: &str| {
            event("SHUTDOWN", serde_json::json!({"guest": guest, "reason": reason}))
        };
        let acted = |action: &str| event("WATCHDOG", serde_json::json!({"action": action}));
        let reset = || by(true, "guest-reset");
        assert_eq!(ended_by(&[acted("reset"), reset()]).as_deref(), Some(BY_WATCHDOG));
        assert_eq!(ended_by(&[reset()]).as_deref(), Some("guest-reset"));
        assert_eq!(ended_by(&[acted("none"), reset()]).as_deref(), Some("guest-reset"));
        assert_eq!(ended_by(&[reset(), acted("reset")]).as_deref(), Some("guest-reset"));
        assert_eq!(ended_by(&[acted("reset"), by(false, "host-qmp-quit")]), None);
        assert_eq!(ended_by(&[acted("reset")]), None);
    }
}
