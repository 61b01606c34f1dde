//! rsyslog with the device's rules (templates/events), run here on lines of its two sources.

#![allow(clippy::print_stderr, reason = "a test that does nothing must say so")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use event_log::{program, records, template, verify_with};
use events::Event;

#[path = "event_log.rs"]
mod event_log;

/// The tunnel of OpenVPN that the rules know: its unit and its peer's address.
pub const TUNNEL: (&str, &str) = ("openvpn-support.service", "192.0.2.50");

/// The tunnels of strongSwan that they know: names and peers' addresses.
pub const IPSEC: [(&str, &str); 2] = [("plant", "192.0.2.1"), ("office", "2001:db8::1")];

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
        let of_ipsec = |name: &str, peer: &str| {
            format!("\tif ($!IKE_SA_NAME == \"{name}\") then set $.subject = \"{peer}\";\n")
        };
        let one_of_ipsec = format!(
            "{{{{#each ends.strongswan}}}}\n{}{{{{/each}}}}\n",
            of_ipsec("{{conf name}}", "{{conf peer_address}}")
        );
        let each_of_ipsec = IPSEC.map(|(name, peer)| of_ipsec(name, peer)).concat();
        let text = rules
            .replace("{{conf parameters.folder}}", &place)
            .replace("{{conf product.name}}", "gw")
            .replace(&one_of_ipsec, &each_of_ipsec)
            // One tunnel of OpenVPN.
            .replace("{{#each ends.openvpn}}\n", "")
            .replace("{{/each}}\n", "")
            .replace("openvpn-{{conf name}}.service", TUNNEL.0)
            .replace("{{#if ends.strongswan}}\n", "")
            .replace("{{/if}}\n", "")
            .replace(
                "{{#each ends.strongswan}}{{#unless @first}} or {{/unless}}{{conf peer_address}}{{/each}}",
                &IPSEC.map(|(_, peer)| peer).join(" or "),
            )
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
