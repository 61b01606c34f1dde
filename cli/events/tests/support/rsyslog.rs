//! rsyslog with the device's rules (templates/events), run here on lines of its two sources.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::print_stderr, reason = "a test that does nothing must say so")]

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use events::{Chain, Event, SealKey, Verifier};

/// The tunnel of OpenVPN that the rules know: its unit and its peer's address.
pub const TUNNEL: (&str, &str) = ("openvpn-support.service", "192.0.2.50");

/// The text of a template of the events.
pub fn template(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/events").join(name);
    fs::read_to_string(path).expect("a template")
}

/// The device's program with its parameters filled in.
pub fn program(folder: &Path, limit: usize, keep: usize) -> PathBuf {
    let text = template("event-log.sh.hbs")
        .replace("{{sh parameters.folder}}", &folder.to_string_lossy())
        .replace("{{parameters.log_size}}", &limit.to_string())
        .replace("{{parameters.logs}}", &keep.to_string())
        // As on a board with memory for the last words; here a folder of the test.
        .replace("{{#if crash_memory}}\n", "")
        .replace("{{/if}}\n", "")
        .replace("/sys/fs/pstore", &folder.join("pstore").to_string_lossy());
    assert!(!text.contains("{{"), "a parameter that this test does not know");
    let path = folder.join("event-log");
    fs::write(&path, text).expect("the program is written");
    let mut mode = fs::metadata(&path).expect("it is there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&path, mode).expect("it may be run");
    path
}

/// What the verifier says of files, the oldest first.
pub fn verify_with(folder: &Path, names: &[&str], key: Option<SealKey>) -> Result<Chain, String> {
    let mut verifier = Verifier::new(None).sealed(key);
    for name in names {
        let file = fs::File::open(folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
        verifier.read(name, BufReader::new(file)).map_err(|e| e.to_string())?;
    }
    verifier.finish().map_err(|e| e.to_string())
}

/// The records of the newest file.
pub fn records(folder: &Path) -> Vec<Event> {
    let text = fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    text.lines().map(|line| Event::parse(line.as_bytes()).expect("a record")).collect()
}

/// rsyslog, which ends with the test.
pub struct Rsyslog {
    folder: PathBuf,
    daemon: Child,
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Rsyslog {
    /// Starts it with rules; `None` where it is not installed.
    pub fn start(folder: &Path, rules: &str) -> Option<Self> {
        if Command::new("rsyslogd").arg("-v").output().is_err() {
            assert!(std::env::var_os("FASTNESS_REQUIRE_TOOLS").is_none(), "`rsyslogd` is not installed");
            eprintln!("SKIPPED: `rsyslogd` is not installed");
            return None;
        }
        let place = folder.to_string_lossy();
        fs::create_dir(folder.join("state")).expect("a folder for its state");
        let program = program(folder, 1_000_000, 2);
        let text = rules
            .replace("{{conf parameters.folder}}", &place)
            .replace("{{conf product.name}}", "gw")
            // One tunnel of OpenVPN.
            .replace("{{#each ends.openvpn}}\n", "")
            .replace("{{/each}}\n", "")
            .replace("openvpn-{{conf name}}.service", TUNNEL.0)
            .replace("{{conf peer_address}}", TUNNEL.1)
            .replace("/var/log/audit", &place)
            .replace("/usr/lib/fastness/event-log", &program.to_string_lossy());
        // The journal of this machine is no part of the test.
        let text: String =
            text.lines().filter(|line| !line.contains("imjournal\"")).map(|l| format!("{l}\n")).collect();
        let config = folder.join("rsyslog.conf");
        fs::write(&config, text).expect("its configuration is written");
        let daemon = Command::new("rsyslogd")
            .args(["-n", "-i"])
            .arg(folder.join("pid"))
            .arg("-f")
            .arg(&config)
            .spawn()
            .expect("it starts");
        Some(Self { folder: folder.to_owned(), daemon })
    }

    /// The events of others than the program that writes them, once there are so many.
    pub fn events(&self, wanted: usize) -> Vec<Event> {
        let start = Instant::now();
        loop {
            let mut found = records(&self.folder);
            found.retain(|record| record.component != "event-log");
            // Before its first one there is no file.
            if wanted == 0 && found.is_empty() {
                return found;
            }
            if found.len() >= wanted || start.elapsed() > Duration::from_secs(60) {
                verify_with(&self.folder, &["events.jsonl"], None).expect("a whole chain");
                assert!(found.iter().all(|record| record.host == "gw"));
                return found;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The events that the rules make of audit records, as auditd writes them, and of entries of the journal, which come as JSON from
/// a file in its place; `None` where rsyslog is not installed.
pub fn events_of(audit: &str, journal: &[String], wanted: usize) -> Option<Vec<Event>> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("audit.log"), audit).expect("the audit log is written");
    fs::write(folder.path().join("journal"), journal.concat()).expect("the journal is written");
    Some(Rsyslog::start(folder.path(), &rules_of_files())?.events(wanted))
}

/// The device's rules, with a file of JSON in the journal's place.
pub fn rules_of_files() -> String {
    let rules = template("rsyslog.conf.hbs");
    let (audit, journal) = rules.split_once("# The journal:").expect("rules of the journal");
    let journal = journal.replace("$msg", "$!MESSAGE").replace("$programname", "$!SYSLOG_IDENTIFIER");
    let read = "module(load=\"mmjsonparse\")\ninput(type=\"imfile\" file=\"/var/log/audit/journal\" tag=\"journal\")\n\
        action(type=\"mmjsonparse\" cookie=\"\")\n#";
    format!("{audit}{read}{journal}")
}
